#!/usr/bin/env python
"""Make a small phantom data set in LUNA16's format."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.cli.options import Parser, add_section, at_least, section_of
from luna.cli.program import command_line_program
from luna.config.phantom import PhantomSettings
from luna.phantom.dataset import make_phantom
from luna.runtime.cores import usable_threads


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the data set to")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--processes", type=at_least(1), default=1, help="CTs made at the same time")
    add_section(parser, PhantomSettings)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    settings = section_of(options, PhantomSettings)
    make_phantom(options.out, settings, options.seed, usable_threads(options.processes))


if __name__ == "__main__":
    main()

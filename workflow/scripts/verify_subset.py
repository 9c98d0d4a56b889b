#!/usr/bin/env python
"""Check every CT of one subset. verify.py then checks the whole data set."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_csv
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.cli.subset import add_subset_options, check_root
from luna.config.data import DataSettings
from luna.data.verify import verify_subset


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    add_subset_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="a CSV table with one row per series")
    add_section(parser, DataSettings, only=["verify"])
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    check_root(options)
    settings = section_of(options, DataSettings, only=["verify"])
    write_csv(options.out, verify_subset(options.root, options.subset, settings.verify))


if __name__ == "__main__":
    main()

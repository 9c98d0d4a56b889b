#!/usr/bin/env python
"""Check headers and files of every CT of one subset. verify.py then checks the whole data set."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_csv
from luna.cli.options import Parser
from luna.cli.program import command_line_program
from luna.cli.subset import add_subset_options, source_of
from luna.data.verify import verify_subset


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    add_subset_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="a CSV table with one row per series")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    write_csv(options.out, verify_subset(source_of(options), options.subset))


if __name__ == "__main__":
    main()

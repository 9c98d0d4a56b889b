#!/usr/bin/env python
"""Check every CT of one subset. verify.py then checks the whole data set."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.errors import UserError
from luna.base.files import write_csv
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.data import DataSettings
from luna.data.subsets import SUBSETS
from luna.data.verify import verify_subset


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder with subset0 to subset9")
    parser.add_argument("--subset", type=int, choices=range(SUBSETS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="a CSV table with one row per series")
    add_section(parser, DataSettings, only=["verify"])
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    if not options.root.is_dir():
        raise UserError(f"{options.root}: no such folder; data.root must hold subset0 to subset9")
    settings = section_of(options, DataSettings, only=["verify"])
    write_csv(options.out, verify_subset(options.root, options.subset, settings.verify))


if __name__ == "__main__":
    main()

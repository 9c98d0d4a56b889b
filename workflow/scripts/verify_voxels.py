#!/usr/bin/env python
"""Check the data set again with what the voxels showed when they were read: report and usable series."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_csv
from luna.cli.options import Parser
from luna.cli.program import command_line_program
from luna.cli.verification import add_verification_options, verified
from luna.data.records import read_cached


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    add_verification_options(parser)
    parser.add_argument("--cached", type=Path, nargs="+", required=True, help="manifests of cache_subset.py")
    parser.add_argument("--series", type=Path, required=True, help="the table of usable series to write")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    cached = {uid: each for path in options.cached for uid, each in read_cached(path).items()}
    write_csv(options.series, verified(options, cached))


if __name__ == "__main__":
    main()

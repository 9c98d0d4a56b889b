#!/usr/bin/env python
"""Check the whole data set, its subsets and its tables, and report every problem at once.

Voxels are checked when crops are cut; verify_voxels.py then reports on them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_csv
from luna.cli.options import Parser
from luna.cli.program import command_line_program
from luna.cli.verification import add_verification_options, verified
from luna.data.candidates import place_candidates
from luna.data.tables import (
    PLACED_COLUMNS,
    SERIES_COLUMNS,
    read_candidates,
    read_stage_table,
    rows_of,
)


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    add_verification_options(parser)
    parser.add_argument(
        "--series", type=Path, nargs="+", required=True,
        help="tables of usable series to write, one for each of --subsets",
    )  # fmt: skip
    parser.add_argument(
        "--placed", type=Path, nargs="+", required=True,
        help="tables of the voxels that their candidates are in, to write",
    )  # fmt: skip
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    usable = verified(options, {})
    placed, _ = place_candidates(rows_of(read_candidates(options.candidates)), usable)
    for table, series_file, placed_file in zip(options.subsets, options.series, options.placed, strict=True):
        here = usable[usable["path"].isin(read_stage_table(table, SERIES_COLUMNS)["path"])]
        write_csv(series_file, here)
        write_csv(placed_file, placed.loc[placed["seriesuid"].isin(here["seriesuid"]), PLACED_COLUMNS])


if __name__ == "__main__":
    main()

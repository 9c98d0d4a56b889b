#!/usr/bin/env python
"""Join candidates with annotations and place them in their CTs: one table for all later stages."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.errors import UserError
from luna.base.files import write_csv, write_record
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.split import SplitSettings
from luna.data.candidates import list_candidates
from luna.data.tables import SERIES_COLUMNS, read_stage_table


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--series", type=Path, required=True, help="series.csv of the verification")
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--candidates", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True, help="the table to write")
    parser.add_argument("--report", type=Path, required=True, help="what the list holds, as JSON, to write")
    add_section(parser, SplitSettings, only=["keep_patients_together"])
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    split = section_of(options, SplitSettings, only=["keep_patients_together"])
    table, listing = list_candidates(
        read_stage_table(options.series, SERIES_COLUMNS),
        options.annotations,
        options.candidates,
        split.keep_patients_together,
    )
    if not len(table):
        raise UserError("no candidate is in a usable series; check data.candidates and data.root")
    write_csv(options.out, table)
    write_record(options.report, listing)


if __name__ == "__main__":
    main()

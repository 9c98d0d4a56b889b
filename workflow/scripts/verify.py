#!/usr/bin/env python
"""Check the whole data set, its subsets and its tables, and report every problem at once."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401
import pandas as pd

from luna.base.errors import UserError
from luna.base.files import write_csv, write_record, write_text
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.data import DataSettings
from luna.data.problems import summary
from luna.data.tables import SERIES_COLUMNS, read_stage_table
from luna.data.verify import verify_dataset

SETTINGS = ("on_problem", "expect")


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--subsets", type=Path, nargs="+", required=True, help="tables of verify_subset.py")
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--candidates", type=Path, nargs="+", required=True)
    parser.add_argument("--series", type=Path, required=True, help="the table of usable series to write")
    parser.add_argument("--report", type=Path, required=True, help="what was found, as JSON, to write")
    parser.add_argument("--problems", type=Path, required=True, help="all problems, as text, to write")
    add_section(parser, DataSettings, only=SETTINGS)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    settings = section_of(options, DataSettings, only=SETTINGS)
    series = pd.concat(read_stage_table(path, SERIES_COLUMNS) for path in options.subsets)
    usable, found = verify_dataset(series, options.annotations, options.candidates, settings.expect)
    write_csv(options.series, usable)
    write_record(options.report, found)
    # This file stays when the workflow stops here and deletes the outputs of the failed rule.
    write_text(options.problems, summary(found, shown=sys.maxsize) + "\n")
    print(summary(found), file=sys.stderr)
    if found.problems and settings.on_problem == "stop":
        raise UserError("the data set has problems; fix them, or set data.on_problem to skip")
    if not len(usable):
        raise UserError("the data set has no usable series")


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Join candidates with annotations and place them in their CTs: one table for all later stages."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd

from luna.candidates import list_candidates
from luna.fileio import write_csv, write_json
from luna.program import UserError, command_line_program


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=Path, required=True, help="series.csv of the verification")
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--candidates", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True, help="candidates.csv to write")
    parser.add_argument("--report", type=Path, help="what was found, as JSON")
    parser.add_argument(
        "--keep-patients-together",
        action="store_true",
        help="put all series of one patient into the lowest of their subsets",
    )
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    try:
        series = pd.read_csv(options.series, dtype={"seriesuid": str})
    except FileNotFoundError as error:
        raise UserError(f"{options.series}: no such file; run verify_data.py first") from error
    table, report = list_candidates(
        series, options.annotations, options.candidates, options.keep_patients_together
    )
    if not len(table):
        raise UserError("no candidate lies in a usable series; check data.candidates and data.root")
    write_csv(options.out, table)
    if options.report is not None:
        write_json(options.report, report)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Verify a data set in LUNA16's layout and tell every problem at once.

By hand: `verify_data.py --root DIR --out DIR` checks everything. The workflow checks a subset a
job (--subset) and judges the whole afterwards (--merge).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd

from luna.fileio import write_csv, write_json, write_text
from luna.program import UserError, command_line_program
from luna.tables import SUBSETS
from luna.verify import summary, verify_dataset, verify_subset


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder with subset0 to subset9")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for series.csv, verification.json and verify/"
    )
    parser.add_argument("--annotations", type=Path, help="default: annotations.csv in the root")
    parser.add_argument("--candidates", type=Path, nargs="*", help="default: candidates.csv in the root")
    parser.add_argument("--mode", choices=["header", "full"], default="full")
    parser.add_argument("--on-problem", choices=["stop", "skip"], default="stop")
    parser.add_argument("--expect", choices=["luna16", "any"], default="any")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--subset", type=int, choices=range(SUBSETS), help="check only this subset's series")
    part.add_argument("--merge", type=int, nargs="*", help="judge the whole from the subsets checked before")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    if not options.root.is_dir():
        raise UserError(f"{options.root}: no such folder; data.root must hold subset0 to subset9")
    if options.merge is None:
        for subset in range(SUBSETS) if options.subset is None else [options.subset]:
            checked = verify_subset(options.root, subset, options.mode)
            write_csv(options.out / "verify" / f"subset{subset}.csv", checked)
        if options.subset is not None:
            return
    series = pd.concat(
        pd.read_csv(options.out / "verify" / f"subset{subset}.csv", dtype={"seriesuid": str})
        for subset in options.merge or range(SUBSETS)
    )
    usable, report = verify_dataset(
        series,
        options.annotations or options.root / "annotations.csv",
        options.candidates or [options.root / "candidates.csv"],
        options.expect,
    )
    write_csv(options.out / "series.csv", usable)
    write_json(options.out / "verification.json", report)
    # Kept when the workflow stops here and takes back its unfinished outputs.
    write_text(options.out / "verify" / "problems.txt", summary(report, shown=sys.maxsize) + "\n")
    print(summary(report), file=sys.stderr)
    if report["problems"] and options.on_problem == "stop":
        raise UserError("the data set has problems; mend them, or set on-problem to skip")
    if not len(usable):
        raise UserError(f"{options.root}: no usable series")


if __name__ == "__main__":
    main()

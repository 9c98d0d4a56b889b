#!/usr/bin/env python
"""Bring the results of all runs and folds together: metrics.csv, summary.csv, summary.json."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.config import default_section
from luna.judging import Scoring
from luna.program import command_line_program
from luna.submissions import read_findings
from luna.summary import summarise
from luna.tables import read_annotations


def parser() -> argparse.ArgumentParser:
    default = default_section("evaluation")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("results/runs"), help="folder of the runs")
    parser.add_argument("--names", nargs="+", required=True, help="which runs")
    parser.add_argument("--folds", type=int, nargs="+", required=True, help="which folds of them")
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--excluded", type=Path, help="findings that count neither way")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--bootstrap", type=int, default=default["bootstrap"], help="resamples")
    parser.add_argument("--max-marks", type=int, default=default["max_marks"], help="marks per series")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    folders = {run: [options.runs / run / f"fold{fold}" for fold in options.folds] for run in options.names}
    summarise(
        folders,
        read_annotations(options.annotations)[0],
        read_findings(options.excluded, may_repeat=True) if options.excluded else None,
        Scoring(options.bootstrap, options.max_marks, options.seed),
        options.out,
    )


if __name__ == "__main__":
    main()

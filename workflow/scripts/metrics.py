#!/usr/bin/env python
"""Summarise the results of all runs and folds: metrics.csv, summary.csv, summary.json."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.evaluation import Scoring
from luna.data.tables import read_annotations, rows_of
from luna.evaluation.summary import SummaryFiles, summarise
from luna.scoring.submissions import read_findings


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--folders", type=Path, nargs="+", required=True, help="one per run and fold")
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--excluded", type=Path, nargs="?", help="findings that count neither way")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.csv to write")
    parser.add_argument("--summary", type=Path, required=True, help="summary.csv to write")
    parser.add_argument("--record", type=Path, required=True, help="summary.json to write")
    add_section(parser, Scoring)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    summarise(
        options.folders,
        rows_of(read_annotations(options.annotations)),
        read_findings(options.excluded, may_repeat=True) if options.excluded else None,
        section_of(options, Scoring),
        SummaryFiles(options.metrics, options.summary, options.record),
    )


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Score any LUNA16 submission by the challenge's own rules."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_record
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.evaluation import Scoring
from luna.scoring.froc import RATES, match_marks, score
from luna.scoring.submissions import coverage, read_findings, read_series_uids, read_submission


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--submission", type=Path, required=True, help="seriesuid, xyz, probability")
    parser.add_argument("--annotations", type=Path, required=True, help="the included nodules")
    parser.add_argument("--excluded", type=Path, help="findings that count neither way")
    parser.add_argument("--seriesuids", type=Path, required=True, help="the series that count")
    parser.add_argument("--out", type=Path, required=True, help="the score, as JSON")
    add_section(parser, Scoring)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    scoring = section_of(options, Scoring)
    uids = read_series_uids(options.seriesuids)
    marks = read_submission(options.submission, uids)
    matches = match_marks(
        marks,
        read_findings(options.annotations),
        uids,
        read_findings(options.excluded, may_repeat=True) if options.excluded else None,
        scoring.max_marks,
    )
    print(*coverage(marks, uids, matches), sep="\n")
    result = score(matches, scoring.bootstrap, scoring.seed)
    write_record(options.out, result)
    if result.cpm is None:
        print(f"CPM is not defined: {result.why_undefined}")
        return
    print(f"CPM {result.cpm:.4f}")
    for rate in RATES:
        print(f"  sensitivity {result.sensitivity[f'{rate:g}']:.4f} at {rate:g} per scan")


if __name__ == "__main__":
    main()

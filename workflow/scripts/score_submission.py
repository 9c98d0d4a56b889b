#!/usr/bin/env python
"""Score any LUNA16 submission by the challenge's own rules."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.fileio import write_json
from luna.froc import RATES, match_marks, score
from luna.program import command_line_program
from luna.submissions import read_findings, read_series_uids, read_submission


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--submission", type=Path, required=True, help="seriesuid, xyz, probability")
    parser.add_argument("--annotations", type=Path, required=True, help="the included nodules")
    parser.add_argument("--excluded", type=Path, help="findings that count neither way")
    parser.add_argument("--seriesuids", type=Path, required=True, help="the series that count")
    parser.add_argument("--out", type=Path, required=True, help="the figures, as JSON")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples of the series")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--max-marks", type=int, default=100, help="marks of a series that count")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    uids = read_series_uids(options.seriesuids)
    matches = match_marks(
        read_submission(options.submission, uids),
        read_findings(options.annotations),
        uids,
        read_findings(options.excluded, may_repeat=True) if options.excluded else None,
        options.max_marks,
    )
    result = score(matches, options.bootstrap, options.seed)
    write_json(options.out, result)
    if result["cpm"] is None:
        print(f"CPM is not defined: {result['why_undefined']}")
        return
    print(f"CPM {result['cpm']:.4f}")
    for rate in RATES:
        print(f"  sensitivity {result['sensitivity'][f'{rate:g}']:.4f} at {rate:g} per scan")


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Write the report, one HTML page, from the results of the other stages."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.program import command_line_program, json_object
from luna.report import crop_source_for, read_results, write_report


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results")
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--config", type=json_object, required=True, help="the completed config, as JSON")
    parser.add_argument("--worst", type=int, default=6, help="crops of each kind of mistake for a run")
    parser.add_argument("--out", type=Path, default=Path("results/report.html"))
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    results = read_results(options.results, options.config)
    crops = crop_source_for(results, options.results)
    write_report(results, crops, options.worst, options.annotations, options.out)


if __name__ == "__main__":
    main()

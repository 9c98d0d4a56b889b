#!/usr/bin/env python
"""Write the report, one HTML page, from the results of the other stages."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401
from pydantic import TypeAdapter

from luna.cli.data import add_data_options, candidates_and_crops
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.report import ReportSettings
from luna.config.sweeps import SweepRuns
from luna.report.page import write_report
from luna.report.results import ResultFiles, read_results


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--folders", type=Path, nargs="+", required=True, help="one per run and fold")
    parser.add_argument("--verification", type=Path, required=True, help="verification.json")
    parser.add_argument("--listing", type=Path, required=True, help="candidates.json")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.csv")
    parser.add_argument("--summary", type=Path, required=True, help="summary.json")
    parser.add_argument(
        "--benchmarks", type=Path, nargs="*", default=[], help="Snakemake's benchmark files of the jobs"
    )
    parser.add_argument(
        "--sweeps",
        type=sweeps_of,
        default={},
        metavar="JSON",
        help="keys and runs of each sweep, by its name",
    )
    parser.add_argument("--out", type=Path, required=True, help="the page to write")
    add_section(parser, ReportSettings, "report.")
    add_data_options(parser)
    return parser


def sweeps_of(text: str) -> dict[str, SweepRuns]:
    """The sweeps from JSON. Raises ValueError for anything else, which argparse reports."""
    return TypeAdapter(dict[str, SweepRuns]).validate_json(text)


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    _, crops = candidates_and_crops(options)
    names = ResultFiles.__dataclass_fields__
    settings = section_of(options, ReportSettings, "report.")
    files = ResultFiles(**{name: getattr(options, name) for name in names})
    results = read_results(files, options.sweeps, settings.saliency)
    write_report(results, crops, settings, options.out)


if __name__ == "__main__":
    main()

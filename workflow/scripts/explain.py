#!/usr/bin/env python
"""Find out where in its crops a tested model looks: maps for the candidates that the report shows."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.cli.data import add_data_options, candidates_and_crops
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.machine import Machine
from luna.config.report import ReportSettings
from luna.evaluation.explain import ExplanationJob, explain


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.pt of a training")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions.csv of its test")
    parser.add_argument("--saliency", type=Path, required=True, help="saliency.npz to write")
    add_section(parser, ReportSettings, "report.", only=["negatives"])
    add_data_options(parser)
    add_section(parser, Machine)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    job = ExplanationJob(
        model_file=options.model,
        predictions_file=options.predictions,
        negatives=section_of(options, ReportSettings, "report.", only=["negatives"]).negatives,
        saliency_file=options.saliency,
    )
    explain(job, section_of(options, Machine), *candidates_and_crops(options))


if __name__ == "__main__":
    main()

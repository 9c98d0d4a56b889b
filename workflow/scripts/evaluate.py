#!/usr/bin/env python
"""Test a trained model on its fold's held-out test series."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.cli.data import add_data_options, candidates_and_crops
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.evaluation import JudgingSettings, Scoring
from luna.config.machine import Machine
from luna.data.tables import SERIES_COLUMNS, read_annotations, read_stage_table, rows_of
from luna.evaluation.evaluate import EvaluationJob, evaluate
from luna.scoring.submissions import read_findings


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.pt of a training")
    parser.add_argument(
        "--validation", type=Path, help="validation.csv of the training; default beside the model"
    )
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--excluded", type=Path, nargs="?", help="findings that count neither way")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions.csv to write")
    parser.add_argument("--evaluation", type=Path, required=True, help="evaluation.json to write")
    add_section(parser, Scoring)
    add_section(parser, JudgingSettings)
    add_data_options(parser)
    add_section(parser, Machine)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    job = EvaluationJob(
        model_file=options.model,
        validation_file=options.validation or options.model.with_name("validation.csv"),
        annotations=rows_of(read_annotations(options.annotations)),
        excluded=read_findings(options.excluded, may_repeat=True) if options.excluded else None,
        scoring=section_of(options, Scoring),
        judging=section_of(options, JudgingSettings),
        predictions_file=options.predictions,
        evaluation_file=options.evaluation,
    )
    candidates, source = candidates_and_crops(options)
    evaluate(
        job,
        section_of(options, Machine),
        candidates,
        read_stage_table(options.series, SERIES_COLUMNS),
        source,
    )


if __name__ == "__main__":
    main()

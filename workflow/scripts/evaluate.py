#!/usr/bin/env python
"""Test a trained model on the series of its fold that chose nothing."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.arguments import (
    add_data_arguments,
    add_machine_arguments,
    crop_source,
    machine_of,
    read_candidates_file,
)
from luna.config import default_section
from luna.evaluation import EvaluationJob, evaluate
from luna.judging import Scoring
from luna.program import command_line_program
from luna.submissions import read_findings
from luna.tables import read_annotations


def parser() -> argparse.ArgumentParser:
    default = default_section("evaluation")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.pt of a training")
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--excluded", type=Path, help="findings that count neither way")
    parser.add_argument("--out", type=Path, help="folder of predictions.csv and evaluation.json")
    parser.add_argument("--flips", action="store_true", help="average over mirror images of each crop")
    parser.add_argument("--bootstrap", type=int, default=default["bootstrap"], help="resamples")
    parser.add_argument("--max-marks", type=int, default=default["max_marks"], help="marks per series")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    add_data_arguments(parser)
    add_machine_arguments(parser)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    out = options.out or options.model.parent
    candidates = read_candidates_file(options.candidates)
    job = EvaluationJob(
        model_file=options.model,
        annotations=read_annotations(options.annotations)[0],
        excluded=read_findings(options.excluded, may_repeat=True) if options.excluded else None,
        scoring=Scoring(options.bootstrap, options.max_marks, options.seed),
        flips=options.flips,
        predictions_file=out / "predictions.csv",
        evaluation_file=out / "evaluation.json",
    )
    series = read_candidates_file(options.series)
    evaluate(job, machine_of(options), candidates, series, crop_source(options, candidates))


if __name__ == "__main__":
    main()

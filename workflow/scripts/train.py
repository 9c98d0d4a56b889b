#!/usr/bin/env python
"""Train a model on the candidates' crops.

From a notebook: `LunaTrainingApp(['--epochs=1']).main()`. On several GPUs of one machine:
`torchrun --standalone --nproc-per-node=4 train.py --gpus=4 ...`.
"""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base import layout
from luna.base.code import code_digest
from luna.base.subsets import SUBSETS
from luna.cli.data import add_data_options, candidates_and_crops
from luna.cli.options import Parser, add_section, at_least, section_of
from luna.cli.program import command_line_program
from luna.config.machine import Logs, MachineSettings
from luna.config.recipe import Recipe
from luna.config.split import SplitSettings
from luna.training.job import TrainingJob
from luna.training.loop import train


class LunaTrainingApp:
    """A training from command-line arguments; None takes those of the command line."""

    def __init__(self, argv: Sequence[str] | None = None) -> None:
        self.options = parser().parse_args(argv)
        if os.environ.get("RANK", "0") != "0":
            # torchrun started several processes: the first one logs for all.
            logging.getLogger("luna").setLevel(logging.WARNING)

    def main(self) -> None:
        """Train, and write model.pt, history.csv and validation.csv."""
        options = self.options

        model_file = options.model or Path(layout.MODEL.format(run=options.run, fold=options.fold))
        job = TrainingJob(
            run=options.run,
            fold=options.fold,
            recipe=section_of(options, Recipe),
            split=section_of(options, SplitSettings, "split."),
            seed=options.seed,
            code=code_digest(Path(__file__)),
            model_file=model_file,
            history_file=options.history or model_file.with_name(Path(layout.HISTORY).name),
            validation_file=options.validation or model_file.with_name(Path(layout.VALIDATION).name),
            state_folder=options.state or model_file.with_name(Path(layout.STATE).name),
            weights_of_run=options.weights,
        )
        machine, logs = section_of(options, MachineSettings), section_of(options, Logs)
        train(job, machine, logs, *candidates_and_crops(options))


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--run", default="by-hand", help="name of the run")
    parser.add_argument(
        "--fold", type=int, choices=range(SUBSETS), default=0, help="fold k tests on subset k"
    )
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--model", type=Path, help="model.pt to write; default below results/runs")
    parser.add_argument("--history", type=Path, help="history.csv to write; default beside the model")
    parser.add_argument("--validation", type=Path, help="validation.csv to write; default beside the model")
    parser.add_argument("--state", type=Path, help="folder of the checkpoints; default beside the model")
    parser.add_argument(
        "--weights", type=Path, nargs="?", help="model.pt of the run in --init-weights=run:NAME"
    )
    add_section(parser, Recipe)
    add_section(parser, SplitSettings, "split.")
    add_data_options(parser)
    add_section(parser, MachineSettings)
    add_section(parser, Logs)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    LunaTrainingApp(argv).main()


if __name__ == "__main__":
    main()

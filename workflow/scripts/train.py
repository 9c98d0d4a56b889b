#!/usr/bin/env python
"""Train a model on the candidates' crops.

From a notebook: `LunaTrainingApp(['--epochs=1']).main()`. On several GPUs of one machine:
`torchrun --standalone --nproc-per-node=4 train.py --recipe '{"gpus": 4}' ...`.
"""

import argparse
import logging
import os
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
    split_of,
)
from luna.config import complete_recipe, default_recipe
from luna.program import command_line_program, json_object
from luna.sources import code_digest
from luna.training import TrainingJob, train


class LunaTrainingApp:
    """A training from command-line arguments; None takes them from the command line."""

    def __init__(self, argv: Sequence[str] | None = None) -> None:
        self.options = parser().parse_args(argv)
        if os.environ.get("RANK", "0") != "0":
            # One of several processes that torchrun started: the first tells for all.
            logging.getLogger("luna").setLevel(logging.WARNING)

    def main(self) -> None:
        """Train, and write model.pt and history.csv."""
        options = self.options
        own = {
            name: value
            for name in ("epochs", "batch_size", "balance", "init_weights")
            if (value := getattr(options, name)) is not None
        }
        split = split_of(options)
        if options.val_stride is not None:
            split = {"method": "stride", "stride": options.val_stride}
        out = options.out or Path("results") / "runs" / options.run / f"fold{options.fold}"
        job = TrainingJob(
            run=options.run,
            fold=options.fold,
            recipe=complete_recipe(options.recipe | own),
            split=split,
            seed=options.seed,
            code=code_digest(Path(__file__)),
            model_file=out / "model.pt",
            history_file=out / "history.csv",
            state_folder=out / "state",
        )
        candidates = read_candidates_file(options.candidates)
        train(job, machine_of(options), candidates, crop_source(options, candidates))


def parser() -> argparse.ArgumentParser:
    default = default_recipe()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("comment", nargs="?", default="", help="a comment at the end of TensorBoard names")
    parser.add_argument("--run", default="by-hand", help="name of the run")
    parser.add_argument("--fold", type=int, choices=range(10), default=0, help="fold k tests on subset k")
    parser.add_argument("--out", type=Path, help="folder of model.pt and history.csv")
    parser.add_argument("--seed", type=int, default=0)
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--recipe", type=json_object, default={}, help="keys of the recipe, as JSON")
    recipe.add_argument("--epochs", type=int, help=f"default {default['epochs']}")
    recipe.add_argument("--batch-size", type=int, help=f"samples in a step, default {default['batch_size']}")
    recipe.add_argument("--balance", type=float, help="negatives for each positive; 0: as they come")
    recipe.add_argument("--val-stride", type=int, help="validate with every n-th candidate (leaks)")
    recipe.add_argument("--init-weights", help="a state dict to start from")
    add_data_arguments(parser)
    add_machine_arguments(parser)
    parser.add_argument("--checkpoint-minutes", type=float, default=10)
    logs = parser.add_argument_group("TensorBoard")
    logs.add_argument("--tensorboard", type=Path, help="folder of the logs; without it there are none")
    logs.add_argument("--tb-prefix", default="", help="folder below it")
    logs.add_argument(
        "--tb-writers", choices=["two", "one"], default="two", help="one: a log with keys trn/ and val/"
    )
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    LunaTrainingApp(argv).main()


if __name__ == "__main__":
    main()

"""What a few real nodules add to the weights that come with the project, against training from scratch.

python benchmarks/finetune.py --data FOLDER

The nodules and blobs are those of transfer.py. For each seed the patients are dealt out anew: a third is for
testing, and of the others' nodules some are taken for training. Blobs in right lungs train, those in left
lungs test.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from luna.base.arrays import HuArray, IntArray
from luna.base.digests import digest
from luna.base.randomness import rng
from luna.config.cache import CropSettings
from luna.config.machine import Logs, Machine
from luna.config.recipe import Recipe
from luna.config.split import SplitSettings
from luna.data.tables import IRC
from luna.model.file import ModelFile
from luna.model.shipped import shipped_model
from luna.training.job import TrainingJob
from luna.training.loop import train
from transfer import crops_of, measures, read_rod, scores

NODULES, SEEDS = (10, 30, 100), 3
SETTINGS = CropSettings()
SHARED = {
    "samples_per_epoch": 3200, "balance": 1, "optimizer": "adamw", "schedule": "cosine", "warmup": 20,
    "weight_decay": 0.02, "decay": "kernels", "gradient_clip": 2, "average": 0.99,
    "augmentation": {"flip": 0.5, "shift": 1, "contrast": 0.06, "brightness": 25, "blur": 0.25, "noise": 10},
}  # fmt: skip
RECIPES = {
    "shipped weights": {"init_weights": "shipped", "learning_rate": 0.0003},
    "from scratch": {"model": {"init": "torch"}, "learning_rate": 0.002},
}


class ArrayCrops:
    """Crops with their margin that are in memory, int16 (n, *block)."""

    def __init__(self, blocks: npt.NDArray[np.int16]) -> None:
        self.settings, self._blocks = SETTINGS, blocks

    def digest_of(self, rows: IntArray) -> str:
        """Changes with the rows and their crops."""
        return digest([rows.tolist(), int(self._blocks[rows].astype(np.int64).sum())])

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` with the crop of a row."""
        out[...] = self._blocks[row]


def trained(
    positives: npt.NDArray[np.int16], negatives: npt.NDArray[np.int16], recipe: Recipe, seed: int
) -> ModelFile:
    """The model after a single epoch over these samples: no epoch is chosen, so none validates."""
    blocks = np.concatenate([positives, negatives, positives[:1], negatives[:1]])
    classes = np.repeat([1, 0, 1, 0], [len(positives), len(negatives), 1, 1])
    subset = np.repeat([2, 1], [len(blocks) - 2, 2])
    table = pd.DataFrame({"seriesuid": "1", "subset": subset, "class": classes} | dict.fromkeys(IRC, 0))
    # The fold's test set: a row that nothing reads.
    table = pd.concat([table, table[:1].assign(subset=0)], ignore_index=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        job = TrainingJob(
            "finetune",
            0,
            recipe,
            SplitSettings(),
            seed,
            "",
            out / "model.pt",
            out / "history.csv",
            out / "state",
        )
        source = ArrayCrops(np.concatenate([blocks, blocks[:1]]))
        train(job, Machine(), Logs(), table, source)
        return ModelFile.load(out / "model.pt")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("LUNA_REAL_DATA", "../shared/data"))
    options = parser.parse_args()
    if not (options.data / "real_nodules").is_dir():
        print(f"skipped: {options.data}/real_nodules is not there", file=sys.stderr)
        return
    rod, device = read_rod(options.data), torch.device("cpu")
    nodules, blobs = (crops_of(each.cubes, SETTINGS.block) for each in (rod.nodules, rod.blobs))
    inner = SETTINGS.middle
    others = blobs[~rod.blobs.tuned][:, *inner]
    rows = []
    for seed in range(SEEDS):
        patients = rng(seed, "finetune").permutation(np.unique(rod.nodules.patient))
        tests = np.isin(rod.nodules.patient, patients[: len(patients) // 3])
        pool = rng(seed, "finetune nodules").permutation(np.flatnonzero(~tests))

        def judge(model: ModelFile, tests: npt.NDArray[np.bool_] = tests) -> dict[str, float]:
            found = (
                scores([model], each, device, flips=False) for each in (nodules[tests][:, *inner], others)
            )
            return measures(*found)

        rows.append({"start": "shipped weights", "nodules": 0} | judge(ModelFile.load(shipped_model(0))))
        for count in NODULES:
            for name, recipe in RECIPES.items():
                settings = Recipe.model_validate(SHARED | recipe)
                model = trained(nodules[pool[:count]], blobs[rod.blobs.tuned], settings, seed)
                rows.append({"start": name, "nodules": min(count, len(pool))} | judge(model))
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows).groupby(["nodules", "start"]).agg(["mean", "min", "max"])
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()

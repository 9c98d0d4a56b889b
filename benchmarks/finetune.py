"""What a few real nodules add to the weights that come with the project, against training from scratch.

python benchmarks/finetune.py --data FOLDER

The nodules and blobs are those of rod.py. For each seed the patients are dealt out anew: a third is for
testing, and of the others' nodules some are taken for training. Blobs in right lungs train, those in left
lungs test.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from in_memory import trained
from luna.base.randomness import rng
from luna.config.cache import CropSettings
from luna.config.recipe import Recipe
from luna.model.file import ModelFile
from luna.model.shipped import shipped_model
from rod import crops_of, measures, parsed, parser_of, read_rod, scores

NODULES, SEEDS = (10, 30, 100), 3
SETTINGS = CropSettings()
SHARED: dict[str, Any] = {
    "samples_per_epoch": 3200, "balance": 1, "optimizer": "adamw", "schedule": "cosine", "warmup": 20,
    "weight_decay": 0.02, "decay": "kernels", "gradient_clip": 2, "average": 0.99,
    "augmentation": {"flip": 0.5, "shift": 1, "contrast": 0.06, "brightness": 25, "blur": 0.25, "noise": 10},
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "shipped weights": {"init_weights": "shipped", "learning_rate": 0.0003},
    "from scratch": {"learning_rate": 0.002},
}


def main() -> None:
    options = parsed(parser_of(__doc__ or ""))
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
                model = trained(nodules[pool[:count]], blobs[rod.blobs.tuned], SETTINGS, settings, seed)
                rows.append({"start": name, "nodules": min(count, len(pool))} | judge(model))
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows).groupby(["nodules", "start"]).agg(["mean", "min", "max"])
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()

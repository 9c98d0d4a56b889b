"""What a few real nodules add to the weights that come with the project, against training from scratch.

python benchmarks/finetune.py --data FOLDER

The nodules and blobs are those of rod.py. For each seed the patients are dealt out anew: a third is for
testing, and of the others' nodules some are taken for training. Others than nodules are, in training, blobs
in the right lungs of the two CTs and blobs beside the training nodules; in testing, those in the left lungs
and those beside the test patients' nodules. Takes about ten minutes on two cores.
"""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch

from in_memory import trained
from luna.base.randomness import rng
from luna.config.cache import CropSettings
from luna.config.recipe import Recipe
from luna.model.file import ModelFile
from luna.model.shipped import shipped_model
from rod import crops_of, measures, parsed, parser_of, read_rod, scores, spread

NODULES, SEEDS = (10, 30, 100), 3
SETTINGS = CropSettings()
SHARED: dict[str, Any] = {
    "samples_per_epoch": 1600, "balance": 1, "optimizer": "adamw", "schedule": "cosine", "warmup": 20,
    "weight_decay": 0.02, "decay": "kernels", "gradient_clip": 2, "average": 0.99,
    "augmentation": {"flip": 0.5, "shift": 1, "contrast": 0.06, "brightness": 25, "blur": 0.25, "noise": 10},
}  # fmt: skip
SHIPPED = "shipped weights"
RECIPES: dict[str, dict[str, Any]] = {
    SHIPPED: {"init_weights": "shipped", "learning_rate": 0.0003},
    "from scratch": {"learning_rate": 0.002},
}


def main() -> None:
    options = parsed(parser_of(__doc__ or ""))
    rod, device = read_rod(options.data), torch.device("cpu")
    nodules, blobs, beside = (
        crops_of(each.cubes, SETTINGS.block) for each in (rod.nodules, rod.blobs, rod.beside)
    )
    rows = []
    for seed in range(SEEDS):
        patients = rng(seed, "finetune").permutation(np.unique(rod.nodules.patient))
        tests = np.isin(rod.nodules.patient, patients[: len(patients) // 3])
        pool = rng(seed, "finetune nodules").permutation(np.flatnonzero(~tests))
        controls = {"blobs of two other CTs": blobs[~rod.blobs.tuned], "blobs beside nodules": beside[tests]}
        for count, (name, recipe) in [(0, (SHIPPED, {})), *product(NODULES, RECIPES.items())]:
            chosen = pool[:count]
            if count:
                settings = Recipe.model_validate(SHARED | recipe)
                others = np.concatenate([blobs[rod.blobs.tuned], beside[chosen]])
                model = trained(nodules[chosen], others, SETTINGS, settings, seed)
            else:
                model = ModelFile.load(shipped_model(0))
            for control, negatives in controls.items():
                found = (
                    scores([model], each[:, *SETTINGS.middle], device, flips=False)
                    for each in (nodules[tests], negatives)
                )
                row = {"against": control, "nodules": len(chosen), "start": name}
                rows.append(row | measures(*found))
                print(rows[-1], flush=True)
    print("\n| against | nodules | start | AUC | average precision |\n|---|---|---|---|---|")
    for group, values in pd.DataFrame(rows).groupby(["against", "nodules", "start"]):
        print(f"| {' | '.join(map(str, group))} | {spread(values['AUC'])} | {spread(values['AP'])} |")


if __name__ == "__main__":
    main()

"""What each part of the phantom adds to what its model knows about real nodules.

python benchmarks/ablation.py --data FOLDER

Each row leaves out one thing, draws CTs, trains the network of the default run on them, and measures it with
the rod of rod.py. The same seeds are used in every row. Takes half an hour on two cores.
"""

import importlib
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import yaml

from in_memory import Blocks, trained
from luna.base.arrays import BoolArray
from luna.config.cache import CropSettings
from luna.config.phantom import PhantomSettings
from luna.config.recipe import Recipe
from luna.config.tree import read_config
from luna.crops.cut import cut_block
from luna.phantom.dataset import draw_series
from rod import PROJECT, crops_of, measures, parsed, parser_of, read_rod, scores, spread

CTS = 100
SETTINGS = CropSettings(crop=(16, 24, 24))
SAMPLES = 12000


@dataclass(frozen=True)
class Change:
    """What a row leaves out: constants of the phantom's modules, as "module.NAME", and keys of the recipe."""

    constants: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Mapping[str, float] = field(default_factory=dict)


NEVER = (1e6, 1e6)
PLAIN = {
    "nodules.KINDS": {"solid": 1.0}, "nodule_tissue.SPARSE_SHARE": 0, "nodule_tissue.STRETCH": 0,
    "nodule_tissue.BUMP_HEIGHT": 0, "nodule_tissue.ROUGHNESS_MM": 0,
}  # fmt: skip
STRANDS = dict.fromkeys(("SPICULATED_SHARE", "FED_SHARE", "TAGGED_SHARE"), 0)
ROWS = {
    "(complete)": Change(),
    "the chest wall: nodules and candidates 12 mm and more from it": Change(
        {"nodules.PLACE_SHARES": {"free": 0.7, "vessel": 0.3}, "candidates.WALL_MM": -12.0}
    ),
    "kinds and shapes of nodules: all round and solid": Change(PLAIN),
    "spicules, vessels and tags of nodules": Change({f"nodule_tissue.{k}": v for k, v in STRANDS.items()}),
    "change of contrast and brightness, blur and noise in training": Change(
        augmentation=dict.fromkeys(("contrast", "brightness", "blur", "noise"), 0.0)
    ),
    "blur of the scanner": Change({"scanner.BLUR_MM": (0.01, 0.01), "scanner.BLUR_SLICES": (0.01, 0.01)}),
    "forks of vessels": Change({"vessels.FORK_RADII": NEVER}),
    "airways": Change({"vessels.AIRWAY_SHARE": 0}),
    "emphysema, haze and thickened pleura": Change(
        {"tissue.EMPHYSEMA_SHARE": 0, "tissue.HAZE_SHARE": 0, "tissue.THICKENED_SHARE": 0}
    ),
}


def draw(change: Change, seed: int) -> tuple[Blocks, npt.NDArray[np.int64]]:
    """Crops of all candidates of CTs without what a row leaves out, and their classes."""
    for name, value in change.constants.items():
        module, constant = name.split(".")
        place = importlib.import_module(f"luna.phantom.{module}")
        # A constant that has another name by now must not pass for one that makes no difference.
        getattr(place, constant)
        setattr(place, constant, value)
    blocks, classes = [], []
    for number in range(CTS):
        series = draw_series(PhantomSettings(), seed, number)
        ct: Any = SimpleNamespace(hu=series.hu)
        blocks += [cut_block(ct, center, SETTINGS) for center in series.candidates_irc]
        classes.append(series.classes)
    return np.stack(blocks), np.concatenate(classes)


def measured(name: str, seed: int, rod: list[tuple[BoolArray, Blocks]]) -> list[dict[str, Any]]:
    """Rows of the table for one training: one a half of the patients.

    rod: of nodules and of blobs, which of them are in the half for tuning (n,), and their crops.
    """
    torch.set_num_threads(1)
    change = ROWS[name]
    blocks, classes = draw(change, seed)
    config = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text(encoding="utf-8"))
    balanced = read_config(config).runs["balanced"].model_dump()
    balanced["augmentation"] |= change.augmentation
    recipe = Recipe.model_validate(
        balanced | {"epochs": 1, "samples_per_epoch": SAMPLES, "crop": (), "threads": 1}
    )
    model = trained(blocks[classes == 1], blocks[classes == 0], SETTINGS, recipe, seed)
    rows = []
    for half, tuned in (("tune", True), ("report", False)):
        found = (
            scores([model], crops[for_tuning == tuned], torch.device("cpu"), flips=False)
            for for_tuning, crops in rod
        )
        rows.append({"without": name, "seed": seed, "half": half} | measures(*found))
    print(rows, flush=True)
    return rows


def main() -> None:
    parser = parser_of(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="CSV of all trainings")
    options = parsed(parser)
    rod = read_rod(options.data)
    samples = [(each.tuned, crops_of(each.cubes)) for each in (rod.nodules, rod.blobs)]
    # A process does one training: the constants that it changed end with it.
    with ProcessPoolExecutor(os.cpu_count(), max_tasks_per_child=1) as pool:
        jobs = product(range(options.seeds), ROWS)
        running = [pool.submit(measured, name, seed, samples) for seed, name in jobs]
        table = pd.DataFrame([row for job in running for row in job.result()])
    if options.out:
        table.to_csv(options.out, index=False)
    for half, part in table.groupby("half"):
        print(f"\n{half}:\n\n| without | AUC | average precision |\n|---|---|---|")
        for name in ROWS:
            values = part[part["without"] == name]
            print(f"| {name} | {spread(values['AUC'])} | {spread(values['AP'])} |")


if __name__ == "__main__":
    main()

"""Training on crops that are in memory, without the workflow."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.base.arrays import HuArray, IntArray
from luna.base.digests import digest
from luna.config.cache import CropSettings
from luna.config.machine import Logs, Machine
from luna.config.recipe import Recipe
from luna.config.split import SplitSettings
from luna.data.tables import IRC
from luna.model.file import ModelFile
from luna.training.job import TrainingJob
from luna.training.loop import train

Blocks = npt.NDArray[np.int16]
"""Crops with their margin, in HU (n, index, row, column)."""


class ArrayCrops:
    """A source of crops that are in memory."""

    def __init__(self, blocks: Blocks, settings: CropSettings) -> None:
        self.settings, self._blocks = settings, blocks

    def digest_of(self, rows: IntArray) -> str:
        """Changes with the rows and their crops."""
        return digest([rows.tolist(), int(self._blocks[rows].astype(np.int64).sum())])

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` with the crop of a row."""
        out[...] = self._blocks[row]


def trained(
    positives: Blocks, negatives: Blocks, settings: CropSettings, recipe: Recipe, seed: int
) -> ModelFile:
    """The model after the recipe's single epoch, so that the two samples that validate choose nothing."""
    assert recipe.epochs == 1
    blocks = np.concatenate([positives, negatives, positives[:1], negatives[:1]])
    classes = np.repeat([1, 0, 1, 0], [len(positives), len(negatives), 1, 1])
    subset = np.repeat([2, 1], [len(blocks) - 2, 2])
    table = pd.DataFrame({"seriesuid": "1", "subset": subset, "class": classes} | dict.fromkeys(IRC, 0))
    # The fold's test set: a row that nothing reads.
    table = pd.concat([table, table[:1].assign(subset=0)], ignore_index=True)
    source = ArrayCrops(np.concatenate([blocks, blocks[:1]]), settings)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        job = TrainingJob(
            run="in memory", fold=0, recipe=recipe, split=SplitSettings(), seed=seed, code="",
            model_file=out / "model.pt", history_file=out / "history.csv",
            validation_file=out / "validation.csv", state_folder=out / "state",
        )  # fmt: skip
        train(job, Machine(), Logs(), table, source)
        return ModelFile.load(out / "model.pt")

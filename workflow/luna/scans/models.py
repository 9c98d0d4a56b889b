"""Trained models, loaded to say how likely places in a CT are nodules."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from luna.base.arrays import FloatArray, IntArray
from luna.base.errors import UserError
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import make_loader
from luna.crops.sources import CtCrops
from luna.data.tables import IRC, XYZ
from luna.imaging.ct import Ct
from luna.imaging.geometry import irc_to_xyz
from luna.model.file import ModelFile
from luna.model.inference import predict

_READERS = 2


@dataclass(frozen=True)
class LoadedModel:
    """A trained model with its network on a device."""

    model: ModelFile
    network: nn.Module
    device: torch.device

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "LoadedModel":
        """From a model.pt. Raises UserError where it is missing, damaged or of another version."""
        model = ModelFile.load(path)
        return cls(model, model.network(device), device)

    def probabilities(self, ct: Ct, centers_irc: IntArray, name: str = "model") -> FloatArray:
        """Calibrated probability of a nodule at each of the voxels (n, 3), float64 (n,).

        name: of the model, where progress is shown.
        """
        if not len(centers_irc):
            return np.zeros(0)
        table = pd.DataFrame(irc_to_xyz(centers_irc, ct.grid), columns=XYZ)
        table = table.assign(seriesuid=ct.series_uid, **dict(zip(IRC, centers_irc.T, strict=True)))
        dataset = LunaDataset(
            table.assign(**{"class": 0}), CtCrops(ct, centers_irc, self.model.crop_settings)
        )
        loader = make_loader(dataset, self.device, "threads", _READERS)
        label = f"{ct.series_uid}: {len(centers_irc)} places, {name}"
        found = predict(self.network, loader, self.device, self.model.recipe.precision, label=label)
        return self.model.calibration.of(found.probabilities)


def model_files(paths: Sequence[Path]) -> list[Path]:
    """The models that paths stand for: files, and of a folder every model.pt below it, else its fold*.pt.

    Raises UserError that lists the paths that do not exist and the folders without models.
    """
    files, problems = list[Path](), []
    for path in paths:
        found = sorted(path.rglob("model.pt")) or sorted(path.glob("fold*.pt")) if path.is_dir() else [path]
        if not found:
            problems.append(f"{path}: a folder without models (model.pt, or fold0.pt, fold1.pt, ...)")
        problems += [f"{file}: no such file" for file in found if not file.is_file()]
        files += found
    if problems:
        raise UserError("not all models can be used", problems)
    return list(dict.fromkeys(file.resolve() for file in files))


def load_models(files: Sequence[Path], device: torch.device) -> list[LoadedModel]:
    """Models on a device. Raises UserError that lists every file that cannot be used."""
    loaded, problems = [], []
    for file in files:
        try:
            loaded.append(LoadedModel.load(file, device))
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("not all models can be used", problems)
    return loaded


@dataclass(frozen=True)
class Models:
    """Those whose mean says how likely a place is a nodule, and the small one that sifts proposals before."""

    ensemble: list[LoadedModel]
    sieve: LoadedModel

    @property
    def names(self) -> list[str]:
        """Run, fold and epoch of the ensemble's."""
        models = [each.model for each in self.ensemble]
        return [f"run {each.run}, fold {each.fold}, epoch {each.epoch}" for each in models]

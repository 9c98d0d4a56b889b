"""model.pt: the file that holds all that predicting needs. Reading one never runs code from it."""

import logging
import math
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, is_tensor, nn

from luna.base.digests import digest
from luna.base.errors import UserError
from luna.base.files import atomic_path
from luna.config.cache import CropSettings
from luna.config.recipe import Recipe
from luna.config.split import SplitSettings
from luna.model.build import build_model
from luna.model.key import TrainingKey
from luna.model.layers import CLASS_NAMES
from luna.runtime.device import place
from luna.scoring.calibration import Calibration, Isotonic, Scaling

FORMAT = 5

HEAD = "head_"
"""How the names of the last layer's weights begin, whose shape follows from the crop."""

_CALIBRATION: TypeAdapter[Scaling | Isotonic] = TypeAdapter(Calibration)

log = logging.getLogger(__name__)

Weights = dict[str, Tensor]


class DamagedFileError(Exception):
    """A file of tensors that is damaged, or that holds more than tensors and plain values."""


@dataclass(frozen=True)
class ModelFile:
    """A trained model.

    weights: of the best epoch. crop: voxels (index, row, column); clip: HU range of the input.
    threshold: the probability above which a candidate is called a nodule. choices: from how many epochs, its
    own times those of the runs that it starts from, its validation set chose it. calibration: makes its
    probabilities those that hold among the candidates of its validation set. key: all that the training
    depended on.
    """

    weights: Weights
    crop: tuple[int, int, int]
    clip: tuple[int, int]
    threshold: float
    calibration: Scaling | Isotonic
    choices: int
    epoch: int
    run: str
    fold: int
    recipe: Recipe
    split: SplitSettings
    seed: int
    key: TrainingKey
    class_names: tuple[str, ...] = CLASS_NAMES

    @property
    def crop_settings(self) -> CropSettings:
        """How crops are cut for this model: without a margin, because nothing shifts them."""
        return CropSettings(crop=self.crop, margin=(0, 0, 0), clip=self.clip)

    def save(self, path: Path) -> None:
        """Write model.pt, atomically: tensors and plain values only, so that it loads safely."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        records = ("recipe", "split", "key", "calibration")
        content |= {name: content[name].model_dump(mode="json") for name in records}
        # Through a file object: given a path, torch writes the temporary name into the file.
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save({"format": FORMAT, **content}, file)

    @classmethod
    def load(cls, path: Path) -> "ModelFile":
        """Read model.pt. Raises UserError when the file is missing, damaged or of another version."""
        try:
            content = load_tensors(path)
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file; train a model first") from error
        except DamagedFileError as error:
            raise UserError(f"{path}: not a model file, or damaged; train the model again") from error
        problem = UserError(f"{path}: not a model file of this version; train the model again")
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise problem
        try:
            content["recipe"] = Recipe.model_validate(content["recipe"])
            content["split"] = SplitSettings.model_validate(content["split"])
            content["key"] = TrainingKey.model_validate(content["key"])
            content["calibration"] = _CALIBRATION.validate_python(content["calibration"])
            trained = cls(**content)
            trained.crop_settings  # noqa: B018 - checks crop and clip
            if not math.isfinite(trained.threshold):
                raise problem
        except (ValidationError, KeyError, TypeError) as error:
            raise problem from error
        if not all(is_tensor(value) and value.isfinite().all() for value in trained.weights.values()):
            raise UserError(f"{path}: some of its weights are no finite numbers; train the model again")
        return trained

    def network(self, device: torch.device) -> nn.Module:
        """The trained network on the device, ready to predict."""
        model = build_model(self.recipe.model, self.crop)
        try:
            model.load_state_dict(self.weights)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise UserError(
                f"the model of run {self.run} holds other weights than its network has; train it again"
            ) from error
        return place(model, device).eval()


def load_tensors(path: Path) -> Any:
    """What torch.save wrote, on the CPU.

    Raises DamagedFileError, also for a single flipped bit, and FileNotFoundError.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # torch does not look at the checksums that it writes.
                if (member := archive.testzip()) is not None:
                    raise DamagedFileError(f"{member} is damaged")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, DamagedFileError):
        raise
    except Exception as error:
        # Damaged bytes can make the reader raise anything.
        raise DamagedFileError(str(error).split("\n")[0]) from error


def weights_digest(path: Path) -> str:
    """Changes with the weights in a file, not with what else is in it.

    Raises UserError where the file cannot be read.
    """
    state = _read_weights(path)
    return digest([[name, list(value.shape), value.contiguous().numpy().tobytes().hex()]
                   for name, value in sorted(state.items())])  # fmt: skip


def load_weights(model: nn.Module, path: Path, may_differ: str = "") -> None:
    """Load weights, strictly: UserError lists every name that does not fit.

    may_differ: those whose name begins so stay as they are where their shape is another.
    """
    state = _read_weights(path)
    own = model.state_dict()
    heads = [name for name in own if may_differ and name.startswith(may_differ) and name in state]
    kept = [name for name in heads if state[name].shape != own[name].shape]
    if kept:
        log.info("%s: %s have another shape here and start anew", path, ", ".join(kept))
        state = state | {name: own[name] for name in kept}
    problems = [f"missing: {name}" for name in own if name not in state]
    problems += [f"unknown: {name}" for name in state if name not in own]
    problems += [
        f"{name}: shape {tuple(state[name].shape)}, the model has {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if problems:
        raise UserError(f"{path}: the weights do not fit the model", problems)
    model.load_state_dict(state)


def _read_weights(path: Path) -> Weights:
    """The weights in a model.pt or in a file of weights only."""
    try:
        state = load_tensors(path)
    except (DamagedFileError, FileNotFoundError) as error:
        raise UserError(f"{path}: no readable weights ({error})") from error
    if isinstance(state, dict):
        keys = ("weights", "model_state", "state_dict")
        state = next((state[key] for key in keys if key in state), state)
    if not isinstance(state, dict) or not all(is_tensor(value) for value in state.values()):
        raise UserError(f"{path}: holds no weights: a dict of tensors by name is needed")
    return state


def copied(weights: Weights) -> Weights:
    """A copy of some weights on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}

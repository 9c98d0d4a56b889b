"""What a model says of samples, and model.pt: the file that holds all that is needed for it."""

import math
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from luna.augment import to_input
from luna.checkpoints import DamagedFileError, load_tensors
from luna.dataset import batches_of
from luna.device import autocast, place
from luna.distributed import ALONE, Team
from luna.fileio import atomic_path
from luna.loader import Loader
from luna.model import build_model
from luna.program import UserError

FORMAT = 1


class Predictions(NamedTuple):
    """For every sample of a dataset, in its order: probability of a nodule and loss, float64 (n,)."""

    probabilities: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]


def predict(
    model: nn.Module,
    loader: Loader,
    device: torch.device,
    precision: str,
    batch_size: int = 64,
    flips: bool = False,
    team: Team = ALONE,
) -> Predictions:
    """Run a model over a loader's dataset without training it. The results reach the host once.

    flips: average over the eight mirror images of each crop (test-time augmentation). The
    processes of a team share the samples, and all get the whole result.
    """
    dataset = loader.dataset
    crop = dataset.source.settings.crop
    kept = torch.zeros((2, len(dataset)), device=device)
    part = team.part(np.arange(len(dataset)))
    batches = batches_of(np.arange(len(dataset))[part], batch_size)
    was_training = model.training
    model.eval()
    done = part.start
    with torch.inference_mode(), autocast(device, precision):
        for batch in loader.load(batches):
            log_probabilities = _log_probabilities(model, to_input(batch.crops, crop), flips)
            stop = done + len(batch.labels)
            kept[0, done:stop] = log_probabilities[:, 1].exp()
            kept[1, done:stop] = functional.nll_loss(log_probabilities, batch.labels, reduction="none")
            done = stop
    team.sum(kept)
    model.train(was_training)
    probabilities, losses = kept.double().cpu().numpy()
    return Predictions(probabilities, losses)


def _log_probabilities(model: nn.Module, crops: Tensor, flips: bool) -> Tensor:
    """Of both classes, float32 (n, 2); the mean is that of the probabilities."""
    if not flips:
        return model(channels_last(crops))[0].float().log_softmax(1)
    axes = [axes for count in range(4) for axes in combinations((2, 3, 4), count)]
    each = [model(channels_last(crops.flip(chosen)))[0].float().log_softmax(1) for chosen in axes]
    return torch.stack(each).logsumexp(0) - math.log(len(axes))


def channels_last(crops: Tensor) -> Tensor:
    """The input in the memory format of the model."""
    return crops.contiguous(memory_format=torch.channels_last_3d)


def save_model(path: Path, model_file: dict[str, Any]) -> None:
    """Write model.pt, atomically: tensors and plain values only, so that it loads safely."""
    # Through a file object: given a path, torch writes the temporary name into the file.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save({"format": FORMAT, **model_file}, file)


def load_model_file(path: Path) -> dict[str, Any]:
    """Read model.pt without running any code in it. Raises UserError when it is none."""
    try:
        loaded = load_tensors(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; train a model first") from error
    except DamagedFileError as error:
        raise UserError(f"{path}: not a model file, or damaged; train the model again") from error
    if not isinstance(loaded, dict) or loaded.get("format") != FORMAT:
        raise UserError(f"{path}: not a model file of this version; train the model again")
    return loaded


def model_from_file(model_file: dict[str, Any], device: torch.device) -> nn.Module:
    """The trained network on the device, ready to predict."""
    model = build_model(model_file["model"], model_file["crop"])
    model.load_state_dict(model_file["weights"])
    return place(model, device).eval()


def load_weights(model: nn.Module, path: Path) -> None:
    """Load published weights strictly. Raises UserError that lists every name that does not fit."""
    try:
        state = load_tensors(path)
    except (DamagedFileError, FileNotFoundError) as error:
        raise UserError(f"{path}: no readable weights ({error})") from error
    state = next((state[key] for key in ("weights", "model_state", "state_dict") if key in state), state)
    own = model.state_dict()
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

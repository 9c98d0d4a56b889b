"""What a model says of samples, and model.pt: the file that holds all that is needed for it."""

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from luna.augment import to_input
from luna.dataset import batches_of
from luna.device import autocast, place
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
) -> Predictions:
    """Run a model over a loader's dataset without training it. The results reach the host once."""
    dataset = loader.dataset
    crop = dataset.source.settings.crop
    kept = torch.empty((2, len(dataset)), device=device)
    batches = batches_of(np.arange(len(dataset)), batch_size)
    was_training = model.training
    model.eval()
    done = 0
    with torch.inference_mode(), autocast(device, precision):
        for batch in loader.load(batches):
            logits, probabilities = model(channels_last(to_input(batch.crops, crop)))
            stop = done + len(batch.labels)
            kept[0, done:stop] = probabilities[:, 1]
            kept[1, done:stop] = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
            done = stop
    model.train(was_training)
    probabilities, losses = kept.double().cpu().numpy()
    return Predictions(probabilities, losses)


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
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; train a model first") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
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
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise UserError(f"{path}: no readable weights ({str(error).splitlines()[0]})") from error
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

"""What a model predicts for the samples of a dataset. The only place where that is computed."""

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from luna.base.arrays import FloatArray
from luna.base.progress import progress
from luna.batches.augment import to_input
from luna.batches.loaders import Loader, batches_of
from luna.runtime.device import autocast
from luna.runtime.team import ALONE, Team


class Predictions(NamedTuple):
    """For every sample of a dataset, in its order: probability of a nodule and loss, float64 (n,)."""

    probabilities: FloatArray
    losses: FloatArray


def predict(
    model: nn.Module,
    loader: Loader,
    device: torch.device,
    precision: str,
    batch_size: int = 64,
    flips: bool = False,
    team: Team = ALONE,
    label: str = "",
) -> Predictions:
    """Run a model over a loader's dataset without training it. The results reach the host once.

    flips: average over the eight mirror images of each crop (test-time augmentation). The
    processes of a team share the samples, and all get the whole result. label: names the loop where
    its progress is shown.
    """
    dataset = loader.dataset
    crop = dataset.crop_size
    kept = torch.zeros((2, len(dataset)), device=device)
    part = team.part(np.arange(len(dataset)))
    batches = batches_of(np.arange(len(dataset))[part], batch_size)
    was_training = model.training
    model.eval()
    done = part.start
    with torch.inference_mode(), autocast(device, precision):
        loaded = loader.load(batches)
        for batch in progress(loaded, label, len(batches)):
            log_probabilities = _log_probabilities(model, to_input(batch.crops, crop), flips)
            stop = done + len(batch.labels)
            kept[0, done:stop] = log_probabilities[:, 1].exp()
            kept[1, done:stop] = functional.nll_loss(log_probabilities, batch.labels, reduction="none")
            done = stop
    team.sum(kept)
    model.train(was_training)
    probabilities, losses = kept.double().cpu().numpy()
    return Predictions(probabilities, losses)


def channels_last(crops: Tensor) -> Tensor:
    """The input in the memory format of the model."""
    return crops.contiguous(memory_format=torch.channels_last_3d)


def probabilities_of(model: nn.Module, crops: Tensor, flips: bool = False) -> Tensor:
    """Probability that each of the crops (n, 1, index, row, column), in HU, is a nodule, float32 (n,)."""
    return _log_probabilities(model, crops, flips)[:, 1].exp()


def _log_probabilities(model: nn.Module, crops: Tensor, flips: bool) -> Tensor:
    """Of both classes, float32 (n, 2); the mean is that of the probabilities."""
    if not flips:
        return model(channels_last(crops))[0].float().log_softmax(1)
    axes = [axes for count in range(4) for axes in combinations((2, 3, 4), count)]
    each = [model(channels_last(crops.flip(chosen)))[0].float().log_softmax(1) for chosen in axes]
    return torch.stack(each).logsumexp(0) - math.log(len(axes))

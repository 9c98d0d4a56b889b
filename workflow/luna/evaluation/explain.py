"""Where in its crops a model looks.

The gradient of the nodule's logit less the other's, averaged over the path from a crop of air to the crop:
integrated gradients (Sundararajan, Taly, Yan 2017) before they are multiplied by the crop. That product shows
bright tissue whatever was learned; what remains shows where a brighter voxel would speak for a nodule.
Whether maps say anything of the model at all is asked as Adebayo et al. (2018) do: with random weights they
must be others.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from captum.attr import IntegratedGradients
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from luna.base.arrays import FloatArray
from luna.base.progress import progress
from luna.base.randomness import torch_seed
from luna.batches.augment import to_input
from luna.batches.dataset import LunaDataset, middle
from luna.config.machine import Machine
from luna.crops.sources import CropSource
from luna.data.tables import read_stage_table
from luna.model.build import build_model
from luna.model.file import ModelFile
from luna.model.inference import channels_last
from luna.runtime.cores import usable_threads
from luna.runtime.device import autocast, place, prepared_device
from luna.scoring.examples import shown_candidates
from luna.scoring.predictions import TESTED_COLUMNS
from luna.scoring.saliency import Saliency

STEPS = 4
"""Points of the path from air to the crop (Gauss-Legendre)."""
COMPARED = 16
"""Candidates whose maps are compared with those of random weights."""
_BATCH = 8
_SMOOTHING = 1.0
"""Voxels: single voxels' gradients are noise."""
_BRIGHTEST = 99.5
"""The percentile of a map's positive values that is drawn brightest."""

log = logging.getLogger(__name__)

GreyArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ExplanationJob:
    """A tested model, how many negatives are looked at beside the nodules, and the file to write."""

    model_file: Path
    predictions_file: Path
    negatives: int
    saliency_file: Path


def explain(job: ExplanationJob, machine: Machine, candidates: pd.DataFrame, source: CropSource) -> None:
    """Write saliency.npz for the candidates that the report shows. candidates: rows of candidates.csv."""
    trained = ModelFile.load(job.model_file)
    predictions = read_stage_table(job.predictions_file, TESTED_COLUMNS)
    rows = np.sort(shown_candidates(predictions, job.negatives)["id"].to_numpy(dtype=np.int64))
    whole = source.settings.crop
    half = tuple(-(-size // 2) for size in whole)
    if not len(rows):
        Saliency(rows, np.zeros((0, *half), np.uint8), np.nan).save(job.saliency_file)
        return
    dataset = LunaDataset(candidates, source, rows, crop=trained.crop)
    with (
        prepared_device(machine.device, usable_threads(machine.threads)) as device,
        autocast(device, trained.recipe.precision),
    ):
        network = trained.network(device)
        maps = attributions(network, dataset, device, f"{trained.run} fold {trained.fold}")
        some = np.unique(np.linspace(0, len(rows) - 1, COMPARED).astype(int))
        few = LunaDataset(candidates, source, rows[some], crop=trained.crop)
        others = attributions(randomised(trained, device), few, device)
    grey = [as_grey(each) for each in maps]
    agreement = rank_correlation([grey[n] for n in some], [as_grey(each) for each in others])
    log.info("rank correlation of maps with those of random weights: %.2f", agreement)
    drawn = np.stack([halved(placed(each, whole)) for each in grey])
    Saliency(dataset.rows, drawn, agreement).save(job.saliency_file)


class _Evidence(nn.Module):
    """The logit of a nodule less that of the other class, (n,), for crops as a model takes them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """float32 (n, 1, index, row, column) -> (n,)."""
        logits = self.network(channels_last(crops))[0].float()
        return logits[:, 1] - logits[:, 0]


def attributions(
    network: nn.Module, dataset: LunaDataset, device: torch.device, label: str = ""
) -> npt.NDArray[np.float32]:
    """How much a brighter voxel adds to the evidence for a nodule, per HU, float32 (n, index, row, column).

    Times crop less air, it sums to the evidence for the crop less that for air, but for the error of STEPS.
    """
    method = IntegratedGradients(_Evidence(network), multiply_by_inputs=False)
    starts = range(0, len(dataset), _BATCH)
    found = []
    for start in progress(starts, label, len(starts)):
        crops = np.stack([dataset.crop(n) for n in range(start, min(start + _BATCH, len(dataset)))])
        batch = to_input(torch.from_numpy(crops).to(device), dataset.crop_size)
        air = torch.full_like(batch, float(dataset.source.settings.clip[0]))
        found.append(method.attribute(batch, air, n_steps=STEPS, internal_batch_size=2 * _BATCH))
    return torch.cat(found)[:, 0].float().cpu().numpy()


def randomised(trained: ModelFile, device: torch.device) -> nn.Module:
    """The same network with other weights: those of the input's normalisation are kept."""
    torch.manual_seed(torch_seed(trained.seed, "saliency"))
    fresh = build_model(trained.recipe.model, trained.crop)
    norms = {name: value for name, value in trained.weights.items() if name.startswith("tail_batchnorm")}
    fresh.load_state_dict(fresh.state_dict() | norms)
    return place(fresh, device).eval()


def rank_correlation(maps: Sequence[GreyArray], others: Sequence[GreyArray]) -> float:
    """Mean rank correlation of two sets of maps as they are drawn; NaN where all are constant."""
    each = [
        pd.DataFrame({"one": one.ravel(), "other": other.ravel()}).corr("spearman").loc["one", "other"]
        for one, other in zip(maps, others, strict=True)
        if np.ptp(one) > 0 and np.ptp(other) > 0
    ]
    return float(np.mean(each)) if each else float("nan")


def as_grey(attribution: npt.NDArray[np.float32]) -> GreyArray:
    """What speaks for a nodule, smoothed, from 0 to 255."""
    smooth: FloatArray = gaussian_filter(np.maximum(attribution, 0), _SMOOTHING)
    positive = smooth[smooth > 0]
    if not len(positive):
        return np.zeros(smooth.shape, np.uint8)
    return (255 * np.clip(smooth / np.percentile(positive, _BRIGHTEST), 0, 1)).astype(np.uint8)


def placed(grey: GreyArray, whole: tuple[int, ...]) -> GreyArray:
    """A map of what a model sees in the middle of a crop of the cache."""
    room = np.zeros(whole, np.uint8)
    room[middle(whole, grey.shape)] = grey
    return room


def halved(grey: GreyArray) -> GreyArray:
    """The mean of every two voxels along each axis; an odd end is repeated."""
    even = np.pad(grey, [(0, size % 2) for size in grey.shape], mode="edge").astype(np.float32)
    depth, rows, columns = (size // 2 for size in even.shape)
    blocks = even.reshape(depth, 2, rows, 2, columns, 2)
    return blocks.mean(axis=(1, 3, 5)).astype(np.uint8)

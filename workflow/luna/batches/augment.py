"""From int16 crops to the network's input, on the device: cut the margin, augment, convert.

A crop is moved by two cheap resamplings, one after the other: along the index axis, and in the
row-column plane with all slices as channels. Together they flip, shift, scale and rotate (in the
plane, because patients lie turned about the index axis).
"""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from luna.base.randomness import rng, torch_seed
from luna.batches.epoch import Epoch, Position
from luna.config.recipe import Augmentation

Size = tuple[int, int, int]

LUNG_HU = -850.0
"""A change of contrast leaves the lung as it is."""


class Motion(NamedTuple):
    """How each crop of a batch is moved.

    flip: 1 or -1 per axis, (n, 3). shift: voxels per axis, (n, 3). scale: a factor, (n,). angle: in
    the row-column plane, in radians, (n,).
    """

    flip: Tensor
    shift: Tensor
    scale: Tensor
    angle: Tensor


def to_input(blocks: Tensor, crop: Size) -> Tensor:
    """int16 blocks (n, index, row, column) with margin -> float32 (n, 1, *crop) in HU, margin cut off."""
    for axis, size in enumerate(crop, start=1):
        blocks = blocks.narrow(axis, (blocks.shape[axis] - size) // 2, size)
    return blocks.float().unsqueeze(1)


class Augmenter:
    """The random changes to the samples of one epoch.

    They belong to a sample's place in the epoch, so they depend neither on the loader nor on the
    number of processes.
    """

    def __init__(
        self,
        augmentation: Augmentation,
        crop: Size,
        seed: int,
        epoch: Epoch,
        device: torch.device,
    ) -> None:
        self._augmentation, self._crop, self._seed, self._epoch = augmentation, crop, seed, epoch
        self._device = device
        self._drawn: dict[str, Tensor] = {}

    def __call__(self, blocks: Tensor, position: Position) -> Tensor:
        """int16 blocks (n, index, row, column) with margin -> float32 (n, 1, *crop) in HU."""
        amount = self._augmentation
        if max(amount.flip, amount.shift, amount.scale, amount.rotate) > 0:
            crops = move(blocks, self._crop, self._motion(position))
        else:
            crops = to_input(blocks, self._crop)
        if amount.blur > 0:
            crops = torch.where(self._chosen("blur", amount.blur, position), blurred(crops), crops)
        if amount.contrast > 0:
            factor = 1 + amount.contrast * self._between("contrast", position)
            crops = LUNG_HU + (crops - LUNG_HU) * factor
        if amount.brightness > 0:
            crops = crops + amount.brightness * self._between("brightness", position)
        if amount.noise > 0:
            crops = crops + self._noise(position)
        return crops

    def _motion(self, position: Position) -> Motion:
        amount = self._augmentation
        return Motion(
            flip=1 - 2 * (self._uniform("flip", 3, position) < amount.flip).float(),
            shift=amount.shift * (2 * self._uniform("shift", 3, position) - 1),
            scale=1 + amount.scale * (2 * self._uniform("scale", 1, position)[:, 0] - 1),
            angle=math.radians(amount.rotate) * (2 * self._uniform("rotate", 1, position)[:, 0] - 1),
        )

    def _between(self, name: str, position: Position) -> Tensor:
        """A number between -1 and 1 for each sample, to multiply crops with, float32 (n, 1, 1, 1, 1)."""
        return (2 * self._uniform(name, 1, position) - 1)[:, :, None, None, None]

    def _chosen(self, name: str, share: float, position: Position) -> Tensor:
        """Which samples are changed, a share of them on average, bool (n, 1, 1, 1, 1)."""
        return (self._uniform(name, 1, position) < share)[:, :, None, None, None]

    def _uniform(self, name: str, count: int, position: Position) -> Tensor:
        """Random numbers in [0, 1) for each sample, float32 (n, count), from a stream of this name."""
        if name not in self._drawn:
            drawn = uniform(len(self._epoch.order), count, self._seed, name, self._epoch.number)
            self._drawn[name] = torch.from_numpy(drawn).to(self._device)
        return self._drawn[name][position.part]

    def _noise(self, position: Position) -> Tensor:
        """Gaussian noise in HU, float32 (n, 1, *crop).

        It is drawn for the whole batch, so that each process adds what a single one would have.
        """
        whole, part = position.whole, position.part
        generator = torch.Generator(self._device)
        generator.manual_seed(torch_seed(self._seed, "noise", self._epoch.number, position.step))
        noise = torch.empty((whole.stop - whole.start, 1, *self._crop), device=self._device)
        noise.normal_(0, self._augmentation.noise, generator=generator)
        return noise[part.start - whole.start : part.stop - whole.start]


def blurred(crops: Tensor) -> Tensor:
    """Crops (n, 1, index, row, column) smoothed with 1/4, 1/2, 1/4 along rows and columns: 0.7 voxels."""
    for axis in (3, 4):
        size = crops.shape[axis]
        # The voxel beyond the border repeats the last one.
        before = torch.cat([crops.narrow(axis, 0, 1), crops.narrow(axis, 0, size - 1)], axis)
        after = torch.cat([crops.narrow(axis, 1, size - 1), crops.narrow(axis, size - 1, 1)], axis)
        crops = (before + 2 * crops + after) / 4
    return crops


def uniform(samples: int, count: int, seed: int, name: str, epoch: int) -> np.ndarray:
    """Uniform random numbers of an epoch, float32 (samples, count) in [0, 1)."""
    return rng(seed, f"augmentation {name}", epoch).random((samples, count), dtype=np.float32)


def move(blocks: Tensor, crop: Size, motion: Motion) -> Tensor:
    """Move each of int16 blocks (n, index, row, column) -> float32 (n, 1, *crop)."""
    flip, shift, scale, angle = motion
    slices = _resample_index_axis(blocks, crop[0], flip[:, 0] * scale, shift[:, 0])
    plane = _resample_plane(slices, crop[1:], flip[:, 1:] * scale[:, None], shift[:, 1:], angle)
    return plane.unsqueeze(1)


def _resample_index_axis(blocks: Tensor, size: int, factor: Tensor, shift: Tensor) -> Tensor:
    """Linear interpolation along the index axis, (n, D, h, w) -> float32 (n, size, h, w)."""
    depth = blocks.shape[1]
    steps = torch.arange(size, device=blocks.device) - (size - 1) / 2
    place = (depth - 1) / 2 + steps * factor[:, None] + shift[:, None]
    place = place.clamp(0, depth - 1)
    lower = place.floor().clamp(max=max(depth - 2, 0))
    share = (place - lower)[:, :, None, None]
    samples = torch.arange(len(blocks), device=blocks.device)[:, None]
    first = blocks[samples, lower.long()].float()
    second = blocks[samples, (lower.long() + 1).clamp(max=depth - 1)].float()
    return torch.lerp(first, second, share)


def _resample_plane(
    slices: Tensor, size: tuple[int, ...], factor: Tensor, shift: Tensor, angle: Tensor
) -> Tensor:
    """Bilinear interpolation in the row-column plane, (n, d, H, W) -> (n, d, *size)."""
    rows, columns = slices.shape[2:]
    cosine, sine = angle.cos(), angle.sin()
    # From the output's units to voxels; grid_sample wants columns first.
    along_row, along_column = factor[:, 1] * (size[1] / 2), factor[:, 0] * (size[0] / 2)
    to_column = torch.stack([cosine * along_row, -sine * along_column, shift[:, 1]], dim=1)
    to_row = torch.stack([sine * along_row, cosine * along_column, shift[:, 0]], dim=1)
    # In units in which the block reaches from -1 to 1. Plain numbers: a new tensor would wait for the GPU.
    theta = torch.stack([to_column * (2 / columns), to_row * (2 / rows)], dim=1)
    grid = functional.affine_grid(theta, [len(slices), 1, *size], align_corners=False)
    return functional.grid_sample(slices, grid, padding_mode="border", align_corners=False)

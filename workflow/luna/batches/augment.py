"""From int16 crops to the network's input, on the device: cut the margin, augment, convert.

A crop is moved by two cheap resamplings, one after the other: along the index axis, and in the
row-column plane with all slices as channels. Together they flip, shift, scale and rotate (in the
plane, because patients lie turned about the index axis).
"""

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from luna.batches.epoch import Epoch, Position
from luna.config.recipe import Augmentation

DRAWS = 8
"""Random numbers per sample: three flips, three shifts, one scale, one rotation."""

Size = tuple[int, int, int]


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
        self._augmentation, self._crop, self._seed, self._epoch = augmentation, crop, seed, epoch.number
        self._draws = torch.from_numpy(draw(len(epoch.order), seed, epoch.number)).to(device)

    def __call__(self, blocks: Tensor, position: Position) -> Tensor:
        """int16 blocks (n, index, row, column) with margin -> float32 (n, 1, *crop) in HU."""
        if moves_voxels(self._augmentation):
            crops = move(blocks, self._crop, self._augmentation, self._draws[position.part])
        else:
            crops = to_input(blocks, self._crop)
        if self._augmentation.noise > 0:
            crops = crops + self._noise(position, blocks.device)
        return crops

    def _noise(self, position: Position, device: torch.device) -> Tensor:
        """Drawn for the whole batch, so that each process adds what a single one would have."""
        count = position.whole.stop - position.whole.start
        seed = [self._seed, self._epoch, position.step]
        noise = draw_noise(count, self._crop, self._augmentation.noise, seed, device)
        return noise[position.part.start - position.whole.start : position.part.stop - position.whole.start]


def draw(samples: int, seed: int, epoch: int) -> np.ndarray:
    """Uniform random numbers of an epoch, float32 (samples, DRAWS) in [0, 1)."""
    return np.random.default_rng([seed, epoch, 1]).random((samples, DRAWS), dtype=np.float32)


def draw_noise(
    samples: int, crop: Size, standard_deviation: float, seed: list[int], device: torch.device
) -> Tensor:
    """Gaussian noise in HU, float32 (samples, 1, *crop), that depends on the seed alone."""
    generator = torch.Generator(device)
    generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    noise = torch.empty((samples, 1, *crop), device=device)
    return noise.normal_(0, standard_deviation, generator=generator)


def moves_voxels(augmentation: Augmentation) -> bool:
    """Whether the augmentation resamples crops."""
    return any(
        amount > 0
        for amount in (augmentation.flip, augmentation.shift, augmentation.scale, augmentation.rotate)
    )


def move(blocks: Tensor, crop: Size, augmentation: Augmentation, draws: Tensor) -> Tensor:
    """Flip, shift, scale and rotate each block as its draws (n, DRAWS) say -> float32 (n, 1, *crop)."""
    signed = draws * 2 - 1
    flip = 1 - 2 * (draws[:, 0:3] < augmentation.flip).float()
    shift = signed[:, 3:6] * augmentation.shift
    scale = 1 + signed[:, 6] * augmentation.scale
    angle = signed[:, 7] * np.deg2rad(augmentation.rotate)
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
    # In voxels; grid_sample wants columns first, and units in which the block reaches from -1 to 1.
    matrix = torch.stack(
        [
            torch.stack([cosine * factor[:, 1], -sine * factor[:, 0], shift[:, 1]], dim=1),
            torch.stack([sine * factor[:, 1], cosine * factor[:, 0], shift[:, 0]], dim=1),
        ],
        dim=1,
    )
    to_voxels = slices.new_tensor([size[1] / 2, size[0] / 2, 1.0])
    to_unit = slices.new_tensor([2 / columns, 2 / rows])
    theta = matrix * to_voxels * to_unit[:, None]
    grid = functional.affine_grid(theta, [len(slices), 1, *size], align_corners=False)
    return functional.grid_sample(slices, grid, padding_mode="border", align_corners=False)

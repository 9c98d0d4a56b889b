"""From int16 crops to the network's input, on the device: cut the margin, augment, convert.

A crop is moved by a chain of two cheap resamplings: along the index axis, and in the row-column
plane with all slices as channels. Together they flip, shift, scale and rotate (in the plane, where
a patient may lie turned).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor

DRAWS = 8
"""Random numbers each sample needs: three flips, three shifts, one scale, one rotation."""


def draw(samples: int, seed: int, epoch: int) -> npt.NDArray[np.float32]:
    """Uniform random numbers (samples, DRAWS) in [0, 1) of an epoch.

    They belong to a sample's place in the epoch, so they do not depend on loader or processes.
    """
    return np.random.default_rng([seed, epoch, 1]).random((samples, DRAWS), dtype=np.float32)


def is_geometric(augmentation: dict[str, Any]) -> bool:
    """Whether the augmentation moves voxels."""
    return any(augmentation[key] > 0 for key in ("flip", "shift", "scale", "rotate"))


def to_input(
    blocks: Tensor,
    crop: tuple[int, int, int],
    augmentation: dict[str, Any] | None = None,
    draws: Tensor | None = None,
    noise_hu: Tensor | None = None,
) -> Tensor:
    """int16 blocks (n, index, row, column) with margin -> float32 (n, 1, *crop) in HU.

    augmentation: the recipe's section, with `draws` (n, DRAWS) that say how each crop moves; without
    it the margin is cut off and nothing else. noise_hu: float32 (n, *crop) that is added.
    """
    if augmentation is None or draws is None or not is_geometric(augmentation):
        crops = _center(blocks, crop).float()
    else:
        crops = _move(blocks, crop, augmentation, draws)
    if noise_hu is not None:
        crops = crops + noise_hu
    return crops.unsqueeze(1)


def draw_noise(
    samples: int, crop: tuple[int, int, int], standard_deviation: float, seed: list[int], device: torch.device
) -> Tensor:
    """Gaussian noise in HU, float32 (samples, *crop), that depends on the seed alone."""
    generator = torch.Generator(device)
    generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    noise = torch.empty((samples, *crop), device=device)
    return noise.normal_(0, standard_deviation, generator=generator)


def _center(blocks: Tensor, crop: tuple[int, int, int]) -> Tensor:
    for axis, size in enumerate(crop, start=1):
        blocks = blocks.narrow(axis, (blocks.shape[axis] - size) // 2, size)
    return blocks


def _move(blocks: Tensor, crop: tuple[int, int, int], augmentation: dict[str, Any], draws: Tensor) -> Tensor:
    signed = draws * 2 - 1
    flip = 1 - 2 * (draws[:, 0:3] < augmentation["flip"]).float()
    shift = signed[:, 3:6] * augmentation["shift"]
    scale = 1 + signed[:, 6] * augmentation["scale"]
    angle = signed[:, 7] * np.deg2rad(augmentation["rotate"])
    slices = _resample_index_axis(blocks, crop[0], flip[:, 0] * scale, shift[:, 0])
    return _resample_plane(slices, crop[1:], flip[:, 1:] * scale[:, None], shift[:, 1:], angle)


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

"""Find the lungs in a CT."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from luna.base.arrays import BoolArray, FloatArray, Volume

AIR_HU, BODY_HU = -500, -300
"""Lung is below the first, the body's tissue above the second; clothes and couch covers are between."""
COARSE_MM = 2.0
"""Lungs are looked for in blocks of voxels up to this size."""
CLOSED_MM = 15.0
"""Radius over which the lungs are closed: what hangs on the wall up to about twice its size is in them."""
WALL_MM = 2.5
"""What of the wall is taken too, as nodules at the pleura reach into it."""
_SMALLEST_SHARE = 0.1
"""Air regions smaller than this share of the largest, such as the bowel's, are no lungs."""
_CLIP_HU = (-1000, 400)
_IN_SLICE = ndimage.generate_binary_structure(3, 1) & (np.arange(3) == 1)[:, None, None]
"""Neighbours in the same slice."""


class Lungs(NamedTuple):
    """The lungs in blocks of voxels.

    mask: closed over vessels, nodules and the hilum, and a little of the wall, (index, row, column).
    blocks: voxels of the CT in a block, by axis.
    """

    mask: BoolArray
    blocks: tuple[int, int, int]

    def voxels(self, shape: tuple[int, int, int]) -> BoolArray:
        """The mask on the CT's own voxels, of this shape."""
        full = self.mask
        for axis, (count, size) in enumerate(zip(self.blocks, shape, strict=True)):
            full = full.take(np.minimum(np.arange(size) // count, full.shape[axis] - 1), axis)
        return full


def find_lungs(hu: npt.NDArray[np.generic], spacing: FloatArray) -> Lungs:
    """The large regions of lung inside the body; an empty mask where there are none.

    hu: (index, row, column); spacing in the same order, in mm.
    """
    blocks = _blocks(spacing)
    air = _air_in_body(block_means(np.clip(hu, *_CLIP_HU), blocks))
    regions, _ = ndimage.label(air)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    large = np.flatnonzero(sizes >= max(1, _SMALLEST_SHARE * sizes.max()))
    return Lungs(close_lungs(np.isin(regions, large), spacing * blocks), blocks)


def lungs_of_air(air: BoolArray, spacing: FloatArray) -> Lungs:
    """Lungs of which the air is known, bool (index, row, column), closed as `find_lungs` closes them."""
    blocks = _blocks(spacing)
    coarse = block_means(air.astype(np.float32), blocks) >= 0.5
    return Lungs(close_lungs(coarse, spacing * blocks), blocks)


def _blocks(spacing: FloatArray) -> tuple[int, int, int]:
    first, second, third = (max(1, int(COARSE_MM / step)) for step in spacing)
    return first, second, third


def block_means(volume: npt.NDArray[np.generic], blocks: tuple[int, ...]) -> Volume:
    """Means over blocks of voxels; at the far faces, the last voxels are repeated to fill a block."""
    for axis, size in enumerate(blocks):
        if short := -volume.shape[axis] % size:
            volume = np.concatenate([volume, volume.take([-1] * short, axis)], axis)
        if size > 1:
            # Several times as fast as the mean of a reshaped volume.
            ahead: tuple[slice, ...] = (slice(None),) * axis
            total = volume[(*ahead, slice(0, None, size))].astype(np.float32)
            for offset in range(1, size):
                total += volume[(*ahead, slice(offset, None, size))].astype(np.float32)
            volume = total / np.float32(size)
    return np.asarray(volume, dtype=np.float32)


def _air_in_body(coarse: Volume) -> BoolArray:
    """Air that the body encloses, slice by slice: at its ends, a CT may cut through the windpipe.

    The body is the largest thing that is not air. What a hollow couch encloses is not in it. Outside is
    what reaches a corner of a slice: a lung that the field of view cuts off reaches a side only.
    """
    things, _ = ndimage.label(coarse > BODY_HU)
    sizes = np.bincount(things.ravel(), minlength=2)
    sizes[0] = 0
    body = things == max(1, sizes.argmax())
    parts, _ = ndimage.label(~body, _IN_SLICE)
    outside = np.unique(parts[:, (0, 0, -1, -1), (0, -1, 0, -1)])
    return np.asarray(~np.isin(parts, outside[outside > 0]) & (coarse < AIR_HU))


def close_lungs(lungs: BoolArray, spacing: FloatArray) -> BoolArray:
    """Lungs (index, row, column) closed with a ball of CLOSED_MM and grown by WALL_MM, by distances in mm."""
    reach = np.ceil((CLOSED_MM + WALL_MM) / spacing).astype(int)
    padded = np.pad(lungs, [(each, each) for each in reach])
    if not (found := ndimage.find_objects(padded.astype(np.uint8))):
        return lungs
    box = tuple(
        slice(part.start - each, part.stop + each) for part, each in zip(found[0], reach, strict=True)
    )
    grown = ndimage.distance_transform_edt(~padded[box], sampling=spacing) <= CLOSED_MM
    padded[box] = ndimage.distance_transform_edt(grown, sampling=spacing) > CLOSED_MM - WALL_MM
    return padded[tuple(slice(each, -each) for each in reach)]

"""Boxes of voxels cut out of a CT."""

import numpy as np
import numpy.typing as npt

from luna.base.arrays import HuArray

AIR_HU = -1000
"""Value in HU of the voxels of a crop that are outside the CT."""


def crop_start(center_irc: npt.ArrayLike, shape: npt.ArrayLike, size: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """First voxel of a crop of `size` around a centre, all (..., 3) in irc; int64.

    A crop that would leave the CT is shifted inwards. Where the CT is shorter than the crop the
    start is negative or zero and the whole axis of the CT is inside the crop.
    """
    center, shape, size = (np.asarray(value, dtype=np.int64) for value in (center_irc, shape, size))
    room = shape - size
    return np.clip(center - size // 2, np.minimum(room, 0), np.maximum(room, 0))


def cut_crop(hu: HuArray, start: npt.ArrayLike, size: tuple[int, ...]) -> HuArray:
    """Copy the box [start, start + size) out of a CT, int16; AIR_HU where there is no CT."""
    first = np.asarray(start, dtype=np.int64)
    last = first + size
    if (first >= 0).all() and (last <= hu.shape).all():
        return hu[tuple(slice(a, b) for a, b in zip(first, last, strict=True))].copy()
    crop = np.full(size, AIR_HU, dtype=np.int16)
    inside_first, inside_last = np.maximum(first, 0), np.minimum(last, hu.shape)
    if (inside_first < inside_last).all():
        source = tuple(slice(a, b) for a, b in zip(inside_first, inside_last, strict=True))
        target = tuple(
            slice(a - offset, b - offset)
            for a, b, offset in zip(inside_first, inside_last, first, strict=True)
        )
        crop[target] = hu[source]
    return crop

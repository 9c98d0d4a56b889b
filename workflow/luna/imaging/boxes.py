"""Boxes of voxels cut out of a CT."""

import numpy as np
import numpy.typing as npt

from luna.base.arrays import HuArray

AIR_HU = -1000
"""Value in HU of the voxels of a crop that are outside the CT."""


def crop_start(center_irc: npt.ArrayLike, size: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """First voxel of a crop of `size` around a centre, both (..., 3) in irc; int64.

    The centre is voxel size // 2 of the crop, also where the crop then leaves the CT. (The book shifts
    such a crop inwards; the published weights are worse on crops that are off centre.)
    """
    return np.asarray(center_irc, dtype=np.int64) - np.asarray(size, dtype=np.int64) // 2


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

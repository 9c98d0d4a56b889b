"""Outline a nodule from a place in it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from luna.base.arrays import BoolArray, FloatArray, IntArray, Volume

REACH_MM = 22.0
"""What is looked at around the place, along each axis: half of a large nodule, and some lung."""
_SMOOTH_MM, _CORE_MM = 0.5, 1.0
"""Blur before the outline is drawn, and before the core is looked for (standard deviations)."""
_SEED_MM, _HU_PER_MM = 3.0, 30.0
"""How far from the place the core's brightest point may lie, and how much brighter it must be for each mm."""
_LUNG_HU, _LUNG_MM, _USUAL_LUNG_HU = (-1000, -600), (8, 20), -850.0
"""The lung around a nodule: its HU, its distance, and what it is taken for where there is too little."""
_LEAST_LUNG_VOXELS = 50
_LEVEL = 0.3
"""Where between the lung (0) and the core (1) the outline lies: readers draw it far out."""
_HIGHEST_LEVEL_HU = -500.0
_OPENED = 0.6
"""What is thinner than this share of the core, such as a vessel or a tag, is cut off."""
_FARTHEST, _FARTHEST_MM = 2.5, 1.0
"""A nodule reaches this many times as far as the radius of the largest ball in it, and so much more."""
_STEPS = 6


class Outline(NamedTuple):
    """A nodule's voxels: a mask (index, row, column) of the part of the CT that begins at voxel `start`."""

    mask: BoolArray
    start: IntArray

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the mask lies in the CT."""
        first, second, third = (
            slice(int(begin), int(begin) + size)
            for begin, size in zip(self.start, self.mask.shape, strict=True)
        )
        return first, second, third


def outline(hu: npt.NDArray[np.generic], lungs: BoolArray, irc: IntArray, spacing: FloatArray) -> Outline:
    """The nodule at a voxel: what is bright beside the lung around it, without vessels and wall.

    hu, lungs: (index, row, column); irc: a voxel; spacing in their order, in mm. The mask is in one piece, of
    one voxel at least. A place outside the lungs is outlined without them.
    """
    reach = np.ceil(REACH_MM / spacing).astype(int)
    start = np.maximum(0, irc - reach)
    box = tuple(slice(first, last) for first, last in zip(start, irc + reach + 1, strict=True))
    image = np.asarray(hu[box], dtype=np.float32)
    away = _distances(image.shape, irc - start, spacing)
    core = ndimage.gaussian_filter(image, _CORE_MM / spacing, truncate=3)
    seed = _brightest(np.where(away <= _SEED_MM, core - _HU_PER_MM * away, -np.inf))
    level = _level(image, core[seed], away)
    bright = ndimage.gaussian_filter(image, _SMOOTH_MM / spacing, truncate=3) > level
    if lungs[tuple(irc)]:
        bright &= lungs[box]
    bright[seed] = True
    return Outline(_without_what_hangs_on(_region_of(bright, seed), seed, spacing), start)


def _level(image: Volume, core: float, away: Volume) -> float:
    """The HU of the outline."""
    (low, high), (near, far) = _LUNG_HU, _LUNG_MM
    around = image[(away > near) & (away < far) & (image > low) & (image < high)]
    lung = float(np.median(around)) if len(around) >= _LEAST_LUNG_VOXELS else _USUAL_LUNG_HU
    return min(_HIGHEST_LEVEL_HU, lung + _LEVEL * (float(core) - lung))


def _without_what_hangs_on(region: BoolArray, seed: tuple[int, ...], spacing: FloatArray) -> BoolArray:
    """The region opened with a ball in proportion to the largest that fits in it near the seed."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    for _ in range(_STEPS):
        near = _distances(region.shape, seed, spacing) <= max(depth[seed], _FARTHEST_MM)
        deeper = _brightest(np.where(near, depth, -1))
        if depth[deeper] <= depth[seed]:
            break
        seed = deeper
    radius = float(depth[seed])
    inner = _region_of(depth > _OPENED * radius, seed)
    grown = ndimage.distance_transform_edt(~inner, sampling=spacing) <= _OPENED * radius + spacing.min() / 2
    within = _distances(region.shape, seed, spacing) <= _FARTHEST * radius + _FARTHEST_MM
    return _region_of(region & grown & within, seed)


def _region_of(mask: BoolArray, seed: tuple[int, ...]) -> BoolArray:
    regions, _ = ndimage.label(mask)
    return np.asarray(regions == regions[seed])


def _brightest(image: npt.NDArray[np.floating]) -> tuple[int, ...]:
    return tuple(int(each) for each in np.unravel_index(image.argmax(), image.shape))


def _distances(shape: tuple[int, ...], place: npt.ArrayLike, spacing: FloatArray) -> Volume:
    """Distance in mm of each voxel from one."""
    axes = np.ogrid[tuple(slice(0, size) for size in shape)]
    squares = [
        ((axis - at) * step) ** 2 for axis, at, step in zip(axes, np.asarray(place), spacing, strict=True)
    ]
    return np.asarray(np.sqrt(sum(squares)), dtype=np.float32)

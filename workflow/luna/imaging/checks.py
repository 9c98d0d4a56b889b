"""Whether a CT is sound: its grid and its HU. Every CT that comes in passes these checks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from luna.base.arrays import HuArray
from luna.imaging.header import CtHeader
from luna.imaging.problem import Problem

MIN_SLICES = 8
_LEAST_SPACING_MM, _MOST_SPACING_MM = 0.05, 20.0
_MOST_EMPTY_SLICES = 0.2
"""Share of the slices that may be all air: some programs pad a CT so."""
_MOST_DENSE_IN_A_SLICE = 0.25
"""Share of a slice above 700 HU. Five real CTs and the phantom's have at most 0.07; without its intercept a
slice has 0.3 and more."""

_PADDING_BELOW = -1100
"""HU of padding: air is near -1000, and scanners write -2000, -2048 or -3024 where they saw nothing."""

_SAMPLED_SLICES = 40
_MOST_DENSE, _LEAST_AIR, _LEAST_TISSUE, _MOST_THIN = 0.15, 0.1, 0.001, 0.12
"""Limits for shares of the voxels without padding.

Five real CTs have at most 0.8 % above 700 HU, at least 38 % below -400 HU, at least 35 % from -200 to 300 HU
and none from -1100 to -1030 HU. Shifted by 1024, inverted, doubled or with swapped bytes, each of them breaks
a limit.
"""


def header_problems(path: Path, header: CtHeader) -> Iterator[Problem]:
    """What is wrong with a CT's grid: spacing, origin, axes, number of slices."""
    grid = header.grid
    if not (np.isfinite(grid.spacing).all() and (grid.spacing > 0).all()):
        yield Problem("spacing", str(path), f"{grid.spacing} mm is not finite and positive")
    elif not ((grid.spacing >= _LEAST_SPACING_MM) & (grid.spacing <= _MOST_SPACING_MM)).all():
        text = f"{grid.spacing} mm is no CT's: {_LEAST_SPACING_MM} to {_MOST_SPACING_MM} mm are possible"
        yield Problem("spacing", str(path), text)
    if not np.isfinite(grid.origin).all():
        yield Problem("origin", str(path), f"{grid.origin} mm is not finite")
    matrix = " ".join(f"{value:g}" for value in grid.direction.ravel())
    if not np.isfinite(grid.direction).all() or not np.allclose(
        grid.direction @ grid.direction.T, np.eye(3), atol=1e-4
    ):
        yield Problem("direction", str(path), f"the axes {matrix} are not at right angles")
    elif abs(grid.direction[2, 2]) < np.abs(grid.direction[2, :2]).max():
        text = f"the slices are not axial (axes {matrix})"
        yield Problem("axes", str(path), text)
    if header.shape[0] < MIN_SLICES:
        yield Problem("few-slices", str(path), f"{header.shape[0]} slices, fewer than {MIN_SLICES}")


def hu_problems(path: Path, hu: HuArray) -> Iterator[Problem]:
    """What shows that voxels (index, row, column) are not the HU of a chest."""
    lowest, highest = hu.min(axis=(1, 2)), hu.max(axis=(1, 2))
    low, high = int(lowest.min()), int(highest.max())
    if low == high:
        yield Problem("constant", str(path), f"every voxel is {low}")
        return
    if low >= 0 and high <= 255:
        yield Problem("eight-bit", str(path), f"the voxels are within {low}..{high}")
        return
    single = lowest == highest
    empty = np.flatnonzero(single & ((lowest > -900) | (single.mean() > _MOST_EMPTY_SLICES)))
    if len(empty):
        text = f"{len(empty)} of {len(hu)} slices hold a single value, the first is slice {empty[0]}"
        yield Problem("empty-slices", str(path), text)
    yield from _distribution_problems(path, hu)


def _distribution_problems(path: Path, hu: HuArray) -> Iterator[Problem]:
    sample = hu[:: max(1, len(hu) // _SAMPLED_SLICES)]
    inside = sample[sample >= _PADDING_BELOW]
    if not len(inside):
        yield Problem("not-hu", str(path), f"every voxel is below {_PADDING_BELOW} HU")
        return
    shares = [
        ((inside > 700).mean(), "above 700 HU", "at most", _MOST_DENSE),
        ((inside < -400).mean(), "below -400 HU", "at least", _LEAST_AIR),
        (((inside >= -200) & (inside <= 300)).mean(), "from -200 to 300 HU", "at least", _LEAST_TISSUE),
        ((inside < -1030).mean(), "from -1100 to -1030 HU", "at most", _MOST_THIN),
    ]
    wrong = [
        f"{share:.1%} of the voxels are {where}, a chest has {bound} {limit:.1%}"
        for share, where, bound, limit in shares
        if (share > limit if bound == "at most" else share < limit)
    ]
    if wrong:
        yield Problem("not-hu", str(path), "; ".join(wrong))
        return
    dense = np.flatnonzero([(layer > 700).mean() > _MOST_DENSE_IN_A_SLICE for layer in hu])
    if len(dense):
        text = f"{len(dense)} slices have more than {_MOST_DENSE_IN_A_SLICE:.0%} of their voxels above 700 HU"
        yield Problem("not-hu", str(path), f"{text}, the first is slice {dense[0]}")

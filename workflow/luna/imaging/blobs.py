"""Bright blobs in the lungs: places that might be nodules."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from luna.base.arrays import BoolArray, FloatArray, IntArray, Volume
from luna.imaging.lungs import block_means

BLOB_SIGMAS_MM = (1.2, 1.8, 2.7, 4.05, 6.1)
"""A ball of diameter d responds most at sigma = d / (2 sqrt(3)): these are 4 to 21 mm."""
_RATIO = 1.5
_COARSEST_MM = 1.5
"""Voxels are averaged over blocks up to this size before the search."""
_CLIP_HU = (-1000, 200)
_MARGIN_MM = 12.0
"""What is looked at around the lungs, so that a nodule at the pleura is seen beside its wall."""
_LEAST_HU = 20.0


class Blobs(NamedTuple):
    """Blobs, the most distinct first: voxels irc (n, 3), diameter in mm (n,), response in HU (n,)."""

    irc: IntArray
    diameter_mm: FloatArray
    response: FloatArray


def find_blobs(hu: npt.NDArray[np.generic], lungs: BoolArray, spacing: FloatArray) -> Blobs:
    """Maxima over place and scale of differences of Gaussians (Lowe 2004, section 3) in the lungs.

    hu, lungs: (index, row, column); spacing in the same order, in mm. A blob that lies inside a more
    distinct one is left out. Vessels respond as well: this is not a detector, only a list to start from.
    """
    found = ndimage.find_objects(lungs.astype(np.uint8))
    if not found:
        return Blobs(np.zeros((0, 3), dtype=np.int64), np.zeros(0), np.zeros(0))
    reach = np.ceil(_MARGIN_MM / spacing).astype(int)
    box = tuple(slice(max(0, part.start - r), part.stop + r) for part, r in zip(found[0], reach, strict=True))
    blocks = tuple(max(1, int(_COARSEST_MM / step)) for step in spacing)
    image = block_means(np.clip(hu[box], *_CLIP_HU).astype(np.float32), blocks)
    inside = block_means(lungs[box].astype(np.float32), blocks) >= 0.5
    response, scale = _strongest(image, spacing * blocks)
    peaks = (response == ndimage.maximum_filter(response, 3)) & inside & (response > _LEAST_HU)
    places = np.argwhere(peaks)
    order = np.argsort(-response[peaks], kind="stable")
    places = places[order]
    strength = response[tuple(places.T)].astype(np.float64)
    diameter = 2 * np.sqrt(3) * np.array(BLOB_SIGMAS_MM)[scale[tuple(places.T)]]
    kept = _not_inside_another(places * (spacing * blocks), diameter)
    offset = [part.start for part in box]
    centers = np.floor(places[kept] * blocks + (np.array(blocks) - 1) / 2 + 0.5).astype(np.int64) + offset
    return Blobs(np.minimum(centers, np.array(hu.shape) - 1), diameter[kept], strength[kept])


def _strongest(image: Volume, spacing: FloatArray) -> tuple[Volume, npt.NDArray[np.int8]]:
    """The largest response over the scales at each voxel, and the number of its scale."""
    best = np.full(image.shape, -np.inf, dtype=np.float32)
    number = np.zeros(image.shape, dtype=np.int8)
    sigma = BLOB_SIGMAS_MM[0]
    smooth = _gaussian(image, sigma / spacing)
    for scale, sigma in enumerate(BLOB_SIGMAS_MM):
        wider = _gaussian(smooth, sigma * np.sqrt(_RATIO**2 - 1) / spacing)
        difference = smooth - wider
        better = difference > best
        np.copyto(number, scale, where=better)
        np.maximum(best, difference, out=best)
        smooth = wider
    return best, number


def _gaussian(image: Volume, sigma: FloatArray) -> Volume:
    return np.asarray(ndimage.gaussian_filter(image, sigma, truncate=3, mode="nearest"), dtype=np.float32)


def _not_inside_another(points: FloatArray, diameter: FloatArray) -> IntArray:
    """Numbers of the points (n, 3) in mm that lie in no earlier one's ball."""
    if not len(points):
        return np.zeros(0, dtype=np.int64)
    tree = cKDTree(points)
    inside = np.zeros(len(points), dtype=bool)
    for number, point in enumerate(points):
        if not inside[number]:
            near = tree.query_ball_point(point, diameter[number] / 2)
            inside[[other for other in near if other > number]] = True
    return np.flatnonzero(~inside)

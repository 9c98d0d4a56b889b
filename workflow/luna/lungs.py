"""Find the lungs in a CT, and places in them that might be nodules: simple, and easy to fool."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from luna.ct import Ct

Mask = npt.NDArray[np.bool_]

_AIR_HU = -500
_SMALLEST_LUNG = 0.01
"""Share of the CT's voxels below which an air region is no lung."""
BLOB_SIGMAS_MM = (1.5, 2.5, 4.0, 6.0)
"""A ball of diameter d answers most at sigma = d / (2 sqrt(3)): these are 5 to 21 mm."""


def segment_lungs(hu: npt.NDArray[Any]) -> Mask:
    """The large air regions inside the body, closed over their vessels slice by slice.

    hu: (index, row, column) in Hounsfield units. All False where there are none.
    """
    air = hu < _AIR_HU
    outside = np.zeros_like(air)
    for index, layer in enumerate(air):
        labels, _ = ndimage.label(layer)
        border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        outside[index] = np.isin(labels, border[border > 0])
    labels, _ = ndimage.label(air & ~outside)
    sizes = np.bincount(labels.ravel())[1:]
    core = np.isin(labels, np.flatnonzero(sizes > _SMALLEST_LUNG * hu.size) + 1)
    disk = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 6)
    return np.stack([ndimage.binary_closing(np.pad(layer, 8), disk)[8:-8, 8:-8] for layer in core])


def propose(ct: Ct, most: int) -> npt.NDArray[np.int64]:
    """Voxels (n, 3) irc of bright blobs in the lungs, the clearest first, at most `most`.

    The blobs are maxima over place and scale of the scale-normalised Laplacian of Gaussian
    (Lindeberg 1998). Vessels answer as well: this is no detector, only a list to begin with.
    """
    lungs = segment_lungs(ct.hu)
    if not lungs.any():
        return np.empty((0, 3), dtype=np.int64)
    box = ndimage.find_objects(lungs.astype(np.uint8))[0]
    lungs, spacing = lungs[box], ct.grid.spacing[::-1]
    hu = np.where(lungs, np.clip(ct.hu[box], -1000, 200), -850).astype(np.float32)
    best = np.zeros(hu.shape, dtype=np.float32)
    for sigma in BLOB_SIGMAS_MM:
        answer = ndimage.gaussian_laplace(hu, sigma / spacing) * -(sigma**2)
        np.maximum(best, answer, out=best)
    reach = tuple(int(2 * round(BLOB_SIGMAS_MM[0] * 2 / step) + 1) for step in spacing)
    peaks = (best == ndimage.maximum_filter(best, reach)) & lungs & (best > 0)
    places = np.argwhere(peaks)
    order = np.argsort(-best[peaks], kind="stable")
    return places[order[:most]] + [part.start for part in box]

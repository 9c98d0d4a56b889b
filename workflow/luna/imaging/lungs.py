"""Find the lungs in a CT: simple, and easy to fool."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from luna.base.arrays import BoolArray

_AIR_HU = -500
_SMALLEST_LUNG = 0.01
"""Share of the CT's voxels below which an air region is not a lung."""


def segment_lungs(hu: npt.NDArray[Any]) -> BoolArray:
    """The large air regions inside the body, closed over their vessels slice by slice.

    hu: (index, row, column) in Hounsfield units. All False where none are found.
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

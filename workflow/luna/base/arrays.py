"""Array types, by what they hold."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
HuArray = npt.NDArray[np.int16]
"""Voxels in Hounsfield units, axes index, row, column."""
Volume = npt.NDArray[np.float32]
"""Voxels in HU while they are computed, axes index, row, column."""

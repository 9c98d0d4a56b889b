"""Slices through a crop as grey pictures."""

import numpy as np
import numpy.typing as npt

from luna.base.arrays import HuArray

LUNG_WINDOW_HU = (-1000, 400)
"""Black and white of the pictures."""
_GAP, _GAP_GREY = 2, 128


def in_window(hu: HuArray, window: tuple[int, int] = LUNG_WINDOW_HU) -> npt.NDArray[np.uint8]:
    """HU as grey values: black at the window's lower end, white at its upper."""
    low, high = window
    return np.clip((hu.astype(np.float32) - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def three_planes(crop: HuArray) -> npt.NDArray[np.uint8]:
    """A crop's middle slices, axial, coronal and sagittal, side by side, (height, width)."""
    grey = in_window(crop)
    depth, rows, columns = grey.shape
    planes = [grey[depth // 2], grey[:, rows // 2], grey[:, :, columns // 2]]
    height = max(plane.shape[0] for plane in planes)
    padded = [
        np.pad(plane, ((0, height - plane.shape[0]), (0, _GAP)), constant_values=_GAP_GREY)
        for plane in planes
    ]
    return np.concatenate(padded, axis=1)[:, :-_GAP]

"""Crops as grey pictures for people."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from luna.ct import HuArray

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


def png(grey: npt.NDArray[np.uint8], scale: int = 2) -> str:
    """A grey picture, enlarged, as the data URI of a PNG."""
    image = Image.fromarray(grey)
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

"""Pictures within a page."""

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


def png(grey: npt.NDArray[np.uint8], scale: int = 2) -> str:
    """A grey picture, enlarged, as the data URI of a PNG."""
    image = Image.fromarray(grey)
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BILINEAR)
    return data_uri(image, "png", optimize=True)


def tiled(block: npt.NDArray[np.uint8], across: int) -> npt.NDArray[np.uint8]:
    """The slices of a block (z, y, x) side by side, `across` in a row; black fills the rest."""
    depth, rows, columns = block.shape
    lines = -(-depth // across)
    padded = np.zeros((lines * across, rows, columns), np.uint8)
    padded[:depth] = block
    return padded.reshape(lines, across, rows, columns).transpose(0, 2, 1, 3).reshape(lines * rows, -1)


def data_uri(image: Image.Image, kind: str, **options: Any) -> str:
    """A picture as a data URI; kind: `png`, `jpeg` or `webp`. options: those of Pillow's writer."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()

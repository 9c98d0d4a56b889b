"""Grey pictures within a page."""

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


def data_uri(image: Image.Image, kind: str, **options: Any) -> str:
    """A picture as a data URI; kind: `png` or `jpeg`. options: those of Pillow's writer."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()

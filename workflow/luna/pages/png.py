"""Grey pictures as PNG within a page."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image


def png(grey: npt.NDArray[np.uint8], scale: int = 2) -> str:
    """A grey picture, enlarged, as the data URI of a PNG."""
    image = Image.fromarray(grey)
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

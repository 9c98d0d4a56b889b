"""How crops are cut out of a CT."""

import numpy as np
import numpy.typing as npt

from luna.base.arrays import HuArray
from luna.config.cache import CropSettings
from luna.imaging.boxes import crop_start, cut_crop
from luna.imaging.ct import Ct


def cut_block(ct: Ct, center_irc: npt.ArrayLike, settings: CropSettings) -> HuArray:
    """The crop of a centre with its margin, clipped, with air outside the CT: new, int16, settings.block."""
    start = crop_start(center_irc, settings.crop) - np.array(settings.margin)
    block = cut_crop(ct.hu, start, settings.block)
    return np.clip(block, settings.clip[0], settings.clip[1], out=block)

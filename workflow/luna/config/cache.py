"""The config's `cache`: the crops cut out of the CTs."""

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from luna.config.section import Section

Size = Annotated[int, Field(ge=8, le=256)]
Margin = Annotated[int, Field(ge=0, le=64)]
Hu = Annotated[int, Field(ge=-32768, le=32767)]


class CropSettings(Section):
    """How crops are cut: sizes in voxels (index, row, column), values in HU."""

    crop: tuple[Size, Size, Size] = (32, 48, 48)
    """Size of a crop in voxels (index, row, column)."""

    margin: tuple[Margin, Margin, Margin] = (1, 2, 2)
    """Voxels kept around a crop (index, row, column), so that augmentation can shift it."""

    clip: tuple[Hu, Hu] = (-1000, 1000)
    """Range of HU that is kept."""

    codec: Literal["lz4", "none"] = "lz4"
    """`lz4` takes the least space; `none` is for the fastest disks."""

    @field_validator("clip")
    @classmethod
    def _ascending(cls, clip: tuple[int, int]) -> tuple[int, int]:
        if clip[0] >= clip[1]:
            raise ValueError("is not a range: the first value must be below the second")
        return clip

    @property
    def block(self) -> tuple[int, int, int]:
        """Shape of what is stored: the crop with its margin on both sides."""
        i, r, c = (size + 2 * margin for size, margin in zip(self.crop, self.margin, strict=True))
        return i, r, c

    @property
    def middle(self) -> tuple[slice, slice, slice]:
        """Where in the block the crop lies without its margin."""
        i, r, c = (slice(margin, margin + size) for size, margin in zip(self.crop, self.margin, strict=True))
        return i, r, c

    @property
    def block_bytes(self) -> int:
        """Bytes of a stored crop before compression."""
        return 2 * math.prod(self.block)


class CacheSettings(CropSettings):
    """The crops cut out of the CTs."""

    source: Literal["cache", "none"] = "cache"
    """`cache` cuts the crops once; `none` cuts them from the CTs each time, for a quick look."""

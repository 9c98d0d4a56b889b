"""A CT's header, whatever the format, and where its voxels are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from luna.imaging.geometry import Grid

ELEMENT_TYPES = {
    "MET_CHAR": "int8", "MET_UCHAR": "uint8", "MET_SHORT": "int16", "MET_USHORT": "uint16",
    "MET_INT": "int32", "MET_UINT": "uint32", "MET_FLOAT": "float32", "MET_DOUBLE": "float64",
}  # fmt: skip

AT_THE_END = -1
"""An offset: the voxels are the last bytes of the file."""


@dataclass(frozen=True)
class Storage:
    """The voxels' bytes in a file.

    offset: bytes before them (after unpacking, where the whole file is packed), or AT_THE_END.
    packing: the compression of what starts at packed_from. packed_bytes: its size, where known.
    """

    file: Path
    offset: int = 0
    packing: Literal["none", "zlib", "gzip"] = "none"
    packed_from: int = 0
    packed_bytes: int | None = None


@dataclass(frozen=True)
class CtHeader:
    """A CT's header. `shape` is (index, row, column) in voxels; a DICOM folder has no storage.

    series_uid: where the format has one; else the file's name is it.
    """

    grid: Grid
    shape: tuple[int, int, int]
    element_type: str
    storage: Storage | None = None
    big_endian: bool = False
    series_uid: str = ""

    @property
    def raw_bytes(self) -> int:
        """Size in bytes that the unpacked voxels take."""
        return int(np.prod(self.shape)) * np.dtype(ELEMENT_TYPES[self.element_type]).itemsize

"""A CT's header, whatever the format."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from luna.imaging.geometry import Grid

ELEMENT_TYPES = {
    "MET_CHAR": "int8", "MET_UCHAR": "uint8", "MET_SHORT": "int16", "MET_USHORT": "uint16",
    "MET_INT": "int32", "MET_UINT": "uint32", "MET_FLOAT": "float32", "MET_DOUBLE": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class CtHeader:
    """A CT's header. `shape` is (index, row, column) in voxels."""

    grid: Grid
    shape: tuple[int, int, int]
    element_type: str
    data_file: Path
    compressed: bool
    big_endian: bool = False
    skip_bytes: int = 0
    compressed_bytes: int | None = None

    @property
    def raw_bytes(self) -> int:
        """Size in bytes that the uncompressed voxels take."""
        return int(np.prod(self.shape)) * np.dtype(ELEMENT_TYPES[self.element_type]).itemsize

    @property
    def is_plain_int16(self) -> bool:
        """Whether the voxels can be read directly, without SimpleITK."""
        return (
            self.element_type == "MET_SHORT"
            and not (self.compressed or self.big_endian or self.skip_bytes)
            and self.data_file.suffix == ".raw"
        )

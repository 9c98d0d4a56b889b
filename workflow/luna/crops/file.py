"""One CT's crops in one file, written once, read in any order."""

import mmap
import os
import struct
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import xxhash
from numcodecs import blosc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from luna.base.arrays import HuArray
from luna.base.errors import UserError
from luna.base.files import atomic_path
from luna.config.cache import CropSettings
from luna.crops.cut import cut_block
from luna.imaging.ct import Ct
from luna.imaging.uids import is_valid_uid

VERSION = 2
_MAGIC = b"LUNACROP"
_PREFIX = struct.Struct("<8sIQ")
_LARGEST_HEAD = 1 << 28

# Blosc's own threads would compete with ours; without them its calls release the GIL.
blosc.use_threads = False


def crop_file(folder: Path, uid: str) -> Path:
    """The cache file of a series. Raises UserError when the uid, which names the file, is not valid."""
    if not is_valid_uid(uid):
        raise UserError(f"{uid!r} is not a valid DICOM uid")
    return folder / f"{uid}.crops"


class CropHeader(BaseModel):
    """What a cache file was made from. ct_checksum: that of the CT's voxels; count: of crops."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    seriesuid: str
    ct_checksum: str
    count: Annotated[int, Field(ge=0)]
    crop: tuple[int, int, int]
    margin: tuple[int, int, int]
    clip: tuple[int, int]
    codec: str

    @classmethod
    def of(cls, series_uid: str, ct_checksum: str, count: int, settings: CropSettings) -> "CropHeader":
        """The header of a series' file for these settings."""
        return cls(
            seriesuid=series_uid, ct_checksum=ct_checksum, count=count, crop=settings.crop,
            margin=settings.margin, clip=settings.clip, codec=settings.codec,
        )  # fmt: skip

    def differences(self, other: "CropHeader") -> list[str]:
        """The fields in which another header differs."""
        return [name for name in CropHeader.model_fields if getattr(self, name) != getattr(other, name)]


def write_crops(
    path: Path,
    ct: Ct,
    checksum: str,
    centers_irc: npt.ArrayLike,
    settings: CropSettings,
) -> None:
    """Cut a CT's crops at the centres, (n, 3) irc, and write them to `path`, atomically."""
    centers = np.ascontiguousarray(centers_irc, dtype="<i4").reshape(-1, 3)
    header = CropHeader.of(ct.series_uid, checksum, len(centers), settings).model_dump_json().encode()
    offsets = np.zeros(len(centers) + 1, dtype="<u8")
    sums = np.zeros(len(centers), dtype="<u8")
    head_bytes = 4 + len(header) + centers.nbytes + offsets.nbytes + sums.nbytes
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.seek(_PREFIX.size + head_bytes)
        offsets[0] = file.tell()
        for k, center in enumerate(centers):
            block = cut_block(ct, center, settings)
            packed = (
                blosc.compress(block, b"lz4", 5, blosc.BITSHUFFLE)
                if settings.codec == "lz4"
                else block.tobytes()
            )
            file.write(packed)
            offsets[k + 1] = offsets[k] + len(packed)
            sums[k] = xxhash.xxh3_64_intdigest(packed)
        head = struct.pack("<I", len(header)) + header
        head += centers.tobytes() + offsets.tobytes() + sums.tobytes()
        file.seek(0)
        file.write(_PREFIX.pack(_MAGIC, len(head), xxhash.xxh3_64_intdigest(head)) + head)


class CropFile:
    """An open cache file. Raises UserError, with the repairing command, when it is damaged.

    header: what it was made from. centers: int32 (n, 3) irc.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < _PREFIX.size:
                    raise self._damaged("is truncated")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise self._damaged("is missing") from error
        except OSError as error:
            raise self._damaged(f"cannot be read ({error.strerror})") from error
        head = self._read_head()
        (length,) = struct.unpack_from("<I", head)
        try:
            self.header = CropHeader.model_validate_json(head[4 : 4 + length])
        except ValidationError as error:
            raise self._damaged("was made by another version") from error
        count = self.header.count
        self.centers = np.frombuffer(head, "<i4", 3 * count, 4 + length).reshape(count, 3)
        tables = 4 + length + self.centers.nbytes
        self._offsets = np.frombuffer(head, "<u8", count + 1, tables).tolist()
        self._sums = np.frombuffer(head, "<u8", count, tables + 8 * (count + 1)).tolist()
        if size != self._offsets[-1]:
            raise self._damaged("is truncated")
        self._packed = self.header.codec == "lz4"
        self._checked = bytearray(count)

    def read(self, k: int, out: HuArray) -> None:
        """Fill `out`, contiguous int16, with crop k. A damaged crop raises UserError."""
        stored = self._stored(k)
        if self._packed:
            blosc.decompress(stored, out)
        else:
            np.copyto(out, stored.view("<i2").reshape(out.shape))

    def check(self) -> None:
        """Raise UserError unless every crop's checksum is right."""
        for k in range(len(self._checked)):
            self._stored(k)

    def __reduce__(self) -> tuple[type["CropFile"], tuple[Path]]:
        """For another process: it opens the file itself."""
        return CropFile, (self.path,)

    def _stored(self, k: int) -> npt.NDArray[np.uint8]:
        """Crop k's bytes as they are in the file."""
        start, stop = self._offsets[k], self._offsets[k + 1]
        stored = np.frombuffer(self._map, np.uint8, stop - start, start)
        # Checking once per process is enough: after that the bytes come from the same page cache.
        if not self._checked[k]:
            # With this advice the system reads a crop from the disk in one request, not page by page.
            page_start = start // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, page_start, stop - page_start)
            if xxhash.xxh3_64_intdigest(stored.data) != self._sums[k]:
                raise self._damaged(f"is damaged at crop {k}")
            self._checked[k] = 1
        return stored

    def _read_head(self) -> bytes:
        magic, length, checksum = _PREFIX.unpack_from(self._map)
        if magic != _MAGIC or length > _LARGEST_HEAD:
            raise self._damaged("is not a crop cache file")
        head = self._map[_PREFIX.size : _PREFIX.size + length]
        if xxhash.xxh3_64_intdigest(head) != checksum:
            raise self._damaged("is damaged in its head")
        return head

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self.path}: the crop cache {what}; repair it with: {REPAIR_COMMAND}")


REPAIR_COMMAND = "snakemake --cores all --forcerun cache_subset"

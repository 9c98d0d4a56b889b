"""The crop cache: each CT's crops in one file, written once, read in any order.

A file holds, in this order: magic, length and checksum of the rest of the head, a JSON header, the
crops' centres (int32), offsets (uint64) and checksums (uint64), and the crops. A crop is int16 in
the order index, row, column, clipped, with a margin around it; codec `lz4` packs it with Blosc's
lz4 and bit shuffling. XXH3 checksums guard the head and every crop.
"""

import json
import mmap
import os
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import xxhash
from numcodecs import blosc

from luna.ct import Ct, HuArray, crop_start, ct_checksum, cut_crop, read_ct
from luna.fileio import atomic_path, digest
from luna.machine import allow_many_files
from luna.program import UserError
from luna.progress import progress
from luna.tables import IRC
from luna.uids import is_valid_uid

VERSION = 1
_MAGIC = b"LUNACROP"
_PREFIX = struct.Struct("<8sIQ")
_LARGEST_HEAD = 1 << 28

# Threads inside one call would fight with ours; without them the calls release the GIL.
blosc.use_threads = False


@dataclass(frozen=True)
class CropSettings:
    """How crops are cut: size and margin in voxels (index, row, column), HU range, codec."""

    crop: tuple[int, int, int] = (32, 48, 48)
    margin: tuple[int, int, int] = (0, 0, 0)
    clip: tuple[int, int] = (-1000, 1000)
    codec: str = "lz4"

    @classmethod
    def from_config(cls, cache: dict[str, Any]) -> "CropSettings":
        """From the config's `cache` section."""
        return cls(tuple(cache["crop"]), tuple(cache["margin"]), tuple(cache["clip"]), cache["codec"])

    @property
    def block(self) -> tuple[int, int, int]:
        """Shape of what is stored: the crop with its margin on both sides."""
        i, r, c = (size + 2 * margin for size, margin in zip(self.crop, self.margin, strict=True))
        return i, r, c

    @property
    def middle(self) -> tuple[slice, ...]:
        """Where in the block the crop lies without its margin."""
        return tuple(
            slice(margin, margin + size) for size, margin in zip(self.crop, self.margin, strict=True)
        )

    @property
    def block_bytes(self) -> int:
        """Bytes of a stored crop before packing."""
        return 2 * int(np.prod(self.block))


class CropSource(Protocol):
    """Where crops come from: the cache, or the CTs themselves. Safe for several threads."""

    settings: CropSettings
    digest: str
    """Changes with anything that the crops depend on."""

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` (int16, settings.block, contiguous) with the crop of a row of candidates.csv."""


def cut_block(ct: Ct, center_irc: npt.ArrayLike, settings: CropSettings) -> HuArray:
    """The crop of a centre with its margin, clipped: a new int16 array of settings.block."""
    start = crop_start(center_irc, ct.hu.shape, settings.crop) - np.array(settings.margin)
    block = cut_crop(ct.hu, start, settings.block)
    return np.clip(block, settings.clip[0], settings.clip[1], out=block)


def crop_file(folder: Path, uid: str) -> Path:
    """The cache file of a series. Raises UserError for a uid that is none (it names a file)."""
    if not is_valid_uid(uid):
        raise UserError(f"{uid!r} is not a DICOM uid")
    return folder / f"{uid}.crops"


def cache_series_crops(
    series: pd.DataFrame, candidates: pd.DataFrame, folder: Path, settings: CropSettings
) -> dict[str, Any]:
    """Make the cache files of some series; keep those that are whole and still right.

    `series` has the columns of series.csv, `candidates` those of candidates.csv. Gives a manifest:
    for every series the number of crops, the bytes, and a digest of all the file depends on.
    """
    manifest = {}
    built = 0
    centers_of = {uid: rows[IRC].to_numpy() for uid, rows in candidates.groupby("seriesuid")}
    for row in progress(series.itertuples(), "crops", len(series)):
        centers = centers_of.get(row.seriesuid, np.empty((0, 3))).astype("<i4")
        path = crop_file(folder, row.seriesuid)
        checksum = row.checksum if isinstance(row.checksum, str) else ct_checksum(Path(row.path))
        header = _header(row.seriesuid, checksum, len(centers), settings)
        if not _is_current(path, header, centers):
            write_crops(path, read_ct(Path(row.path)), checksum, centers, settings)
            built += 1
        manifest[row.seriesuid] = {
            "crops": len(centers),
            "bytes": path.stat().st_size,
            "digest": digest([header, centers.tolist()]),
        }
    return {"series": manifest, "built": built, "kept": len(series) - built}


def write_crops(
    path: Path,
    ct: Ct,
    checksum: str,
    centers_irc: npt.ArrayLike,
    settings: CropSettings,
) -> None:
    """Cut a CT's crops at the centres, (n, 3) irc, and write them to `path`, atomically."""
    centers = np.ascontiguousarray(centers_irc, dtype="<i4").reshape(-1, 3)
    header = json.dumps(_header(ct.series_uid, checksum, len(centers), settings)).encode()
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
        self.header: dict[str, Any] = json.loads(head[4 : 4 + length])
        count = self.header["count"]
        self.centers = np.frombuffer(head, "<i4", 3 * count, 4 + length).reshape(count, 3)
        tables = 4 + length + self.centers.nbytes
        self._offsets = np.frombuffer(head, "<u8", count + 1, tables).tolist()
        self._sums = np.frombuffer(head, "<u8", count, tables + 8 * (count + 1)).tolist()
        if size != self._offsets[-1]:
            raise self._damaged("is truncated")
        self._packed = self.header["codec"] == "lz4"
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
        """Crop k's bytes as they lie in the file."""
        start, stop = self._offsets[k], self._offsets[k + 1]
        stored = np.frombuffer(self._map, np.uint8, stop - start, start)
        # Once a process is enough: afterwards the bytes come from the same page cache.
        if not self._checked[k]:
            # Told beforehand, the system reads a crop from the disk in one go, not page by page.
            page_start = start // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, page_start, stop - page_start)
            if xxhash.xxh3_64_intdigest(stored.data) != self._sums[k]:
                raise self._damaged(f"is damaged at crop {k}")
            self._checked[k] = 1
        return stored

    def _read_head(self) -> bytes:
        magic, length, checksum = _PREFIX.unpack_from(self._map)
        if magic != _MAGIC or length > _LARGEST_HEAD:
            raise self._damaged("is no crop cache")
        head = self._map[_PREFIX.size : _PREFIX.size + length]
        if xxhash.xxh3_64_intdigest(head) != checksum:
            raise self._damaged("is damaged in its head")
        return head

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self.path}: the crop cache {what}; repair it with: {REPAIR_COMMAND}")


REPAIR_COMMAND = "snakemake --cores all --forcerun cache_subset"


class CachedCrops:
    """Crops of all candidates, read from the cache.

    candidates: rows of candidates.csv. folder: where the .crops files are. Raises UserError that
    lists every file that is missing, damaged or made with other settings.
    """

    def __init__(self, candidates: pd.DataFrame, folder: Path, settings: CropSettings) -> None:
        allow_many_files()
        self.settings = settings
        self._files: list[CropFile] = []
        self._file_of = np.zeros(len(candidates), dtype=np.int32)
        self._crop_of = np.zeros(len(candidates), dtype=np.int32)
        problems: list[str] = []
        for uid, rows in candidates.groupby("seriesuid", sort=False).indices.items():
            try:
                file = CropFile(crop_file(folder, str(uid)))
                _check_made_for(file, candidates[IRC].to_numpy()[rows], settings)
            except UserError as error:
                problems.append(str(error))
                continue
            self._file_of[rows] = len(self._files)
            self._crop_of[rows] = np.arange(len(rows))
            self._files.append(file)
        if problems:
            raise UserError("the crop cache cannot be used", problems)
        self.digest = digest([[file.header, file.centers.tolist()] for file in self._files])

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` (int16, settings.block, contiguous) with the crop of a candidate's row."""
        self._files[self._file_of[row]].read(int(self._crop_of[row]), out)


class DirectCrops:
    """Crops of all candidates, cut straight from the CTs, for a quick look without a cache.

    Plain .raw files are mapped; of the others the `keep` last read stay in memory.
    """

    def __init__(
        self, candidates: pd.DataFrame, series: pd.DataFrame, settings: CropSettings, keep: int = 4
    ) -> None:
        self.settings = settings
        self._path_of = dict(zip(series["seriesuid"], series["path"], strict=True))
        self._uids = candidates["seriesuid"].to_numpy()
        self._centers = candidates[IRC].to_numpy()
        self._cts: OrderedDict[str, Ct] = OrderedDict()
        self._keep = keep
        checksums = {
            uid: checksum if isinstance(checksum, str) else ct_checksum(Path(self._path_of[uid]))
            for uid, checksum in zip(series["seriesuid"], series["checksum"], strict=True)
        }
        made_with = _header("", "", len(candidates), settings)
        self.digest = digest([made_with, checksums, self._centers.tolist()])

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` (int16, settings.block, contiguous) with the crop of a candidate's row."""
        out[:] = cut_block(self._ct(self._uids[row]), self._centers[row], self.settings)

    def _ct(self, uid: str) -> Ct:
        ct = self._cts.get(uid)
        if ct is None:
            ct = self._cts[uid] = read_ct(Path(self._path_of[uid]), mmap=True)
            loaded = [name for name, each in list(self._cts.items()) if not _is_mapped(each)]
            for name in loaded[: -self._keep]:
                self._cts.pop(name, None)
        return ct


def _is_mapped(ct: Ct) -> bool:
    return isinstance(ct.hu, np.memmap)


def _header(uid: str, checksum: str, count: int, settings: CropSettings) -> dict[str, Any]:
    made_with = {
        key: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in asdict(settings).items()
    }
    return {"version": VERSION, "seriesuid": uid, "ct_checksum": checksum, "count": count, **made_with}


def _is_current(path: Path, header: dict[str, Any], centers: npt.NDArray[np.int32]) -> bool:
    """Whether a cache file is whole and what would be written now."""
    try:
        file = CropFile(path)
        if file.header != header or not np.array_equal(file.centers, centers):
            return False
        file.check()
    except UserError:
        return False
    return True


def _check_made_for(file: CropFile, centers: npt.NDArray[np.int64], settings: CropSettings) -> None:
    header = file.header
    wanted = _header(header["seriesuid"], header["ct_checksum"], len(centers), settings)
    different = [key for key, value in wanted.items() if header.get(key) != value]
    if not different and not np.array_equal(file.centers, centers):
        different = ["candidates"]
    if different:
        raise UserError(
            f"{file.path}: the crop cache was made with another {', '.join(different)};"
            f" make it anew with: {REPAIR_COMMAND}"
        )

"""Whether a CT is sound: header, files, and the range of its HU."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from luna.imaging.ct import ct_checksum, read_ct
from luna.imaging.header import CtHeader


class Problem(NamedTuple):
    """One thing wrong: its kind (a key of ADVICE), where, and what exactly."""

    kind: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.text}"


class VoxelScan(NamedTuple):
    """What a pass over all voxels of a CT finds: lowest and highest HU, and the CT's checksum."""

    hu_min: int
    hu_max: int
    checksum: str


MIN_SLICES = 8
_BLOCK = 1024 * 1024
_ARCHIVES = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z"}


def header_problems(path: Path, header: CtHeader) -> Iterator[Problem]:
    """What is wrong with a CT's grid: spacing, origin, axes, number of slices."""
    grid = header.grid
    if not (np.isfinite(grid.spacing).all() and (grid.spacing > 0).all()):
        yield Problem("spacing", str(path), f"{grid.spacing} mm is not finite and positive")
    if not np.isfinite(grid.origin).all():
        yield Problem("origin", str(path), f"{grid.origin} mm is not finite")
    if not np.isfinite(grid.direction).all() or not np.allclose(
        grid.direction @ grid.direction.T, np.eye(3), atol=1e-4
    ):
        matrix = " ".join(f"{value:g}" for value in grid.direction.ravel())
        yield Problem("direction", str(path), f"the axes {matrix} are not orthonormal")
    if header.shape[0] < MIN_SLICES:
        yield Problem("few-slices", str(path), f"{header.shape[0]} slices, fewer than {MIN_SLICES}")


def file_problems(path: Path, header: CtHeader) -> Iterator[Problem]:
    """What is wrong with the voxel file of an .mhd: its name, its size, or an archive in its place."""
    data = header.data_file
    if data.stem != path.stem:
        yield Problem("uid-mismatch", str(path), f"its voxels are in {data.name}")
        return
    try:
        size = data.stat().st_size
        with data.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        yield Problem("missing-voxels", str(data), f"cannot be read ({error.strerror})")
        return
    for magic, name in _ARCHIVES.items():
        if start.startswith(magic) and size != header.raw_bytes:
            yield Problem("archive", str(data), f"is a {name} archive, not voxels")
            return
    expected = header.compressed_bytes if header.compressed else header.raw_bytes + header.skip_bytes
    if expected is not None and expected >= 0 and size != expected:
        kind = "truncated-voxels" if size < expected else "surplus-voxels"
        yield Problem(kind, str(data), f"{size} bytes, the header implies {expected}")
    elif size == 0:
        yield Problem("truncated-voxels", str(data), "the file is empty")


def hu_problems(path: Path, low: int, high: int) -> Iterator[Problem]:
    """What shows that voxels between `low` and `high` are not the HU of a chest."""
    if low == high:
        yield Problem("constant", str(path), f"every voxel is {low}")
    elif low >= 0 and high <= 255:
        yield Problem("eight-bit", str(path), f"the voxels are within {low}..{high}")
    elif low > -300:
        yield Problem("slope", str(path), f"the lowest value is {low} HU; air is near -1000")


def scan_voxels(path: Path, header: CtHeader) -> VoxelScan:
    """Read all voxels, in one pass over the voxel file where it is plain or zlib int16.

    Raises UserError for a file that cannot be read and zlib.error for a broken stream.
    """
    if path.suffix == ".mhd" and header.is_plain_int16:
        low, high, voxels = _scan_raw(header.data_file)
    elif path.suffix == ".mhd" and header.compressed and header.element_type == "MET_SHORT":
        low, high, voxels = _scan_zraw(header)
    else:
        hu = read_ct(path).hu
        low, high, voxels = int(hu.min()), int(hu.max()), None
    return VoxelScan(low, high, ct_checksum(path, voxels))


def _scan_raw(path: Path) -> tuple[int, int, str]:
    hasher = xxhash.xxh3_128()
    buffer = np.empty(_BLOCK // 2, dtype="<i2")
    view = buffer.data.cast("B")
    low, high = 32767, -32768
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(view):
            hasher.update(view[:count])
            low, high = _widen(low, high, buffer[: count // 2])
    return low, high, hasher.hexdigest()


def _scan_zraw(header: CtHeader) -> tuple[int, int, str]:
    stream = zlib.decompressobj()
    hasher = xxhash.xxh3_128()
    low, high, total, rest = 32767, -32768, 0, b""
    kind = np.dtype(">i2" if header.big_endian else "<i2")
    with header.data_file.open("rb") as file:
        while packed := file.read(_BLOCK):
            hasher.update(packed)
            block = rest + stream.decompress(packed)
            even = len(block) // 2 * 2
            rest, total = block[even:], total + even
            low, high = _widen(low, high, np.frombuffer(block[:even], dtype=kind))
    if not stream.eof or total != header.raw_bytes:
        raise zlib.error(f"the stream holds {total} bytes, the header implies {header.raw_bytes}")
    return low, high, hasher.hexdigest()


def _widen(low: int, high: int, values: npt.NDArray[np.int16]) -> tuple[int, int]:
    if values.size == 0:
        return low, high
    return min(low, int(values.min())), max(high, int(values.max()))

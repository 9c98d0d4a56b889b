"""MetaImage, LUNA16's format: headers (.mhd, .mha) and plain voxels (.raw), read and written.

The header is not left to SimpleITK: it reads a missing spacing as 1 mm and an origin that is not a number
as 0, without a word.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from luna.base.arrays import HuArray
from luna.base.files import atomic_path, write_text
from luna.imaging.geometry import Grid
from luna.imaging.header import AT_THE_END, ELEMENT_TYPES, CtHeader, Storage
from luna.imaging.problem import bad_ct

VOXEL_SUFFIXES = (".raw", ".zraw")
"""Files of voxels beside an .mhd, also in capitals."""
_MAX_HEADER_BYTES = 1 << 16
_LAST_KEY = re.compile(rb"^[ \t]*ElementDataFile", re.MULTILINE)


def read_metaimage_header(path: Path) -> CtHeader:
    """Header of an .mhd or .mha file. Raises BadCtError with what is wrong in it."""
    fields, size = _fields(path)
    return _header_from_fields(path, fields, size)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The header's keys and values, and its size in bytes: it ends with the line ElementDataFile."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_HEADER_BYTES)
    except OSError as error:
        raise bad_ct(path, f"cannot be read ({error.strerror})") from error
    last = _LAST_KEY.search(content)
    end = content.find(b"\n", last.start()) + 1 if last else 0
    header = content[:end] if end else content
    # Comments may be in any encoding; the keys and what they need are ASCII.
    text = header.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    lines = [line.partition("=") for line in text.split("\n") if line.strip()]
    if not lines or any(not separator for _, separator, _ in lines):
        raise bad_ct(path, "not a MetaImage header (lines must read 'Key = value')")
    return {key.strip(): value.strip() for key, _, value in lines}, len(header)


def _header_from_fields(path: Path, fields: dict[str, str], header_bytes: int) -> CtHeader:
    def numbers(keys: tuple[str, ...], count: int, default: str | None = None) -> list[float]:
        text = next((fields[key] for key in keys if key in fields), default)
        if text is None:
            raise bad_ct(path, f"the header has no {keys[0]}")
        try:
            values = [float(word) for word in text.split()]
        except ValueError as error:
            raise bad_ct(path, f"{keys[0]} = {text!r} is not a list of numbers") from error
        if len(values) != count:
            raise bad_ct(path, f"{keys[0]} has {len(values)} numbers, not {count}")
        return values

    dimensions = fields.get("NDims")
    if dimensions != "3":
        raise bad_ct(path, f"NDims is {dimensions}, a CT has 3", "element-type")
    size = numbers(("DimSize",), 3)
    if any(not 0 < value < 2**31 or value != int(value) for value in size):
        raise bad_ct(path, f"DimSize = {fields['DimSize']!r} is not three positive integers")
    element_type = fields.get("ElementType", "")
    if element_type not in ELEMENT_TYPES or fields.get("ElementNumberOfChannels", "1") != "1":
        raise bad_ct(path, f"ElementType {element_type!r} is not a known scalar type", "element-type")
    return CtHeader(
        grid=Grid(
            np.array(numbers(("Offset", "Position", "Origin"), 3, "0 0 0")),
            np.array(numbers(("ElementSpacing", "ElementSize"), 3)),
            # MetaImage lists the axes one after the other: they are the matrix's columns.
            np.array(numbers(("TransformMatrix", "Rotation", "Orientation"), 9, "1 0 0 0 1 0 0 0 1"))
            .reshape(3, 3)
            .T,
        ),
        shape=(int(size[2]), int(size[1]), int(size[0])),
        element_type=element_type,
        storage=_storage(path, fields, header_bytes, int(numbers(("HeaderSize",), 1, "0")[0])),
        big_endian=_flag(fields, "BinaryDataByteOrderMSB") or _flag(fields, "ElementByteOrderMSB"),
    )


def _storage(path: Path, fields: dict[str, str], header_bytes: int, skipped: int) -> Storage:
    name = fields.get("ElementDataFile", "")
    if not name or name.split()[0] == "LIST" or "%" in name or Path(name).name != name:
        raise bad_ct(path, f"ElementDataFile = {name!r} does not name a file beside the header")
    if skipped < AT_THE_END:
        raise bad_ct(path, f"HeaderSize = {skipped} is neither a size nor -1")
    is_local = name.upper() == "LOCAL"
    if path.suffix.lower() == ".mha" and not is_local:
        raise bad_ct(path, f"its voxels are in another file ({name}); write one file, or an .mhd")
    file = path if is_local else path.parent / name
    if not is_local and file.suffix.lower() not in VOXEL_SUFFIXES:
        raise bad_ct(
            path, f"its voxels are in {name}; call that file {path.stem}.raw, or .zraw if compressed"
        )
    start = header_bytes if is_local else 0
    if not _flag(fields, "CompressedData"):
        return Storage(file, AT_THE_END if skipped == AT_THE_END else start + skipped)
    size = fields.get("CompressedDataSize", "")
    if is_local and not size.isdecimal():
        raise bad_ct(path, f"CompressedDataSize = {size!r} is not the size of the voxels in the file")
    return Storage(
        file, packing="zlib", packed_from=start, packed_bytes=int(size) if size.isdecimal() else None
    )


def _flag(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "False").lower() in ("true", "1")


def is_plain(header: CtHeader) -> bool:
    """Whether the voxels are the whole of a file of int16: LUNA16's are, and need no SimpleITK."""
    return (
        header.storage is not None
        and header.storage.packing == "none"
        and header.storage.offset == 0
        and header.element_type == "MET_SHORT"
        and not header.big_endian
    )


def read_plain_voxels(header: CtHeader, mmap: bool = False) -> HuArray:
    """Plain int16 voxels (index, row, column), in memory or mapped. Raises BadCtError."""
    assert header.storage is not None
    file = header.storage.file
    try:
        if file.stat().st_size != header.raw_bytes:
            text = f"{file.stat().st_size} bytes, the header implies {header.raw_bytes}"
            raise bad_ct(file, text, "truncated-voxels")
        if mmap:
            return np.memmap(file, dtype="<i2", mode="r", shape=header.shape)
        return np.fromfile(file, dtype="<i2").reshape(header.shape)
    except OSError as error:
        raise bad_ct(file, f"cannot be read ({error.strerror})", "missing-voxels") from error


def metaimage_voxels(header: CtHeader, content: bytearray) -> npt.NDArray[Any]:
    """Voxels (index, row, column) of the file's own type, from the bytes of an unpacked stream."""
    kind = np.dtype(ELEMENT_TYPES[header.element_type])
    stored = kind.newbyteorder(">" if header.big_endian else "<")
    return np.frombuffer(content, dtype=stored).reshape(header.shape).astype(kind, copy=False)


def write_mhd(path: Path, hu: HuArray, grid: Grid) -> None:
    """Write a CT as MetaImage: the header at `path`, the int16 voxels beside it as .raw."""
    raw = path.with_suffix(".raw")
    with atomic_path(raw) as temporary:
        hu.tofile(temporary)

    def words(values: npt.ArrayLike) -> str:
        return " ".join(f"{value:.12g}" for value in np.asarray(values).ravel())

    write_text(
        path,
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = False\n"
        f"TransformMatrix = {words(grid.direction.T)}\nOffset = {words(grid.origin)}\n"
        "CenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
        f"ElementSpacing = {words(grid.spacing)}\nDimSize = {words(hu.shape[::-1])}\n"
        f"ElementType = MET_SHORT\nElementDataFile = {raw.name}\n",
    )

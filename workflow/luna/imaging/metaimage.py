"""MetaImage, LUNA16's format: .mhd headers with .raw voxels, read and written."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from luna.base.arrays import HuArray
from luna.base.errors import UserError
from luna.base.files import atomic_path, write_text
from luna.imaging.geometry import Grid
from luna.imaging.header import ELEMENT_TYPES, CtHeader

_MAX_HEADER_BYTES = 1 << 16


def read_mhd_header(path: Path) -> CtHeader:
    """Header of an .mhd file. Raises UserError with what is wrong in it."""
    return _header_from_fields(path, _mhd_fields(path))


def _mhd_fields(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_HEADER_BYTES).decode("ascii")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a MetaImage header (it is not text)") from error
    lines = [line.partition("=") for line in text.splitlines() if line.strip()]
    if not lines or any(not separator for _, separator, _ in lines):
        raise UserError(f"{path}: not a MetaImage header (lines must read 'Key = value')")
    return {key.strip(): value.strip() for key, _, value in lines}


def _header_from_fields(path: Path, fields: dict[str, str]) -> CtHeader:
    def numbers(keys: tuple[str, ...], count: int, default: str | None = None) -> list[float]:
        text = next((fields[key] for key in keys if key in fields), default)
        if text is None:
            raise UserError(f"{path}: the header has no {keys[0]}")
        try:
            values = [float(word) for word in text.split()]
        except ValueError as error:
            raise UserError(f"{path}: {keys[0]} = {text!r} is not a list of numbers") from error
        if len(values) != count:
            raise UserError(f"{path}: {keys[0]} has {len(values)} numbers, not {count}")
        return values

    dimensions = fields.get("NDims")
    if dimensions != "3":
        raise UserError(f"{path}: NDims is {dimensions}, a CT has 3")
    size = numbers(("DimSize",), 3)
    if any(not 0 < value < 2**31 or value != int(value) for value in size):
        raise UserError(f"{path}: DimSize = {fields['DimSize']!r} is not three positive integers")
    element_type = fields.get("ElementType", "")
    if element_type not in ELEMENT_TYPES or fields.get("ElementNumberOfChannels", "1") != "1":
        raise UserError(f"{path}: ElementType {element_type!r} is not a known scalar type")
    data_file = fields.get("ElementDataFile", "")
    if not data_file or data_file == "LIST" or Path(data_file).name != data_file:
        raise UserError(f"{path}: ElementDataFile = {data_file!r} does not name a file beside the header")
    compressed = _flag(fields, "CompressedData")
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
        data_file=path.parent / data_file,
        compressed=compressed,
        big_endian=_flag(fields, "BinaryDataByteOrderMSB") or _flag(fields, "ElementByteOrderMSB"),
        skip_bytes=int(numbers(("HeaderSize",), 1, "0")[0]),
        compressed_bytes=int(numbers(("CompressedDataSize",), 1, "-1")[0]) if compressed else None,
    )


def _flag(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "False").lower() in ("true", "1")


def read_raw_voxels(header: CtHeader, mmap: bool) -> HuArray:
    """Plain int16 voxels (index, row, column), in memory or mapped. Raises UserError for a file of
    another size."""
    path = header.data_file
    try:
        size = path.stat().st_size
        if size != header.raw_bytes:
            raise UserError(f"{path}: {size} bytes, but the header implies {header.raw_bytes}")
        if mmap:
            return np.memmap(path, dtype="<i2", mode="r", shape=header.shape)
        return np.fromfile(path, dtype="<i2").reshape(header.shape)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


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

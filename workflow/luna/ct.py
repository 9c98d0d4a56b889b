"""Read a CT and cut crops out of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from luna.fileio import file_checksum
from luna.geometry import Grid
from luna.program import UserError

HuArray = npt.NDArray[np.int16]

AIR_HU = -1000
"""What lies outside a CT: voxels of a crop beyond a border are filled with it (HU)."""

ELEMENT_TYPES = {
    "MET_CHAR": "int8", "MET_UCHAR": "uint8", "MET_SHORT": "int16", "MET_USHORT": "uint16",
    "MET_INT": "int32", "MET_UINT": "uint32", "MET_FLOAT": "float32", "MET_DOUBLE": "float64",
}  # fmt: skip

FILE_SUFFIXES = (".mhd", ".mha", ".nii", ".nii.gz", ".nrrd")
"""Files that are a CT on their own; a folder is taken as a DICOM series."""

_MAX_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class CtHeader:
    """What a CT's header says. `shape` is (index, row, column) in voxels."""

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
        """Whether the voxels can be read as they lie, without SimpleITK."""
        return (
            self.element_type == "MET_SHORT"
            and not (self.compressed or self.big_endian or self.skip_bytes)
            and self.data_file.suffix == ".raw"
        )


@dataclass(frozen=True)
class Ct:
    """A CT: `hu` is int16 of shape (index, row, column) in Hounsfield units, not clipped."""

    series_uid: str
    hu: HuArray
    grid: Grid


def series_uid_of(path: Path) -> str:
    """The series uid in a CT's file (or DICOM folder) name."""
    for suffix in sorted(FILE_SUFFIXES, key=len, reverse=True):
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


def find_cts(folder: Path) -> list[Path]:
    """CTs in a subset folder, sorted by name: image files, and folders as DICOM series."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.name.endswith(FILE_SUFFIXES) or path.is_dir())
    )


def read_header(path: Path) -> CtHeader:
    """Header of a CT. Raises UserError that says what in the header is wrong."""
    if path.suffix == ".mhd":
        return _header_from_fields(path, _mhd_fields(path))
    return _header_from_simpleitk(path)


def read_ct(path: Path, mmap: bool = False) -> Ct:
    """Read a CT whole, or map it (`mmap`, only where the file holds plain int16).

    Other element types are rounded and limited to int16. Raises UserError when the file cannot
    be read.
    """
    header = read_header(path)
    if path.suffix == ".mhd" and header.is_plain_int16:
        hu = _plain_voxels(header, mmap)
    else:
        hu = _simpleitk_voxels(path)
    return Ct(series_uid_of(path), hu, header.grid)


def ct_checksum(path: Path) -> str:
    """XXH3-128 of a CT's voxel file, or of all its files; `full` verification keeps it in series.csv."""
    files = [path]
    if path.suffix == ".mhd":
        files = [read_header(path).data_file]
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    sums = [file_checksum(file) for file in files]
    return sums[0] if len(sums) == 1 else xxhash.xxh3_128("".join(sums).encode()).hexdigest()


def crop_start(center_irc: npt.ArrayLike, shape: npt.ArrayLike, size: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """First voxel of a crop of `size` around a centre, all (..., 3) in irc; int64.

    A crop that would leave the CT is shifted inwards. Where the CT is shorter than the crop the
    start is negative or zero and the whole axis of the CT lies inside the crop.
    """
    center, shape, size = (np.asarray(value, dtype=np.int64) for value in (center_irc, shape, size))
    room = shape - size
    return np.clip(center - size // 2, np.minimum(room, 0), np.maximum(room, 0))


def cut_crop(hu: HuArray, start: npt.ArrayLike, size: tuple[int, ...]) -> HuArray:
    """Copy the box [start, start + size) out of a CT, int16; AIR_HU where there is no CT."""
    first = np.asarray(start, dtype=np.int64)
    last = first + size
    if (first >= 0).all() and (last <= hu.shape).all():
        return hu[tuple(slice(a, b) for a, b in zip(first, last, strict=True))].copy()
    crop = np.full(size, AIR_HU, dtype=np.int16)
    inside_first, inside_last = np.maximum(first, 0), np.minimum(last, hu.shape)
    if (inside_first < inside_last).all():
        source = tuple(slice(a, b) for a, b in zip(inside_first, inside_last, strict=True))
        target = tuple(
            slice(a - offset, b - offset)
            for a, b, offset in zip(inside_first, inside_last, first, strict=True)
        )
        crop[target] = hu[source]
    return crop


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
        raise UserError(f"{path}: ElementType {element_type!r} is not a scalar type known here")
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


def _header_from_simpleitk(path: Path) -> CtHeader:
    import SimpleITK as sitk

    if path.is_dir():
        image = _simpleitk_image(path)
        components = image.GetNumberOfComponentsPerPixel()
    else:
        image = sitk.ImageFileReader()
        image.SetFileName(str(path))
        try:
            image.ReadImageInformation()
        except RuntimeError as error:
            raise _unreadable(path, error) from error
        components = image.GetNumberOfComponents()
    if image.GetDimension() != 3 or components != 1:
        raise UserError(f"{path}: has {image.GetDimension()} dimensions, a CT has 3 of one component")
    columns, rows, slices = image.GetSize()
    return CtHeader(
        grid=Grid(
            np.array(image.GetOrigin()),
            np.array(image.GetSpacing()),
            np.array(image.GetDirection()).reshape(3, 3),
        ),
        shape=(slices, rows, columns),
        element_type=_met_type(image.GetPixelID()),
        data_file=path,
        compressed=True,
    )


def _met_type(pixel_id: int) -> str:
    import SimpleITK as sitk

    name = sitk.GetPixelIDValueAsString(pixel_id)
    bits = {"8-bit": "CHAR", "16-bit": "SHORT", "32-bit": "INT"}
    if "float" in name:
        return "MET_DOUBLE" if "64" in name else "MET_FLOAT"
    kind = next((kind for word, kind in bits.items() if word in name), "INT")
    return f"MET_{'U' if 'unsigned' in name else ''}{kind}"


def _simpleitk_image(path: Path) -> Any:
    import SimpleITK as sitk

    try:
        if not path.is_dir():
            return sitk.ReadImage(str(path))
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path))
        if not files:
            raise UserError(f"{path}: the folder holds no DICOM series")
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(files)
        return reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split("\n")[-1].split()) or "SimpleITK gives no reason"
    return UserError(f"{path}: cannot be read ({reason})")


def _simpleitk_voxels(path: Path) -> HuArray:
    import SimpleITK as sitk

    voxels = sitk.GetArrayFromImage(_simpleitk_image(path))
    if voxels.dtype == np.int16:
        return voxels
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(voxels), limits.min, limits.max).astype(np.int16)


def _plain_voxels(header: CtHeader, mmap: bool) -> HuArray:
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

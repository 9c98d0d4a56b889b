"""Image files of other formats (NIfTI, NRRD), and voxels that are not plain, through SimpleITK."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from luna.imaging.geometry import Grid
from luna.imaging.header import ELEMENT_TYPES, CtHeader, Storage
from luna.imaging.problem import BadCtError, bad_ct

_LARGEST_HEADER = 1 << 16
_NIFTI_BYTES = {348: (108, "f", 70), 540: (168, "q", 12)}
"""By the size of the header, NIfTI-1 or 2: place and type of the voxels' offset, and place of their type."""
_NIFTI_TYPES = {
    2: "MET_UCHAR", 4: "MET_SHORT", 8: "MET_INT", 16: "MET_FLOAT", 64: "MET_DOUBLE", 256: "MET_CHAR",
    512: "MET_USHORT", 768: "MET_UINT",
}  # fmt: skip


def read_itk_header(path: Path) -> CtHeader:
    """Header of a NIfTI or NRRD file. Raises BadCtError for one that is not a 3-D scalar image."""
    is_nrrd = path.suffix.lower() == ".nrrd"
    # SimpleITK tells a NIfTI file's type after rescaling, not the one that is stored.
    storage, stored, big = (_nrrd_storage(path), None, False) if is_nrrd else _nifti_storage(path)
    image = _reader(path)
    try:
        image.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    components = image.GetNumberOfComponents()
    if image.GetDimension() != 3 or components != 1:
        text = f"has {image.GetDimension()} dimensions and {components} components, a CT has 3 and 1"
        raise bad_ct(path, text, "element-type")
    columns, rows, slices = image.GetSize()
    return CtHeader(
        grid=Grid(
            np.array(image.GetOrigin()),
            np.array(image.GetSpacing()),
            np.array(image.GetDirection()).reshape(3, 3),
        ),
        shape=(slices, rows, columns),
        element_type=stored or _met_type(path, image.GetPixelID()),
        storage=storage,
        big_endian=big,
    )


def read_itk_voxels(path: Path) -> npt.NDArray[Any]:
    """Voxels (index, row, column), of the file's own type. Raises BadCtError."""
    import SimpleITK as sitk

    try:
        return sitk.GetArrayFromImage(_reader(path).Execute())
    except RuntimeError as error:
        raise _unreadable(path, error) from error


def read_dicom_voxels(files: list[Path]) -> npt.NDArray[Any]:
    """Voxels (index, row, column) in HU of the slices in this order, whatever their compression."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    try:
        return sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise _unreadable(files[0].parent, error) from error


def _reader(path: Path) -> Any:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    if path.suffix.lower() in (".mhd", ".mha"):
        # It does not know the format by a suffix in capitals.
        reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    return reader


def _unreadable(path: Path, error: Exception) -> BadCtError:
    reason = " ".join(str(error).split("\n")[-1].split()) or "SimpleITK gives no reason"
    if "orthonormal" in str(error):
        return bad_ct(
            path,
            "its axes are sheared or not at right angles; resample it to a grid with axes at right angles,"
            " for example with nibabel.processing.resample_to_output",
            "direction",
        )
    return bad_ct(path, f"cannot be read ({reason})", "unreadable")


def nifti_not_finite(header: CtHeader) -> npt.NDArray[np.bool_]:
    """Which voxels (index, row, column) of a NIfTI file are no finite numbers: SimpleITK makes them 0."""
    storage = header.storage
    assert storage is not None
    kind = np.dtype(ELEMENT_TYPES[header.element_type]).newbyteorder(">" if header.big_endian else "<")
    with gzip.open(storage.file) if storage.packing == "gzip" else storage.file.open("rb") as file:
        file.seek(storage.offset)
        return ~np.isfinite(np.frombuffer(file.read(header.raw_bytes), dtype=kind).reshape(header.shape))


def _nifti_storage(path: Path) -> tuple[Storage, str, bool]:
    """Where the voxels are, their type, and whether their bytes are swapped."""
    packed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(540)
    except (OSError, EOFError, zlib.error) as error:
        raise bad_ct(path, f"cannot be read ({error})") from error
    for order in "<>":
        size = struct.unpack(f"{order}i", head[:4])[0] if len(head) >= 348 else 0
        if size in _NIFTI_BYTES:
            place, kind, type_place = _NIFTI_BYTES[size]
            (code,) = struct.unpack_from(f"{order}h", head, type_place)
            if code not in _NIFTI_TYPES:
                raise bad_ct(path, f"voxels are of NIfTI type {code}", "element-type")
            (offset,) = struct.unpack_from(f"{order}{kind}", head, place)
            if head[4:7] == b"ni2" or head[344:347] == b"ni1":
                raise bad_ct(path, "its voxels are in another file; write one .nii file")
            storage = Storage(path, int(offset), "gzip" if packed else "none")
            return storage, _NIFTI_TYPES[code], order == ">"
    raise bad_ct(path, "not a NIfTI file")


def _nrrd_storage(path: Path) -> Storage:
    try:
        with path.open("rb") as file:
            head = file.read(_LARGEST_HEADER)
    except OSError as error:
        raise bad_ct(path, f"cannot be read ({error.strerror})") from error
    if not head.startswith(b"NRRD"):
        raise bad_ct(path, "not a NRRD file")
    encoding, start = "raw", 0
    for line in head.splitlines(keepends=True):
        start += len(line)
        key, _, value = (part.strip().lower() for part in line.decode("latin-1").partition(":"))
        if not line.strip():
            break
        if key in ("data file", "datafile"):
            raise bad_ct(path, f"its voxels are in another file ({value}); write one file, or an .mhd")
        if key == "encoding":
            encoding = value
    if encoding in ("gzip", "gz"):
        return Storage(path, packing="gzip", packed_from=start)
    if encoding == "raw":
        return Storage(path, start)
    raise bad_ct(path, f"its encoding is {encoding}; write it as raw or gzip")


def _met_type(path: Path, pixel_id: int) -> str:
    import SimpleITK as sitk

    names = {
        sitk.sitkInt8: "MET_CHAR", sitk.sitkUInt8: "MET_UCHAR", sitk.sitkInt16: "MET_SHORT",
        sitk.sitkUInt16: "MET_USHORT", sitk.sitkInt32: "MET_INT", sitk.sitkUInt32: "MET_UINT",
        sitk.sitkFloat32: "MET_FLOAT", sitk.sitkFloat64: "MET_DOUBLE",
    }  # fmt: skip
    if pixel_id not in names:
        raise bad_ct(path, f"voxels are {sitk.GetPixelIDValueAsString(pixel_id)}", "element-type")
    return names[pixel_id]

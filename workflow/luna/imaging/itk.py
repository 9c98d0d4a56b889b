"""Every other format, through SimpleITK."""

from pathlib import Path
from typing import Any

import numpy as np

from luna.base.arrays import HuArray
from luna.base.errors import UserError
from luna.imaging.geometry import Grid
from luna.imaging.header import CtHeader

_LARGEST_HEADER = 1 << 16


def read_itk_header(path: Path) -> CtHeader:
    """Header of an image file or a DICOM folder. Raises UserError for one that is not a 3-D scalar image."""
    import SimpleITK as sitk

    _refuse_outside_data(path)
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


def _refuse_outside_data(path: Path) -> None:
    """Raise UserError for an .mha or .nrrd whose voxels are in another file, which no check would cover."""
    keys = {".mha": ("elementdatafile",), ".nrrd": ("data file", "datafile")}.get(path.suffix)
    if keys is None:
        return
    try:
        with path.open("rb") as file:
            head = file.read(_LARGEST_HEADER).decode("latin-1")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    for line in head.splitlines():
        key, separator, value = line.partition(":") if path.suffix == ".nrrd" else line.partition("=")
        if not line.strip():
            return  # the end of a NRRD header
        if separator and key.strip().lower() in keys:
            if value.strip() == "LOCAL":
                return
            raise UserError(
                f"{path}: its voxels are in another file ({value.strip()}); write one file, or an .mhd"
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


def read_itk_voxels(path: Path) -> HuArray:
    """Voxels (index, row, column) as int16, rounded and limited to its range. Raises UserError."""
    import SimpleITK as sitk

    voxels = sitk.GetArrayFromImage(_simpleitk_image(path))
    if voxels.dtype == np.int16:
        return voxels
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(voxels), limits.min, limits.max).astype(np.int16)

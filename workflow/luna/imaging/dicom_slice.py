"""One slice of a CT in DICOM: the numbers that say where it lies and what its voxels mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from luna.base.arrays import FloatArray

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Slice:
    """A file with one slice of a CT.

    position: centre of the first voxel, xyz in mm. axes: directions of a row and of a column, (2, 3).
    pixel_mm: distance of rows and of columns. data: its DICOM attributes, with the voxels where they
    were asked for.
    """

    path: Path
    position: FloatArray
    axes: FloatArray
    pixel_mm: tuple[float, float]
    size: tuple[int, int]
    slope: float
    intercept: float
    data: "Dataset"


class BadSliceError(Exception):
    """What is wrong with a slice: the kind of problem, and the text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def slice_of(path: Path, data: "Dataset", voxels: bool) -> Slice:
    """A slice's numbers. Raises BadSliceError for what is missing, or is not what it must be."""
    (frames,) = numbers_of(data, "NumberOfFrames", 1, 1)
    if frames > 1:
        raise BadSliceError("multi-frame", f"holds {frames:.0f} frames (enhanced multi-frame)")
    if "TransferSyntaxUID" not in data.file_meta:
        raise BadSliceError("dicom-file", "has no TransferSyntaxUID")
    if voxels and "PixelData" not in data:
        raise BadSliceError("dicom-file", "has no voxels; it may break off too early")
    (rows,), (columns,) = numbers_of(data, "Rows", 1), numbers_of(data, "Columns", 1)
    (slope,), (intercept,) = numbers_of(data, "RescaleSlope", 1), numbers_of(data, "RescaleIntercept", 1)
    if slope == 0:
        raise BadSliceError("dicom-file", "its RescaleSlope is 0")
    row_mm, column_mm = numbers_of(data, "PixelSpacing", 2)
    return Slice(
        path,
        np.array(numbers_of(data, "ImagePositionPatient", 3)),
        np.array(numbers_of(data, "ImageOrientationPatient", 6)).reshape(2, 3),
        (row_mm, column_mm),
        (int(rows), int(columns)),
        slope, intercept, data,
    )  # fmt: skip


def numbers_of(data: "Dataset", name: str, count: int, default: float | None = None) -> list[float]:
    """The finite numbers of an attribute."""
    try:
        value = data.get(name)
        if value in (None, ""):
            value = default
        if value is None:
            raise BadSliceError("dicom-file", f"has no {name}")
        values = [float(each) for each in np.ravel(np.asarray(value, dtype=object))]
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise BadSliceError("dicom-file", f"its {name} is damaged ({error})") from error
    except BadSliceError:
        raise
    except Exception as error:
        # The attribute is decoded only here: damaged bytes can make the reader raise anything.
        raise BadSliceError("dicom-file", f"its {name} cannot be read ({error})") from error
    if len(values) != count or not np.isfinite(values).all():
        shown = " ".join(f"{each:g}" for each in values)
        raise BadSliceError("dicom-file", f"its {name} is {shown}, not {count} finite numbers")
    return values

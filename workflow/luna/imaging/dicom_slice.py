"""One slice of a CT in DICOM: the numbers that say where it lies and what its voxels mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from luna.base.arrays import FloatArray

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Slice:
    """One slice of a CT: a file, or a frame of one.

    position: centre of the first voxel, xyz in mm. axes: directions of a row and of a column, (2, 3).
    pixel_mm: distance of rows and of columns. data: the file's DICOM attributes, with the voxels where they
    were asked for. frame: its number from 0 on, in a file of several.
    """

    path: Path
    position: FloatArray
    axes: FloatArray
    pixel_mm: tuple[float, float]
    size: tuple[int, int]
    slope: float
    intercept: float
    data: "Dataset"
    frame: int | None = None

    @property
    def stored(self) -> npt.NDArray[Any]:
        """Its voxels as they are stored, before slope and intercept. Raises what pydicom raises."""
        from pydicom.pixels import pixel_array

        return pixel_array(self.data, index=self.frame)

    @property
    def number(self) -> int | None:
        """What viewers call it: the number of the frame, or InstanceNumber; None where there is neither."""
        if self.frame is not None:
            return self.frame + 1
        text = str(self.data.get("InstanceNumber", ""))
        return int(text) if text.lstrip("-").isdecimal() else None


class BadSliceError(Exception):
    """What is wrong with a slice: the kind of problem, and the text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def slices_of(path: Path, data: "Dataset", voxels: bool) -> list[Slice]:
    """The slices in a file. Raises BadSliceError for what is missing, or is not what it must be."""
    (frames,) = numbers_of(data, "NumberOfFrames", 1, 1)
    if frames <= 1:
        return [_slice(path, data, data, None, voxels)]
    return [_slice(path, data, _of_frame(data, number), number, voxels) for number in range(int(frames))]


def _of_frame(data: "Dataset", number: int) -> "Dataset":
    """The attributes of a frame of an enhanced CT, as a file of a single slice has them."""
    from pydicom import Dataset

    flat = Dataset()
    flat.Rows, flat.Columns = data.get("Rows"), data.get("Columns")
    try:
        groups = [data.SharedFunctionalGroupsSequence[0], data.PerFrameFunctionalGroupsSequence[number]]
        for element in (each for group in groups for each in group):
            if element.VR == "SQ" and len(element.value):
                flat.update(element.value[0])
    except (AttributeError, IndexError, TypeError) as error:
        text = "is of several frames, but lacks the functional groups that say where they lie"
        raise BadSliceError("multi-frame", text) from error
    return flat


def _slice(path: Path, file: "Dataset", data: "Dataset", frame: int | None, voxels: bool) -> Slice:
    """A slice's numbers. data: its own attributes. file: those of the file that it is in."""
    if "TransferSyntaxUID" not in file.file_meta:
        raise BadSliceError("dicom-file", "has no TransferSyntaxUID")
    if voxels and "PixelData" not in file:
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
        slope, intercept, file, frame,
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

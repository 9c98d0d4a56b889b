"""A folder of DICOM files as one CT series: what is in it, whether it is whole, and its voxels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xxhash

from luna.base.arrays import FloatArray
from luna.imaging.geometry import Grid
from luna.imaging.header import CtHeader
from luna.imaging.problem import BadCtError, Problem

if TYPE_CHECKING:
    from pydicom import Dataset

_NO_SLICES = {".txt", ".xml", ".json", ".csv", ".pdf", ".md", ".html", ".htm", ".jpg", ".png", ".zip"}
_STEP_TOLERANCE = 0.01
_IN_PLANE_TOLERANCE_MM = 0.1
_NEEDED = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
    "RescaleSlope", "RescaleIntercept",
)  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """A file with its DICOM attributes; `data` holds voxels too where they were asked for."""

    path: Path
    data: "Dataset"

    @property
    def position(self) -> FloatArray:
        """Centre of the first voxel, xyz in mm."""
        return np.array(self.data.ImagePositionPatient, dtype=float)

    @property
    def axes(self) -> FloatArray:
        """Directions of a row and of a column, (2, 3)."""
        return np.array(self.data.ImageOrientationPatient, dtype=float).reshape(2, 3)


@dataclass(frozen=True)
class DicomSeries:
    """The slices of a CT series, sorted along the body, and the checksum of all files of the folder.

    checksum: None where voxels were not read. notes: what else is in the folder and was left out.
    """

    slices: list[Slice]
    header: CtHeader
    checksum: str | None
    notes: list[str]


def is_slice_file(path: Path) -> bool:
    """Whether a file of a series' folder is taken for a DICOM file, by its name."""
    return not path.name.startswith(".") and path.suffix.lower() not in _NO_SLICES


def read_dicom(folder: Path, voxels: bool) -> DicomSeries:
    """Read every file of a folder once. Raises BadCtError that lists all that is wrong.

    The folder must hold exactly one CT series of single slices: of one size and orientation, at equal
    steps along their normal. Localizers and objects that are no CT are left out, with a note.
    """
    slices, sums, problems = _read_files(folder, voxels)
    series, notes = _ct_series(slices)
    if len(series) != 1 and not problems:
        problems.append(_not_one(folder, series, notes))
    if problems:
        raise BadCtError(problems)
    (chosen,) = series.values()
    if missing := list(_missing_attributes(chosen)):
        raise BadCtError(missing)
    chosen = sorted(chosen, key=lambda each: float(each.position @ np.cross(*each.axes)))
    if problems := [*_shape_problems(chosen), *_place_problems(chosen)]:
        raise BadCtError(problems)
    checksum = xxhash.xxh3_128("".join(sums).encode()).hexdigest() if voxels else None
    return DicomSeries(chosen, _header(chosen), checksum, notes)


def dicom_voxels(series: DicomSeries) -> npt.NDArray[Any]:
    """Voxels (index, row, column) in HU. Raises BadCtError for a slice whose voxels are not all there."""
    first = series.slices[0].data
    if first.file_meta.TransferSyntaxUID.is_compressed:
        from luna.imaging.itk import read_dicom_voxels

        return read_dicom_voxels([each.path for each in series.slices])
    problems = []
    hu = np.empty(series.header.shape, dtype=np.float32)
    for number, each in enumerate(series.slices):
        try:
            slope, intercept = float(each.data.RescaleSlope), float(each.data.RescaleIntercept)
            hu[number] = each.data.pixel_array * slope + intercept
        except (AttributeError, ValueError, TypeError, NotImplementedError) as error:
            problems.append(Problem("unreadable", str(each.path), f"its voxels cannot be read ({error})"))
    if problems:
        raise BadCtError(problems)
    return hu


def _read_files(folder: Path, voxels: bool) -> tuple[list[Slice], list[str], list[Problem]]:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    slices, sums, problems = [], [], []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or not is_slice_file(path):
            continue
        try:
            if voxels:
                content = path.read_bytes()
                sums.append(xxhash.xxh3_128_hexdigest(content))
                data = dcmread(BytesIO(content))
            else:
                data = dcmread(path, stop_before_pixels=True)
        except InvalidDicomError:
            what = "is empty" if path.stat().st_size == 0 else "is not a DICOM file"
            problems.append(Problem("dicom-file", str(path), what))
        except Exception as error:
            # Damaged bytes can make the reader raise anything.
            problems.append(Problem("dicom-file", str(path), f"cannot be read ({error})"))
        else:
            slices.append(Slice(path, data))
    return slices, sums, problems


def _ct_series(slices: Sequence[Slice]) -> tuple[dict[str, list[Slice]], list[str]]:
    """The CT series by uid, without localizers; and notes on what was left out."""
    series: dict[str, list[Slice]] = {}
    left_out: Counter[str] = Counter()
    for each in slices:
        modality = str(each.data.get("Modality", "")) or "no modality"
        if "DirectoryRecordSequence" in each.data:
            left_out["DICOMDIR"] += 1
        elif modality != "CT":
            left_out[modality] += 1
        elif "LOCALIZER" in each.data.get("ImageType", ()):
            left_out["localizer"] += 1
        else:
            series.setdefault(str(each.data.get("SeriesInstanceUID", "")), []).append(each)
    return series, [f"left out: {count} files ({kind})" for kind, count in sorted(left_out.items())]


def _not_one(folder: Path, series: dict[str, list[Slice]], notes: list[str]) -> Problem:
    if not series:
        return Problem("header", str(folder), "; ".join(["the folder holds no DICOM CT series", *notes]))
    names = ", ".join(f"{uid} ({len(slices)} slices)" for uid, slices in series.items())
    return Problem("several-series", str(folder), f"holds {len(series)} CT series: {names}")


def _missing_attributes(slices: Sequence[Slice]) -> Iterator[Problem]:
    for each in slices:
        if int(each.data.get("NumberOfFrames", 1) or 1) > 1:
            text = f"holds {each.data.NumberOfFrames} frames (enhanced multi-frame)"
            yield Problem("multi-frame", str(each.path), text)
            continue
        lacking = [name for name in _NEEDED if each.data.get(name) in (None, "")]
        if lacking:
            yield Problem("dicom-file", str(each.path), f"has no {', '.join(lacking)}")


def _shape_problems(slices: Sequence[Slice]) -> Iterator[Problem]:
    """Slices whose size, spacing or orientation is not that of most."""
    for what, of in (
        ("rows and columns", lambda each: (each.data.Rows, each.data.Columns)),
        ("pixel spacing", lambda each: tuple(round(float(mm), 4) for mm in each.data.PixelSpacing)),
        ("orientation", lambda each: tuple(np.round(each.axes.ravel(), 3) + 0.0)),
    ):
        values = [of(each) for each in slices]
        usual = Counter(values).most_common(1)[0][0]
        others = [
            f"{each.path.name} ({' '.join(map(str, value))})"
            for each, value in zip(slices, values, strict=True)
            if value != usual
        ]
        if others:
            text = f"{what} of {len(others)} slices differ from {' '.join(map(str, usual))}: "
            yield Problem("unequal-slices", str(slices[0].path.parent), text + _some(others))


def _place_problems(slices: Sequence[Slice]) -> Iterator[Problem]:
    """Slices that are doubled or missing, unequal steps, and a stack that is not along its normal."""
    folder = str(slices[0].path.parent)
    normal = np.cross(*slices[0].axes)
    positions = np.array([each.position for each in slices])
    along = positions @ normal
    steps = np.diff(along)
    if not len(steps):
        return
    doubled = np.flatnonzero(steps < 1e-3)
    if len(doubled):
        pairs = [f"{slices[n].path.name} and {slices[n + 1].path.name}" for n in doubled.tolist()]
        text = f"{len(doubled)} slices are at the place of another: {_some(pairs)}"
        yield Problem("doubled-slices", folder, text)
        return
    usual = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - usual) > _STEP_TOLERANCE * usual)
    if len(uneven):
        gaps = [
            f"{steps[n]:.3f} mm after {slices[n].path.name} (at {along[n]:.2f} mm)" for n in uneven.tolist()
        ]
        yield Problem("uneven-steps", folder, f"steps are {usual:.3f} mm, but {_some(gaps)}")
    sideways = positions - np.outer(along, normal)
    off = np.linalg.norm(sideways - sideways[0], axis=1)
    if off.max() > _IN_PLANE_TOLERANCE_MM:
        angle = np.degrees(np.arctan2(off[-1], along[-1] - along[0]))
        yield Problem(
            "gantry-tilt", folder, f"slices move sideways, by {angle:.1f} degrees from their normal"
        )


def _some(texts: Sequence[str], most: int = 3) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _header(slices: Sequence[Slice]) -> CtHeader:
    first, axes = slices[0], slices[0].axes
    normal = np.cross(*axes)
    along = (slices[-1].position - first.position) @ normal
    row_mm, column_mm = (float(mm) for mm in first.data.PixelSpacing)
    step = (
        float(along) / (len(slices) - 1) if len(slices) > 1 else float(first.data.get("SliceThickness") or 1)
    )
    return CtHeader(
        grid=Grid(first.position, np.array([column_mm, row_mm, step]), np.column_stack([*axes, normal])),
        shape=(len(slices), int(first.data.Rows), int(first.data.Columns)),
        element_type="MET_SHORT",
        series_uid=str(first.data.SeriesInstanceUID),
    )

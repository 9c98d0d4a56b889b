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

_NO_SLICES = {
    ".txt", ".xml", ".json", ".csv", ".tsv", ".pdf", ".md", ".html", ".htm", ".jpg", ".png", ".gif", ".zip",
    ".log", ".yaml", ".yml", ".doc", ".docx", ".xlsx", ".ini", ".db", ".md5", ".sha256",
}  # fmt: skip
_NO_SLICE_NAMES = {"license", "licence", "readme", "version", "changelog", "checksums", "md5sums"}
"""Names without a suffix that downloads have beside the slices."""
_STEP_TOLERANCE = 0.01
_IN_PLANE_TOLERANCE_MM = 0.1
_INTERCEPT_TOLERANCE_HU = 200.0
_IDENTITY = ("SOPClassUID", "SeriesInstanceUID", "Modality")
"""What every object but a DICOMDIR has; a file that breaks off before them lacks them."""


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
    name = path.name.lower()
    return not (name.startswith(".") or name in _NO_SLICE_NAMES or path.suffix.lower() in _NO_SLICES)


def is_plain_name(name: str) -> bool:
    """Whether Snakemake can track a file of this name: UTF-8, without line feeds and braces."""
    # Bytes that are not UTF-8 and line feeds are not printable. Snakemake takes what stands in braces for
    # a wildcard.
    return name.isprintable() and not ("{" in name and "}" in name)


def read_dicom(folder: Path, voxels: bool) -> DicomSeries:
    """Read every file of a folder once. Raises BadCtError that lists all that is wrong.

    The folder must hold exactly one CT series of single slices: of one size and orientation, at equal
    steps along their normal. Localizers and objects that are no CT are left out, with a note.
    """
    files, sums, problems = _read_files(folder, voxels)
    series, notes = _ct_series(files)
    if len(series) != 1 and not problems:
        problems.append(_not_one(folder, series, notes))
    if problems:
        raise BadCtError(problems)
    (of_series,) = series.values()
    chosen, problems = _slices(of_series, voxels)
    if problems:
        raise BadCtError(problems)
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
            hu[number] = each.data.pixel_array * each.slope + each.intercept
        except (AttributeError, ValueError, TypeError, NotImplementedError) as error:
            problems.append(Problem("unreadable", str(each.path), f"its voxels cannot be read ({error})"))
    if problems:
        raise BadCtError(problems)
    return hu


_File = tuple[Path, "Dataset"]


def _read_files(folder: Path, voxels: bool) -> tuple[list[_File], list[str], list[Problem]]:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    files: list[_File] = []
    sums: list[str] = []
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or not is_slice_file(path):
            continue
        where = str(path).encode(errors="backslashreplace").decode()
        if not is_plain_name(str(path.relative_to(folder))):
            text = "has a name with braces, or that is not plain UTF-8: rename it"
            problems.append(Problem("dicom-file", where, text))
            continue
        try:
            if voxels:
                content = path.read_bytes()
                sums.append(xxhash.xxh3_128_hexdigest(content))
                data = dcmread(BytesIO(content))
            else:
                data = dcmread(path, stop_before_pixels=True)
        except OSError as error:
            what = "is a link to nothing" if path.is_symlink() and not path.exists() else error.strerror
            problems.append(Problem("dicom-file", where, f"{what}"))
        except InvalidDicomError:
            what = "is empty" if path.stat().st_size == 0 else "is not a DICOM file"
            problems.append(Problem("dicom-file", where, what))
        except Exception as error:
            # Damaged bytes can make the reader raise anything.
            problems.append(Problem("dicom-file", where, f"cannot be read ({error})"))
        else:
            lacking = [name for name in _IDENTITY if not data.get(name)]
            if lacking and "DirectoryRecordSequence" not in data:
                text = f"has no {', '.join(lacking)}; it may break off too early"
                problems.append(Problem("dicom-file", where, text))
            else:
                files.append((path, data))
    return files, sums, problems


def _ct_series(files: Sequence[_File]) -> tuple[dict[str, list[_File]], list[str]]:
    """The files of each CT series by its uid, without localizers; and notes on what was left out."""
    series: dict[str, list[_File]] = {}
    left_out: Counter[str] = Counter()
    for path, data in files:
        if "DirectoryRecordSequence" in data:
            left_out["DICOMDIR"] += 1
        elif data.Modality != "CT":
            left_out[str(data.Modality)] += 1
        elif "LOCALIZER" in data.get("ImageType", ()):
            left_out["localizer"] += 1
        else:
            series.setdefault(str(data.SeriesInstanceUID), []).append((path, data))
    return series, [f"left out: {count} files ({kind})" for kind, count in sorted(left_out.items())]


def _not_one(folder: Path, series: dict[str, list[_File]], notes: list[str]) -> Problem:
    if not series:
        return Problem("header", str(folder), "; ".join(["the folder holds no DICOM CT series", *notes]))
    names = ", ".join(f"{uid} ({len(files)} slices)" for uid, files in series.items())
    return Problem("several-series", str(folder), f"holds {len(series)} CT series: {names}")


def _slices(files: Sequence[_File], voxels: bool) -> tuple[list[Slice], list[Problem]]:
    """The slices with their numbers, and what is wrong with some, one problem for all with the same."""
    slices: list[Slice] = []
    wrong: dict[tuple[str, str], list[Path]] = {}
    for path, data in files:
        try:
            slices.append(_slice(path, data, voxels))
        except _BadSliceError as error:
            wrong.setdefault((error.kind, error.text), []).append(path)
    problems = []
    for (kind, text), paths in wrong.items():
        where = paths[0] if len(paths) == 1 else paths[0].parent
        names = "" if len(paths) == 1 else f"{len(paths)} slices, {_some([path.name for path in paths])}: "
        problems.append(Problem(kind, str(where), names + text))
    return slices, problems


class _BadSliceError(Exception):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def _slice(path: Path, data: "Dataset", voxels: bool) -> Slice:
    """A slice's numbers. Raises _BadSliceError for what is missing, or is not what it must be."""
    (frames,) = _numbers(data, "NumberOfFrames", 1, 1)
    if frames > 1:
        raise _BadSliceError("multi-frame", f"holds {frames:.0f} frames (enhanced multi-frame)")
    if "TransferSyntaxUID" not in data.file_meta:
        raise _BadSliceError("dicom-file", "has no TransferSyntaxUID")
    if voxels and "PixelData" not in data:
        raise _BadSliceError("dicom-file", "has no voxels; it may break off too early")
    (rows,), (columns,) = _numbers(data, "Rows", 1), _numbers(data, "Columns", 1)
    (slope,), (intercept,) = _numbers(data, "RescaleSlope", 1), _numbers(data, "RescaleIntercept", 1)
    if slope == 0:
        raise _BadSliceError("dicom-file", "its RescaleSlope is 0")
    row_mm, column_mm = _numbers(data, "PixelSpacing", 2)
    return Slice(
        path,
        np.array(_numbers(data, "ImagePositionPatient", 3)),
        np.array(_numbers(data, "ImageOrientationPatient", 6)).reshape(2, 3),
        (row_mm, column_mm),
        (int(rows), int(columns)),
        slope, intercept, data,
    )  # fmt: skip


def _numbers(data: "Dataset", name: str, count: int, default: float | None = None) -> list[float]:
    """The finite numbers of an attribute."""
    try:
        value = data.get(name)
        if value in (None, ""):
            value = default
        if value is None:
            raise _BadSliceError("dicom-file", f"has no {name}")
        values = [float(each) for each in np.ravel(np.asarray(value, dtype=object))]
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise _BadSliceError("dicom-file", f"its {name} is damaged ({error})") from error
    except _BadSliceError:
        raise
    except Exception as error:
        # The attribute is decoded only here: damaged bytes can make the reader raise anything.
        raise _BadSliceError("dicom-file", f"its {name} cannot be read ({error})") from error
    if len(values) != count or not np.isfinite(values).all():
        shown = " ".join(f"{each:g}" for each in values)
        raise _BadSliceError("dicom-file", f"its {name} is {shown}, not {count} finite numbers")
    return values


def _shape_problems(slices: Sequence[Slice]) -> Iterator[Problem]:
    """Slices whose size, spacing or orientation is not that of most."""
    for what, of in (
        ("rows and columns", lambda each: each.size),
        ("pixel spacing", lambda each: tuple(round(mm, 4) for mm in each.pixel_mm)),
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
    intercepts = np.array([each.intercept for each in slices])
    usual_hu = float(np.median(intercepts))
    off = np.flatnonzero(np.abs(intercepts - usual_hu) > _INTERCEPT_TOLERANCE_HU)
    if len(off):
        others = [f"{slices[n].path.name} ({intercepts[n]:g})" for n in off.tolist()]
        text = f"RescaleIntercept of {len(off)} slices is far from {usual_hu:g}: {_some(others)}"
        yield Problem("unequal-slices", str(slices[0].path.parent), text)


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
    # A step that occurs, not the mean of two.
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
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
    row_mm, column_mm = first.pixel_mm
    step = float(along) / max(1, len(slices) - 1) or 1.0
    return CtHeader(
        grid=Grid(first.position, np.array([column_mm, row_mm, step]), np.column_stack([*axes, normal])),
        shape=(len(slices), *first.size),
        element_type="MET_SHORT",
        series_uid=str(first.data.SeriesInstanceUID),
    )

"""A folder of DICOM files as one CT series: what is in it, whether it is whole, and its voxels."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from luna.imaging.dicom_files import DicomFile, ct_series, files_below, read_files
from luna.imaging.dicom_slice import BadSliceError, Slice, slices_of
from luna.imaging.geometry import Grid
from luna.imaging.header import CtHeader
from luna.imaging.problem import BadCtError, Problem

_INT16 = (-32768, 32767)
_STEP_TOLERANCE = 0.01
_IN_PLANE_TOLERANCE_MM = 0.1
_INTERCEPT_TOLERANCE_HU = 200.0


@dataclass(frozen=True)
class DicomSeries:
    """The slices of a CT series, sorted along the body, and the checksum of all files of the folder.

    checksum: None where voxels were not read. notes: what else is in the folder and was left out.
    """

    slices: list[Slice]
    header: CtHeader
    checksum: str | None
    notes: list[str]


def read_dicom(folder: Path, voxels: bool) -> DicomSeries:
    """Read every file of a folder once. Raises BadCtError that lists all that is wrong.

    The folder must hold exactly one CT series of single slices: of one size and orientation, at equal
    steps along their normal. Localizers and objects that are no CT are left out, with a note.
    """
    paths, odd_names = files_below(folder)
    return read_dicom_files(folder, paths, voxels, odd_names)


def read_dicom_files(
    where: Path, paths: Iterable[Path], voxels: bool, known: Sequence[Problem] = ()
) -> DicomSeries:
    """As read_dicom, for files named one by one.

    where: the file or folder that messages name. known: problems found before.
    """
    files, sums, problems = read_files(paths, voxels)
    problems = [*known, *problems]
    series, notes = ct_series(files)
    if len(series) != 1 and not problems:
        problems.append(_not_one(where, series, notes))
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
    """Voxels (index, row, column) in HU. Raises BadCtError for a slice whose voxels are not all there.

    The stored voxels of slices are dropped on the way: all of them, twice, would take much memory.
    """
    first = series.slices[0]
    if first.data.file_meta.TransferSyntaxUID.is_compressed and first.frame is None:
        from luna.imaging.itk import read_dicom_voxels

        return read_dicom_voxels([each.path for each in series.slices])
    problems = []
    hu = np.empty(series.header.shape, dtype=np.int16)
    for number, each in enumerate(series.slices):
        try:
            hu[number] = np.rint(np.clip(each.stored * each.slope + each.intercept, *_INT16))
        except (AttributeError, ValueError, TypeError, NotImplementedError, RuntimeError) as error:
            problems.append(Problem("unreadable", str(each.path), f"its voxels cannot be read ({error})"))
        if each.frame is None and "PixelData" in each.data:
            del each.data.PixelData
    if problems:
        raise BadCtError(problems)
    return hu


def _not_one(folder: Path, series: dict[str, list[DicomFile]], notes: list[str]) -> Problem:
    if not series:
        return Problem("header", str(folder), "; ".join(["the folder holds no DICOM CT series", *notes]))
    names = ", ".join(f"{uid} ({len(files)} slices)" for uid, files in series.items())
    return Problem("several-series", str(folder), f"holds {len(series)} CT series: {names}")


def _slices(files: Sequence[DicomFile], voxels: bool) -> tuple[list[Slice], list[Problem]]:
    """The slices with their numbers, and what is wrong with some, one problem for all with the same."""
    slices: list[Slice] = []
    wrong: dict[tuple[str, str], list[Path]] = {}
    for path, data in files:
        try:
            slices += slices_of(path, data, voxels)
        except BadSliceError as error:
            wrong.setdefault((error.kind, error.text), []).append(path)
    problems = []
    for (kind, text), paths in wrong.items():
        where = paths[0] if len(paths) == 1 else paths[0].parent
        names = "" if len(paths) == 1 else f"{len(paths)} slices, {_some([path.name for path in paths])}: "
        problems.append(Problem(kind, str(where), names + text))
    return slices, problems


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

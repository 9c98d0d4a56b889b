"""Read and check CTs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from luna.base.arrays import HuArray
from luna.base.digests import file_checksum
from luna.imaging.boxes import AIR_HU
from luna.imaging.checks import header_problems, hu_problems
from luna.imaging.dicom import DicomSeries, dicom_voxels, read_dicom, read_dicom_files
from luna.imaging.folders import FILE_SUFFIXES, series_uid_of
from luna.imaging.geometry import Grid
from luna.imaging.header import CtHeader
from luna.imaging.itk import nifti_not_finite, read_itk_header, read_itk_voxels
from luna.imaging.metaimage import is_plain, metaimage_voxels, read_metaimage_header, read_plain_voxels
from luna.imaging.problem import BadCtError, Problem, bad_ct
from luna.imaging.stored import file_problems, unpack


@dataclass(frozen=True)
class Ct:
    """A CT: `hu` is int16 of shape (index, row, column) in Hounsfield units, not clipped.

    checksum: of all its files, header and voxels. notes: what was changed or left out on reading.
    """

    series_uid: str
    hu: HuArray
    grid: Grid
    checksum: str = ""
    notes: list[str] = field(default_factory=list)


def read_header(path: Path) -> CtHeader:
    """Header of a CT, as it is. Raises BadCtError where it cannot be read."""
    if path.is_dir():
        return read_dicom(path, voxels=False).header
    if path.is_symlink() and not path.exists():
        raise bad_ct(path, "is a link to nothing")
    if path.suffix.lower() in (".mhd", ".mha"):
        return read_metaimage_header(path)
    if path.name.lower().endswith(FILE_SUFFIXES):
        return read_itk_header(path)
    known = f"{', '.join(FILE_SUFFIXES)}, or the folder of a DICOM series"
    raise bad_ct(path, f"is no CT in a known format ({known})")


def checked_header(path: Path) -> CtHeader:
    """Header of a CT whose grid is sound and whose files have the right sizes. Raises BadCtError."""
    header = read_header(path)
    _stop_for([*header_problems(path, header), *file_problems(path, header)])
    return header


def read_ct(path: Path) -> Ct:
    """Read a CT into memory and check all of it: header, files, streams and HU. Raises BadCtError.

    Other voxels than int16 are rounded and limited to its range; those that are not finite become air.
    """
    if path.is_dir():
        return _read_dicom_ct(path)
    header = checked_header(path)
    notes: list[str] = []
    if is_plain(header):
        assert header.storage is not None
        hu = read_plain_voxels(header)
        checksum = ct_checksum(path, xxhash.xxh3_128(hu.data.cast("B")).hexdigest())
    else:
        hu, notes = _as_int16(_voxels(path, header))
        checksum = ct_checksum(path)
    _stop_for(list(hu_problems(path, hu)))
    return Ct(series_uid_of(path), hu, header.grid, checksum, notes)


def _voxels(path: Path, header: CtHeader) -> npt.NDArray[Any]:
    if header.storage is not None and header.storage.packing != "none":
        content = unpack(header)
        if path.suffix.lower() in (".mhd", ".mha"):
            return metaimage_voxels(header, content)
        # SimpleITK needs the memory.
        del content
    voxels = read_itk_voxels(path)
    if path.name.lower().endswith((".nii", ".nii.gz")) and header.element_type in ("MET_FLOAT", "MET_DOUBLE"):
        voxels[nifti_not_finite(header)] = np.nan
    return voxels


def map_ct(path: Path) -> Ct:
    """A CT that was verified before: mapped where its file holds plain int16, else read."""
    if path.suffix.lower() == ".mhd":
        header = read_header(path)
        if is_plain(header):
            return Ct(series_uid_of(path), read_plain_voxels(header, mmap=True), header.grid)
    return read_ct(path)


def _read_dicom_ct(folder: Path) -> Ct:
    if others := [
        each.name for each in sorted(folder.iterdir()) if each.name.lower().endswith(FILE_SUFFIXES)
    ]:
        text = (
            f"is a folder with {len(others)} CTs, not one DICOM series; name one of them, such as {others[0]}"
        )
        raise bad_ct(folder, text)
    return _checked_dicom(folder, read_dicom(folder, voxels=True))


def read_ct_of_slices(where: Path, slices: Sequence[Path]) -> Ct:
    """As read_ct, for the DICOM files of one series, wherever they lie; `where` is named in messages."""
    return _checked_dicom(where, read_dicom_files(where, slices, voxels=True))


def _checked_dicom(where: Path, series: DicomSeries) -> Ct:
    _stop_for(list(header_problems(where, series.header)))
    hu, notes = _as_int16(dicom_voxels(series))
    _stop_for(list(hu_problems(where, hu)))
    notes = [*series.notes, *notes]
    return Ct(series.header.series_uid, hu, series.header.grid, _checksum_of(series), notes)


def _checksum_of(series: DicomSeries) -> str:
    assert series.checksum is not None
    return series.checksum


def _as_int16(voxels: npt.NDArray[Any]) -> tuple[HuArray, list[str]]:
    if voxels.dtype == np.int16:
        return voxels, []
    notes = []
    if voxels.dtype.kind == "f" and not (finite := np.isfinite(voxels)).all():
        notes.append(f"{int((~finite).sum())} voxels are not finite numbers: they count as air")
        voxels = np.where(finite, voxels, AIR_HU)
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(voxels), limits.min, limits.max).astype(np.int16), notes


def _stop_for(problems: list[Problem]) -> None:
    if problems:
        raise BadCtError(problems)


def ct_checksum(path: Path, voxels: str | None = None) -> str:
    """XXH3-128 of all files of a CT, header and voxels; series.csv keeps it.

    voxels: the checksum of the file of an .mhd's voxels, where it is known already.
    """
    if path.is_dir():
        return _checksum_of(read_dicom(path, voxels=True))
    if path.suffix.lower() == ".mhd":
        storage = read_header(path).storage
        if storage is not None and storage.file != path:
            sums = [file_checksum(path), voxels or file_checksum(storage.file)]
            return xxhash.xxh3_128("".join(sums).encode()).hexdigest()
    return file_checksum(path)

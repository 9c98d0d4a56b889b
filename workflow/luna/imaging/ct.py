"""Find and read CTs."""

from dataclasses import dataclass
from pathlib import Path

import xxhash

from luna.base.arrays import HuArray
from luna.base.digests import file_checksum
from luna.imaging.geometry import Grid
from luna.imaging.header import CtHeader
from luna.imaging.itk import read_itk_header, read_itk_voxels
from luna.imaging.metaimage import read_mhd_header, read_raw_voxels

FILE_SUFFIXES = (".mhd", ".mha", ".nii", ".nii.gz", ".nrrd")
"""Files that are a CT on their own; a folder counts as a DICOM series."""


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
    """Header of a CT. Raises UserError with what is wrong in the header."""
    if path.suffix == ".mhd":
        return read_mhd_header(path)
    return read_itk_header(path)


def read_ct(path: Path, mmap: bool = False) -> Ct:
    """Read a CT into memory, or map it (`mmap`, only where the file holds plain int16).

    Other element types are rounded and limited to int16. Raises UserError when the file cannot
    be read.
    """
    header = read_header(path)
    if path.suffix == ".mhd" and header.is_plain_int16:
        hu = read_raw_voxels(header, mmap)
    else:
        hu = read_itk_voxels(path)
    return Ct(series_uid_of(path), hu, header.grid)


def ct_checksum(path: Path, voxels: str | None = None) -> str:
    """XXH3-128 of all files of a CT, header and voxels; `full` verification keeps it in series.csv.

    voxels: the checksum of an .mhd's voxel file, where it is known already.
    """
    if path.suffix == ".mhd":
        sums = [file_checksum(path), voxels or file_checksum(read_header(path).data_file)]
    elif path.is_dir():
        sums = [file_checksum(file) for file in sorted(path.rglob("*")) if file.is_file()]
    else:
        return file_checksum(path)
    return xxhash.xxh3_128("".join(sums).encode()).hexdigest()

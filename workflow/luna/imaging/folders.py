"""Which files of a folder belong to a CT."""

from collections.abc import Iterator
from pathlib import Path, PurePath

from luna.imaging.dicom_files import is_plain_name, is_slice_file, shown
from luna.imaging.metaimage import VOXEL_SUFFIXES
from luna.imaging.problem import Problem

FILE_SUFFIXES = (".mhd", ".mha", ".nii", ".nii.gz", ".nrrd")
"""Files that are a CT on their own, also in capitals; a folder counts as a DICOM series."""

SLICES_LOOSE = "put the slices of a series into a folder of their own, named after its uid"
_NOT_READ = {
    ".dcm": SLICES_LOOSE,
    ".ima": SLICES_LOOSE,
    ".nhdr": "write header and voxels as one .nrrd file",
    ".mnc": "convert it to .nii.gz",
    ".hdr": "convert Analyze or NIfTI pairs to one .nii.gz file",
    ".img": "convert Analyze or NIfTI pairs to one .nii.gz file",
    ".raw.gz": "unpack it",
    ".zip": "unpack it",
    ".gz": "unpack it",
    ".bz2": "unpack it",
    ".tar": "unpack it",
    ".tgz": "unpack it",
    ".rar": "unpack it",
    ".7z": "unpack it",
}
_JUNK_FOLDERS = ("__MACOSX",)


def series_uid_of(path: Path) -> str:
    """The series uid in a CT's file (or DICOM folder) name."""
    for suffix in sorted(FILE_SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def find_cts(folder: Path) -> list[Path]:
    """CTs in a subset folder, sorted by name: image files, and folders as DICOM series."""
    return sorted(path for path in _entries(folder) if _is_ct_file(path) or _is_dicom_folder(path))


def files_of_ct(path: Path) -> list[Path]:
    """The files that a CT is read from: itself, the voxels beside an .mhd, or those of a DICOM series."""
    if path.is_dir():
        inside = (file for file in path.rglob("*") if file.is_file() and is_slice_file(file))
        return sorted(file for file in inside if is_plain_name(str(file.relative_to(path))))
    if path.suffix.lower() != ".mhd":
        return [path] if path.is_file() else []
    beside = [file for file in sorted(path.parent.iterdir()) if is_voxels_of(file, path.stem)]
    return [file for file in (path, *beside) if file.is_file()]


def is_voxels_of(file: PurePath, stem: str) -> bool:
    """Whether a file, by its name, holds the voxels of the .mhd with this stem."""
    return file.stem == stem and file.suffix.lower() in VOXEL_SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a path below a subset's folder, with slashes, is hidden or a program's leftover."""
    parts = name.split("/")
    return any(part.startswith(".") and part != ".." for part in parts) or parts[0] in _JUNK_FOLDERS


def may_be_of_ct(name: str) -> bool:
    """Whether a file of a subset may belong to a CT, by its name below the subset's folder alone."""
    return is_slice_file(Path(name)) and not is_hidden(name)


def voxels_without_header(folder: Path) -> Iterator[Path]:
    """Voxel files whose .mhd is not there."""
    headed = {series_uid_of(path) for path in find_cts(folder)}
    for path in _entries(folder):
        if path.suffix.lower() in VOXEL_SUFFIXES and path.stem not in headed:
            yield path


def not_read(folder: Path) -> Iterator[Problem]:
    """What lies in a subset folder and looks like a CT or a part of one, but cannot be read as it is."""
    for path in _entries(folder):
        advice = [text for suffix, text in _NOT_READ.items() if path.name.lower().endswith(suffix)]
        if not advice and _is_loose_slice(path):
            advice = [SLICES_LOOSE]
        if advice and not _is_ct_file(path):
            yield Problem("not-read", str(path), advice[0])
        if path.is_dir() and not any(path.iterdir()) and not _is_dicom_folder(path):
            yield Problem("not-read", str(path), "the folder is empty")
        elif path.is_dir() and not _is_dicom_folder(path) and path.name not in _JUNK_FOLDERS:
            yield Problem("not-read", str(path), "move the CTs in it one level up, into the subset's folder")
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            if not is_plain_name(entry.name):
                text = f"{shown(entry.name)!r} has a name with braces, or that is not plain UTF-8: rename it"
                yield Problem("not-read", str(folder), text)


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, without hidden files and names that not_read names."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and is_plain_name(path.name)
    )


def _is_ct_file(path: Path) -> bool:
    return path.name.lower().endswith(FILE_SUFFIXES) and not path.is_dir()


def _is_dicom_folder(path: Path) -> bool:
    """Whether a folder is one series: without CTs in other formats at any level.

    An empty folder or a link to nothing counts where it is named like a series.
    """
    if (path.is_symlink() and not path.exists()) or (path.is_dir() and not any(path.iterdir())):
        return path.name.replace(".", "").isdecimal()
    if not path.is_dir() or path.name in _JUNK_FOLDERS:
        return False
    return not any(_is_ct_file(each) for each in path.rglob("*"))


def _is_loose_slice(path: Path) -> bool:
    """Whether a file without a suffix is a DICOM file, by its magic bytes."""
    if path.suffix or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"

"""The DICOM files of a folder: which there are, what is in them, and to which series they belong."""

from collections import Counter
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import xxhash

from luna.imaging.problem import Problem

if TYPE_CHECKING:
    from pydicom import Dataset

_NO_SLICES = {
    ".txt", ".xml", ".json", ".csv", ".tsv", ".pdf", ".md", ".html", ".htm", ".jpg", ".png", ".gif", ".zip",
    ".log", ".yaml", ".yml", ".doc", ".docx", ".xlsx", ".ini", ".db", ".md5", ".sha256",
}  # fmt: skip
_NO_SLICE_NAMES = {"license", "licence", "readme", "version", "changelog", "checksums", "md5sums"}
"""Names without a suffix that downloads have beside the slices."""
_IDENTITY = ("SOPClassUID", "SeriesInstanceUID", "Modality")
"""What every object but a DICOMDIR has; a file that breaks off before them lacks them."""

DicomFile = tuple[Path, "Dataset"]
"""A file and its attributes."""


def is_slice_file(path: Path) -> bool:
    """Whether a file of a series' folder is taken for a DICOM file, by its name."""
    name = path.name.lower()
    return not (name.startswith(".") or name in _NO_SLICE_NAMES or path.suffix.lower() in _NO_SLICES)


def is_plain_name(name: str) -> bool:
    """Whether a name can stand in tables and messages as it is: UTF-8, without line feeds and braces."""
    # Bytes that are not UTF-8 and line feeds are not printable.
    return name.isprintable() and not ("{" in name and "}" in name)


def files_below(folder: Path) -> tuple[list[Path], list[Problem]]:
    """The files of a folder, at any level, that are taken for DICOM files by their names, sorted.

    And what is wrong with the names of others.
    """
    files = [path for path in sorted(folder.rglob("*")) if not path.is_dir() and is_slice_file(path)]
    plain = [path for path in files if is_plain_name(str(path.relative_to(folder)))]
    text = "has a name with braces, or that is not plain UTF-8: rename it"
    odd = sorted(set(files) - set(plain))
    return plain, [Problem("dicom-file", shown(path), text) for path in odd]


def shown(path: str | PurePath) -> str:
    """A path as text that can be written, whatever its bytes."""
    return str(path).encode(errors="backslashreplace").decode()


def read_file(path: Path, voxels: bool) -> tuple["Dataset | None", str, Problem | None]:
    """A DICOM file's attributes and, with its voxels, its checksum; or None and what is wrong with it."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    checksum = ""
    try:
        if voxels:
            content = path.read_bytes()
            checksum = xxhash.xxh3_128_hexdigest(content)
            data = dcmread(BytesIO(content))
        else:
            data = dcmread(path, stop_before_pixels=True)
        lacking = [name for name in _IDENTITY if not data.get(name)]
    except OSError as error:
        text = "is a link to nothing" if path.is_symlink() and not path.exists() else f"{error.strerror}"
    except InvalidDicomError:
        text = "is empty" if path.stat().st_size == 0 else "is not a DICOM file"
    except Exception as error:
        # Damaged bytes can make the reader raise anything.
        text = f"cannot be read ({error})"
    else:
        if not lacking or "DirectoryRecordSequence" in data:
            return data, checksum, None
        text = f"has no {', '.join(lacking)}; it may break off too early"
    return None, checksum, Problem("dicom-file", shown(path), text)


def read_files(paths: Iterable[Path], voxels: bool) -> tuple[list[DicomFile], list[str], list[Problem]]:
    """Files with their attributes, the checksums of all, and what is wrong with those that cannot be read."""
    files: list[DicomFile] = []
    sums: list[str] = []
    problems: list[Problem] = []
    for path in paths:
        data, checksum, problem = read_file(path, voxels)
        if data is not None:
            files.append((path, data))
        if problem is not None:
            problems.append(problem)
        if checksum:
            sums.append(checksum)
    return files, sums, problems


def ct_series(files: Sequence[DicomFile]) -> tuple[dict[str, list[DicomFile]], list[str]]:
    """The files of each CT series by its uid, without localizers; and notes on what was left out."""
    series: dict[str, list[DicomFile]] = {}
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

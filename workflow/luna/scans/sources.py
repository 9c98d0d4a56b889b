"""Which scans lie in the files, folders and archives that a user names."""

import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os.path import commonpath
from pathlib import Path

from luna.base.errors import UserError
from luna.base.progress import progress
from luna.imaging.ct import Ct, read_ct, read_ct_of_slices
from luna.imaging.dicom_files import is_slice_file
from luna.imaging.dicom_study import LeftOut, find_series
from luna.imaging.folders import FILE_SUFFIXES, files_of_ct, series_uid_of
from luna.imaging.metaimage import VOXEL_SUFFIXES

_KNOWN = f"scans are {', '.join(FILE_SUFFIXES)} files, DICOM files or folders of them, and .zip archives"


@dataclass(frozen=True)
class Scan:
    """One CT to judge.

    name: its series uid, or its file's name; a number follows where an earlier scan has the same. where:
    the file or folder that it lies in, for messages. slices: the DICOM files of its series; none for an
    image file.
    """

    name: str
    where: Path
    slices: list[Path] = field(default_factory=list)

    def read(self) -> Ct:
        """The scan's voxels, checked. Raises BadCtError."""
        return read_ct_of_slices(self.where, self.slices) if self.slices else read_ct(self.where)

    @property
    def files(self) -> list[Path]:
        """All the files that it is read from."""
        return self.slices or files_of_ct(self.where)


@dataclass
class _Found:
    """What lies in some paths: image files, possible DICOM files, and what is neither."""

    out: Path
    images: list[Path] = field(default_factory=list)
    slices: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_scans(
    paths: Sequence[Path], unpacked: Path, derived: bool, out: Path
) -> tuple[list[Scan], list[LeftOut]]:
    """The scans in some files, folders and .zip archives, and what else is there.

    unpacked: a folder for what archives hold. derived: whether to take DICOM series that were computed from
    others. out: what lies in it is left out, as earlier results are. Raises UserError that lists every path
    that does not exist, is no scan or cannot be unpacked.
    """
    found = _Found(out.resolve())
    for number, path in enumerate(paths):
        _look_into(path, unpacked / str(number), found)
    if found.problems:
        raise UserError("not all scans can be looked at", found.problems)
    slices = list(dict.fromkeys(found.slices))
    series, left_out = find_series(progress(slices, "looking through the files", len(slices)), derived)
    scans = [Scan(series_uid_of(image), image) for image in dict.fromkeys(found.images)]
    scans += [Scan(each.name, _folder_of(each.files), each.files) for each in series]
    return _named_apart(scans), left_out


def _look_into(path: Path, unpacked: Path, found: _Found) -> None:
    """Add what a file, folder or archive holds."""
    if path.is_dir():
        in_out = path.resolve().is_relative_to(found.out)
        for each in sorted(path.rglob("*")):
            written = not in_out and each.resolve().is_relative_to(found.out)
            if not (each.is_dir() or written or _is_hidden(each, path)):
                _look_at(each, unpacked, found)
    elif not path.exists():
        found.problems.append(f"{path}: no such file or folder")
    elif not _look_at(path, unpacked, found):
        found.problems.append(f"{path}: not a scan; {_KNOWN}")


def _look_at(file: Path, unpacked: Path, found: _Found) -> bool:
    """Add a file, or what an archive holds; whether it may be a scan or a part of one."""
    name = file.name.lower()
    if name.endswith(".zip"):
        try:
            folder = _unpack(file, unpacked / f"{file.stem}-{len(list(unpacked.glob('*')))}")
        except UserError as error:
            found.problems.append(str(error))
        else:
            _look_into(folder, unpacked / "inner", found)
    elif name.endswith(FILE_SUFFIXES):
        found.images.append(file)
    elif is_slice_file(file) and file.suffix.lower() not in VOXEL_SUFFIXES:
        found.slices.append(file)
    else:
        return False
    return True


def _is_hidden(path: Path, below: Path) -> bool:
    parts = path.relative_to(below).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _unpack(archive: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(archive) as files:
            files.extractall(folder)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        # A RuntimeError: it is encrypted. NotImplementedError: packed in a way that Python cannot unpack.
        raise UserError(f"{archive}: cannot be unpacked ({error})") from error
    return folder


def _folder_of(files: Sequence[Path]) -> Path:
    """The folder that holds some files, at whatever level."""
    return Path(commonpath([file.parent.resolve() for file in files]))


def _named_apart(scans: Sequence[Scan]) -> list[Scan]:
    """The same scans, with a number after a name that an earlier one has."""
    seen: Counter[str] = Counter()
    apart = []
    for scan in scans:
        seen[scan.name] += 1
        again = f"{scan.name}-{seen[scan.name]}" if seen[scan.name] > 1 else scan.name
        apart.append(replace(scan, name=again))
    return apart

"""Which scans lie in the files, folders and archives that a user names."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os.path import commonpath
from pathlib import Path

from luna.base.errors import UserError
from luna.base.progress import progress
from luna.imaging.ct import Ct, read_ct, read_ct_of_slices
from luna.imaging.dicom_files import is_slice_file, shown
from luna.imaging.dicom_study import LeftOut, find_series
from luna.imaging.folders import FILE_SUFFIXES, files_of_ct, series_uid_of
from luna.imaging.metaimage import VOXEL_SUFFIXES
from luna.scans.archives import unpack
from luna.scans.outputs import LABELS

_KNOWN = f"scans are {', '.join(FILE_SUFFIXES)} files, DICOM files or folders of them, and .zip archives"
_DEEPEST = 3
"""Archives within archives are unpacked to this depth."""


@dataclass(frozen=True)
class Scan:
    """One CT to judge.

    name: its series uid, or its file's name. where: the file or folder that it lies in. slices: the DICOM
    files of its series; none for an image file.
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


class Search:
    """Looks into files, folders and archives for scans.

    out: what lies in this folder was written by an earlier run, and is left out. unpacked: a folder for what
    archives hold.
    """

    def __init__(self, unpacked: Path, out: Path) -> None:
        self._unpacked, self._out = unpacked, out.resolve()
        self._images: list[Path] = []
        self._slices: list[Path] = []
        self._left_out: list[LeftOut] = []
        self._archives: dict[Path, str] = {}
        """What to call the folder that an archive was unpacked to."""

    def scans(self, paths: Sequence[Path], derived: bool) -> tuple[list[Scan], list[LeftOut]]:
        """The scans, and what else is there. DICOM series that were computed from others only with `derived`.

        Raises UserError that lists every path that does not exist, is no scan or cannot be unpacked.
        """
        problems = [problem for path in paths for problem in self._look_into(path)]
        if problems:
            raise UserError("not all scans can be looked at", problems)
        slices = list(dict.fromkeys(self._slices))
        series, left_out = find_series(progress(slices, "looking through the files", len(slices)), derived)
        scans = [Scan(series_uid_of(image), image) for image in dict.fromkeys(self._images)]
        scans += [Scan(each.name, _folder_of(each.files), each.files) for each in series]
        named = [LeftOut(self.readable(where), reason) for where, reason in [*self._left_out, *left_out]]
        return scans, named

    def readable(self, text: str) -> str:
        """A text in which an unpacked file is named by its archive, and every character can be written."""
        for folder in sorted(self._archives, key=lambda each: -len(str(each))):
            text = text.replace(str(folder), self._archives[folder])
        return shown(text)

    def _look_into(self, path: Path) -> Iterator[str]:
        """Add what a file, folder or archive that the user names holds. Yields what is wrong with it."""
        if path.is_dir():
            for each in self._files_below(path):
                self._add(each, 0)
        elif not path.exists():
            yield f"{path}: no such file or folder"
        elif path.name.lower().endswith(".zip"):
            yield from self._add_archive(path, 0)
        elif not self._add(path, 0):
            yield f"{path}: not a scan; {_KNOWN}"

    def _add(self, file: Path, depth: int) -> bool:
        """Add a file, or what an archive holds; whether it may be a scan or a part of one."""
        name = file.name.lower()
        if not str(file).isprintable():
            self._left_out.append(LeftOut(str(file), "its name is not plain UTF-8: rename it"))
        elif name.endswith(".zip"):
            for problem in self._add_archive(file, depth):
                self._left_out.append(LeftOut(*problem.split(": ", 1)))
        elif name.endswith(FILE_SUFFIXES):
            self._images.append(file.absolute())
        elif is_slice_file(file) and file.suffix.lower() not in VOXEL_SUFFIXES:
            self._slices.append(file.absolute())
        else:
            return False
        return True

    def _add_archive(self, archive: Path, depth: int) -> Iterator[str]:
        """Unpack an archive and add what it holds. Yields what is wrong with it, after its name."""
        if depth == _DEEPEST:
            yield f"{archive}: an archive within {depth} others"
            return
        folder = self._unpacked.absolute() / str(len(self._archives))
        self._archives[folder] = self.readable(f"{archive}")
        try:
            unpack(archive, folder)
        except UserError as error:
            yield str(error)
            return
        for each in self._files_below(folder):
            self._add(each, depth + 1)

    def _files_below(self, folder: Path) -> Iterator[Path]:
        """The files of a folder at any level, sorted, links to folders included; none that a run wrote."""
        own = folder.resolve().is_relative_to(self._out)
        seen = set()
        for name, folders, files in os.walk(folder, followlinks=True):
            here = Path(name)
            real = here.resolve()
            if real in seen or (not own and real.is_relative_to(self._out)):
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(each for each in folders if not each.startswith(".") and each != "__MACOSX")
            for each in sorted(files):
                if not each.startswith(".") and each != LABELS and (here / each).is_file():
                    yield here / each


def _folder_of(files: Sequence[Path]) -> Path:
    """The folder that holds some files, at whatever level."""
    return Path(commonpath([file.parent for file in files]))

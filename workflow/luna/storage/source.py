"""The files of a data set, wherever they are, and how one CT of it is read."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from luna.base.digests import digest
from luna.imaging.dicom_files import shown
from luna.imaging.folders import files_of_ct, is_hidden


class SourceFile(NamedTuple):
    """A file of a data set.

    name: below the folder that is listed, with slashes. size: bytes. version: changes when the content does.
    """

    name: str
    size: int
    version: str


class Source(Protocol):
    """Reads the CTs of one subset. CTs are named by the paths in the tables of verification."""

    folder: str
    """The subset's folder, as messages and tables name it."""

    def headers(self) -> AbstractContextManager[Path]:
        """A folder that looks like the subset's: its files have their sizes, and headers can be read."""

    def files(self, path: str) -> list[SourceFile]:
        """The files of a CT."""

    def ct(self, path: str) -> AbstractContextManager[Path]:
        """A path from which a whole CT can be read."""

    def prepare(self, path: str) -> None:
        """Get ready to read a CT soon."""


class LocalFiles:
    """CTs on a disk, read where they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    @contextmanager
    def headers(self) -> Iterator[Path]:
        """The folder itself."""
        yield Path(self.folder)

    def files(self, path: str) -> list[SourceFile]:
        """The files of a CT, with the times of their last changes."""
        return [_state(file, Path(path).parent) for file in files_of_ct(Path(path))]

    @contextmanager
    def ct(self, path: str) -> Iterator[Path]:
        """The CT where it is."""
        yield Path(path)

    def prepare(self, path: str) -> None:
        """Let the system read ahead, so that the disk works while the CT before is computed."""
        if hasattr(os, "posix_fadvise"):
            for file in files_of_ct(Path(path)):
                with file.open("rb") as opened:
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def local_files(folder: Path) -> list[SourceFile]:
    """The files in a subset's folder, at any level, but for hidden ones."""
    if not folder.is_dir():
        return []
    # A series may be a link to its folder.
    entries = [entry for entry in sorted(folder.iterdir()) if not is_hidden(entry.name)]
    below = [file for entry in entries for file in (sorted(entry.rglob("*")) if entry.is_dir() else [entry])]
    files = [_state(file, folder) for file in below if not file.is_dir()]
    return [file for file in files if not is_hidden(file.name)]


def files_digest(files: list[SourceFile]) -> str:
    """Changes when a file is changed, added, removed or renamed."""
    return digest(sorted(map(list, files)))


def _state(file: Path, folder: Path) -> SourceFile:
    name = shown(file.relative_to(folder).as_posix())
    try:
        state = file.stat()
    except OSError:
        return SourceFile(name, -1, "a link to nothing")
    return SourceFile(name, state.st_size, str(state.st_mtime_ns))

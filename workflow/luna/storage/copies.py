"""CTs that cannot be read where they are: copied one at a time, deleted when they have been read."""

import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Protocol

from luna.base.errors import UserError
from luna.base.files import as_user_error
from luna.imaging.folders import FILE_SUFFIXES, is_voxels_of, may_be_of_ct
from luna.imaging.metaimage import VOXEL_SUFFIXES
from luna.storage.source import SourceFile

LEAST_HEAD, HEAD_SHARE = 1 << 16, 32
"""Of a file with a header so many bytes are fetched for it, or this part of the file if that is more."""
_PIXEL_TAGS = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
"""Where the attributes of a DICOM file end, in both orders of bytes."""
_BEING_READ = ".being-read"


class Store(Protocol):
    """What holds the files of one subset."""

    folder: str
    """Names the subset's folder in messages and tables."""
    at_once: int
    """Files that are best fetched at the same time."""

    def listed(self) -> list[SourceFile]:
        """Its files."""

    def fetch(self, file: SourceFile, copy: Path, first: int | None = None) -> None:
        """Copy a file, or its first bytes. Raises UserError when it has changed since it was listed."""


class CopiedFiles:
    """CTs of a subset in a store; see luna.storage.source.Source.

    copies: a folder for what is fetched; what an earlier job left there is deleted.
    """

    def __init__(self, store: Store, copies: Path) -> None:
        self.folder = store.folder
        self._store, self._copies = store, copies / _BEING_READ
        self._listed = store.listed()
        for file in self._listed:
            if not _is_below(file.name):
                raise UserError(f"{self.folder}/{file.name}: leads out of its folder; rename it")

    @contextmanager
    def headers(self) -> Iterator[Path]:
        """Every file with its size, but of voxels only what stands before them."""
        with _emptied(self._copies) as folder:
            self._fetch(self._listed, folder, heads_only=True)
            yield folder

    def files(self, path: str) -> list[SourceFile]:
        """The files of a CT."""
        return files_of(self._name(path), self._listed)

    @contextmanager
    def ct(self, path: str) -> Iterator[Path]:
        """A copy of the CT."""
        with _emptied(self._copies) as folder:
            self._fetch(self.files(path), folder)
            yield folder / self._name(path)

    def prepare(self, path: str) -> None:
        """Nothing can be done ahead."""

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self.folder}/")

    def _fetch(self, files: Iterable[SourceFile], folder: Path, heads_only: bool = False) -> None:
        def fetch(file: SourceFile) -> None:
            copy = folder / file.name
            try:
                copy.parent.mkdir(parents=True, exist_ok=True)
                if heads_only:
                    self._fetch_head(file, copy)
                else:
                    self._store.fetch(file, copy)
            except OSError as error:
                raise as_user_error(error, copy) from error

        with ThreadPoolExecutor(self._store.at_once) as pool:
            list(pool.map(fetch, files))

    def _fetch_head(self, file: SourceFile, copy: Path) -> None:
        """What stands before a file's voxels. The rest is a hole, which takes no room."""
        if copy.suffix.lower() in VOXEL_SUFFIXES or not may_be_of_ct(file.name):
            copy.touch()
        else:
            head = min(file.size, max(LEAST_HEAD, file.size // HEAD_SHARE))
            self._store.fetch(file, copy, head)
            is_dicom = not copy.name.lower().endswith(FILE_SUFFIXES)
            if is_dicom and not any(tag in copy.read_bytes() for tag in _PIXEL_TAGS):
                # Long private attributes, or all is packed.
                self._store.fetch(file, copy)
        os.truncate(copy, file.size)


def files_of(name: str, listed: Iterable[SourceFile]) -> list[SourceFile]:
    """Of all files of a subset those of one CT: as luna.imaging.folders.files_of_ct, by names alone."""
    stem = PurePosixPath(name).stem if name.lower().endswith(".mhd") else None

    def is_of_ct(file: SourceFile) -> bool:
        if file.name == name or file.name.startswith(f"{name}/"):
            return may_be_of_ct(file.name)
        return stem is not None and "/" not in file.name and is_voxels_of(PurePosixPath(file.name), stem)

    return [file for file in listed if is_of_ct(file)]


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """A new folder, which is deleted afterwards, and the one that it is in if nothing else is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()

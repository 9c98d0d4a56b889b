"""The files of a subset that is a .zip archive, as LUNA16's are."""

import posixpath
import zipfile
from pathlib import Path

from luna.base.archives import archive_errors, files_in
from luna.base.errors import UserError
from luna.imaging.folders import is_hidden
from luna.storage.source import SourceFile

_BLOCK = 1 << 20


class Archive:
    """What lies in subset0.zip, with a folder subset0 in it or without. Raises UserError where it cannot be
    read, or holds a name twice."""

    at_once = 1

    def __init__(self, path: Path) -> None:
        self.folder = str(path)
        try:
            with archive_errors(self.folder):
                self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error})") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in files_in(self._zip):
            name = posixpath.normpath(member.filename).removeprefix(f"{path.stem}/")
            if is_hidden(name):
                continue
            if name in self._members:
                raise UserError(f"{path}: holds {name} twice; unpack it and keep the right one")
            self._members[name] = member

    def listed(self) -> list[SourceFile]:
        """Its files, by the archive's own table."""
        return [SourceFile(name, each.file_size, f"{each.CRC:08x}") for name, each in self._members.items()]

    def fetch(self, file: SourceFile, copy: Path, first: int | None = None) -> None:
        """Unpack a file, or its first bytes. Raises UserError when it is damaged."""
        left = file.size if first is None else first
        member = self._members[file.name]
        with (
            archive_errors(f"{self.folder}: {file.name}"),
            self._zip.open(member) as packed,
            copy.open("wb") as opened,
        ):
            # The archive's checksum is compared at the end of the file.
            while block := packed.read(min(_BLOCK, left) if first is not None else _BLOCK):
                opened.write(block)
                left -= len(block)

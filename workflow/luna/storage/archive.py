"""The files of a subset that is a .zip archive, as LUNA16's are."""

import posixpath
import zipfile
import zlib
from pathlib import Path

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
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise UserError(f"{path}: cannot be read ({error}); download it again") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = posixpath.normpath(member.filename).removeprefix(f"{path.stem}/")
            if member.is_dir() or is_hidden(name):
                continue
            if name in self._members:
                raise UserError(f"{path}: holds {name} twice; unpack it and keep the right one")
            if member.flag_bits & 1:
                raise UserError(f"{path}: is encrypted; unpack it with its password, for example with 7z")
            self._members[name] = member

    def listed(self) -> list[SourceFile]:
        """Its files, by the archive's own table."""
        return [SourceFile(name, each.file_size, f"{each.CRC:08x}") for name, each in self._members.items()]

    def fetch(self, file: SourceFile, copy: Path, first: int | None = None) -> None:
        """Unpack a file, or its first bytes. Raises UserError when it is damaged."""
        left = file.size if first is None else first
        where = f"{self.folder}: {file.name}"
        try:
            with self._zip.open(self._members[file.name]) as packed, copy.open("wb") as opened:
                # The archive's checksum is compared at the end of the file.
                while block := packed.read(min(_BLOCK, left) if first is not None else _BLOCK):
                    opened.write(block)
                    left -= len(block)
        except NotImplementedError as error:
            raise UserError(f"{where}: {error}; unpack the archive with another program") from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise UserError(f"{where} is damaged ({error}); download the archive again") from error

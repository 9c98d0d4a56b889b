"""The files of a subset that is a .zip archive, as LUNA16's are."""

import zipfile
import zlib
from pathlib import Path

from luna.base.errors import UserError
from luna.storage.source import SourceFile

_BLOCK = 1 << 20


class Archive:
    """What lies in subset0.zip, with a folder subset0 in it or without."""

    at_once = 1

    def __init__(self, path: Path) -> None:
        self.folder = str(path)
        self._inner = f"{path.stem}/"
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: cannot be read ({error}); download it again") from error

    def listed(self) -> list[SourceFile]:
        """Its files, by the archive's own table."""
        return [
            SourceFile(each.filename.removeprefix(self._inner), each.file_size, f"{each.CRC:08x}")
            for each in self._zip.infolist()
            if not each.is_dir()
        ]

    def fetch(self, file: SourceFile, copy: Path, first: int | None = None) -> None:
        """Unpack a file, or its first bytes. Raises UserError when it is damaged."""
        inside = self._inner + file.name
        name = inside if inside in self._zip.NameToInfo else file.name
        left = file.size if first is None else first
        try:
            with self._zip.open(name) as packed, copy.open("wb") as opened:
                # The archive's checksum is compared at the end of the file.
                while block := packed.read(min(_BLOCK, left) if first is not None else _BLOCK):
                    opened.write(block)
                    left -= len(block)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise UserError(
                f"{self.folder}: {name} is damaged ({error}); download the archive again"
            ) from error

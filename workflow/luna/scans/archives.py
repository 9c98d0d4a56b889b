"""Unpack .zip archives, whatever is wrong with them."""

import lzma
import shutil
import zipfile
import zlib
from pathlib import Path

from luna.base.errors import UserError

_ERRORS = (
    zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError, zlib.error,
    lzma.LZMAError,
)  # fmt: skip
"""A RuntimeError: it is encrypted. NotImplementedError: packed in a way that Python cannot unpack."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder. Raises UserError where it cannot be unpacked, or is too large."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as files:
            needed = sum(each.file_size for each in files.infolist())
            free = shutil.disk_usage(folder).free
            if needed > free:
                raise UserError(
                    f"holds {needed / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free in {folder.parent}"
                )
            files.extractall(folder)
    except _ERRORS as error:
        raise UserError(f"cannot be unpacked ({error})") from error

"""Unpack .zip archives of scans."""

import shutil
import zipfile
from pathlib import Path

from luna.base.archives import archive_errors, files_in
from luna.base.errors import UserError


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder, whatever its paths say. Raises UserError where it cannot be unpacked,
    or is too large."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with archive_errors(str(archive)), zipfile.ZipFile(archive) as opened:
            members = files_in(opened)
            needed = sum(each.file_size for each in members)
            free = shutil.disk_usage(folder).free
            if needed > free:
                raise UserError(
                    f"{archive}: holds {needed / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free in"
                    f" {folder.parent}"
                )
            opened.extractall(folder, members)
    except OSError as error:
        raise UserError(f"{archive}: cannot be unpacked ({error})") from error

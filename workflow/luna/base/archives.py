"""Zip archives: their files, and what can be wrong with them."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from luna.base.errors import UserError

_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError)
"""ValueError: a table of contents that leads out of the file or whose names are no text."""


@contextmanager
def archive_errors(where: str) -> Iterator[None]:
    """Raise UserError, with the name `where`, for what zipfile raises about an archive's content.

    Other errors of reading and writing (OSError) pass.
    """
    try:
        yield
    except NotImplementedError as error:
        raise UserError(f"{where}: {error}; unpack it with another program, for example 7z") from error
    except _DAMAGED as error:
        raise _damaged(where, error) from error
    except OSError as error:
        if error.errno is None:  # bz2's word for a damaged stream
            raise _damaged(where, error) from error
        raise


def files_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members of an archive on disk, without the folders. Raises UserError when one is encrypted."""
    members = [each for each in archive.infolist() if not each.is_dir()]
    if any(each.flag_bits & 1 for each in members):
        raise UserError(f"{archive.filename}: is encrypted; unpack it with its password, for example with 7z")
    return members


def _damaged(where: str, error: Exception) -> UserError:
    return UserError(f"{where}: is damaged ({error}); remove the archive and get it again")

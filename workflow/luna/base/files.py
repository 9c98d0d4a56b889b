"""Atomic writes, and the small file formats every stage uses."""

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from luna.base.errors import UserError

if TYPE_CHECKING:
    # Every start of Snakemake imports this module, and pandas would make it a tenth longer.
    import pandas as pd


class Record(BaseModel):
    """What a JSON file of ours holds, or a part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


AnyRecord = TypeVar("AnyRecord", bound=Record)

_WRONG_PATH = (
    errno.EISDIR, errno.ENOTDIR, errno.ENOENT, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip
"""Errors that another path mends."""


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it onto `path` when the block succeeds.

    The folder is made if missing. On any error the temporary file is removed and what was at
    `path` before is untouched. Raises UserError for a full disk or a read-only folder.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        what = "is a folder" if path.is_dir() else "is a device or a pipe, which a file cannot replace"
        raise UserError(f"{path}: {what}; name a file to write")
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise as_user_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def as_user_error(error: OSError, path: str | Path) -> Exception:
    """A UserError for what the user can fix, such as a full disk or a missing folder; else `error`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{path}: the disk is full; free some space and run the same command again")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return UserError(f"{path}: {error.strerror}; check the permissions")
    if error.errno in _WRONG_PATH:
        return UserError(f"{path}: {error.strerror}")
    return error


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_csv(path: str | Path, table: "pd.DataFrame") -> None:
    """Write a table without its index, atomically. Floats keep every digit; missing is empty."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_record(path: str | Path, kind: type[AnyRecord]) -> AnyRecord:
    """Read a JSON file as the class that it was written from.

    Raises UserError when it is missing, damaged or written by another version.
    """
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(
            f"{path}: not written by this version of the workflow; remove it and run the workflow again"
        ) from error


def write_record(path: str | Path, record: BaseModel) -> None:
    """Write a record as indented JSON, atomically. NaN and infinity are refused (ValueError)."""
    write_json(path, record.model_dump(mode="json"))


def read_json(path: str | Path) -> Any:
    """Read a JSON file. Raises UserError when it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error

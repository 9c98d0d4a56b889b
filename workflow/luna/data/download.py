"""Get a data set's files from public records: resumed, checked, unpacked."""

import hashlib
import http.client
import json
import logging
import shutil
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

from luna.base.errors import UserError
from luna.base.files import as_user_error, atomic_path
from luna.base.progress import enumerate_with_estimate

log = logging.getLogger(__name__)
_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60
_BROKEN = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a record. size in bytes and md5 (hex) are None where the record has none."""

    name: str
    url: str
    size: int | None = None
    md5: str | None = None


def list_files(record: str, patterns: Sequence[str]) -> list[RemoteFile]:
    """The record's files whose names match. Raises UserError when it cannot be read."""
    try:
        with urllib.request.urlopen(record, timeout=_TIMEOUT_SECONDS) as answer:
            page = json.load(answer)
        files = [_remote_file(record, entry) for entry in page["files"]]
    except (*_BROKEN, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{record}: not a readable record ({error}); check the address and the network"
        ) from error
    return [file for file in files if any(fnmatch(file.name, pattern) for pattern in patterns)]


def _remote_file(record: str, entry: dict[str, Any]) -> RemoteFile:
    name = str(entry["key"])
    if PurePosixPath(name).name != name or name.startswith("."):
        raise ValueError(f"{name!r} is not a file name")
    kind, _, checksum = str(entry.get("checksum") or "").partition(":")
    url = urljoin(record, str(entry["links"]["self"]))
    return RemoteFile(name, url, entry.get("size"), checksum if kind == "md5" else None)


def download(file: RemoteFile, folder: Path, tries: int = 8, pause_seconds: float = 2) -> Path:
    """Download a file into `folder`; an interrupted transfer, also of an earlier call, is resumed.

    tries: attempts in a row without a byte before the download gives up; pauses double each time.
    Raises UserError then (what has arrived is kept), or when size or checksum are wrong.
    """
    path, part = folder / file.name, folder / f".{file.name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    failures = 0
    while not _is_complete(part, file):
        before = _size(part)
        try:
            _transfer(file, part)
            if file.size is None:
                break
        except _BROKEN as error:
            if isinstance(error, OSError) and isinstance(shown := as_user_error(error, part), UserError):
                raise shown from error
            status = getattr(error, "code", None)
            if status in (401, 403, 404, 410):
                raise UserError(f"{file.url}: {error}; check the address") from error
            if status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and file.size is None:
                break  # nothing is left to send
            log.info("%s: interrupted at %d bytes (%s); resuming", file.name, _size(part), error)
        failures = 0 if _size(part) > before else failures + 1
        if failures >= tries:
            raise UserError(
                f"{file.url}: nothing arrived in {tries} attempts; the downloaded part is kept:"
                " run the same command again later"
            )
        if failures:
            time.sleep(pause_seconds * 2 ** (failures - 1))
    _check(file, part)
    part.replace(path)
    return path


def _transfer(file: RemoteFile, part: Path) -> None:
    """Append to `part` until the server stops sending."""
    have = _size(part)
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
        if have and answer.status != http.client.PARTIAL_CONTENT:
            have = 0  # The server cannot resume: it sends all of it again.
        left = answer.length
        with part.open("r+b" if have else "wb") as out:
            out.seek(have)
            for _, block in enumerate_with_estimate(_blocks(answer), file.name, -(-(left or 1) // _BLOCK)):
                out.write(block)
        # Reading in blocks, http.client does not mind an early end.
        if left is not None and _size(part) < have + left:
            raise http.client.IncompleteRead(b"", have + left - _size(part))


def _blocks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while block := answer.read(_BLOCK):
        yield block


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_complete(part: Path, file: RemoteFile) -> bool:
    return file.size is not None and _size(part) >= file.size


def _check(file: RemoteFile, part: Path) -> None:
    """Raise UserError, and remove what has arrived, unless size and checksum match the record."""
    problem = None
    if file.size is not None and _size(part) != file.size:
        problem = f"{_size(part)} bytes arrived, the record says {file.size}"
    elif file.md5 is not None:
        with part.open("rb") as content:
            arrived = hashlib.file_digest(content, "md5").hexdigest()
        if arrived != file.md5:
            problem = f"its checksum is {arrived}, the record says {file.md5}"
    if problem:
        part.unlink()
        raise UserError(f"{file.name}: {problem}; it was removed, run the same command again")


def unpack(archive: Path, folder: Path) -> int:
    """Unpack a zip archive into `folder`, each file atomically; return how many. A file that exists in the
    same size stays. Raises UserError for a damaged archive, or one with a path that leads elsewhere."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [each for each in opened.infolist() if not each.is_dir()]
            for member in members:
                if ".." in PurePosixPath(member.filename).parts or member.filename.startswith(("/", "\\")):
                    raise UserError(f"{archive}: holds {member.filename!r}, which is outside the folder")
            for _, member in enumerate_with_estimate(members, f"unpacking {archive.name}", len(members)):
                target = folder / member.filename
                if target.exists() and _size(target) == member.file_size:
                    continue
                with (
                    atomic_path(target) as temporary,
                    opened.open(member) as packed,
                    temporary.open("wb") as out,
                ):
                    shutil.copyfileobj(packed, out, _BLOCK)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UserError(
            f"{archive}: the archive is damaged ({error}); remove it and download it again"
        ) from error
    return len(members)


def get_data_set(records: Sequence[str], patterns: Sequence[str], folder: Path, keep: bool) -> list[str]:
    """Download and unpack the matching files of all records; their names.

    An archive is removed once it is unpacked, unless it is to be kept; a marker beside it tells later
    calls that it is done.
    """
    done = []
    for file in (file for record in records for file in list_files(record, patterns)):
        marker = folder / f".{file.name}.done"
        mark = file.md5 or str(file.size)
        if not marker.exists() or marker.read_text() != mark:
            log.info("%s: %s bytes from %s", file.name, file.size or "unknown", file.url)
            path = download(file, folder)
            if path.suffix == ".zip":
                unpack(path, folder)
                if not keep:
                    path.unlink()
            with atomic_path(marker) as temporary:
                temporary.write_text(mark)
        done.append(file.name)
    if not done:
        raise UserError(f"no file of {', '.join(records)} matches {', '.join(patterns)}")
    return done

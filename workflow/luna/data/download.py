"""Get a data set's files from public records: resumed, checked, unpacked."""

import hashlib
import http.client
import json
import logging
import shutil
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

import urllib3
from pydantic import BaseModel, ValidationError

from luna.base.archives import archive_errors, files_in
from luna.base.errors import UserError
from luna.base.files import as_user_error, atomic_path
from luna.base.progress import enumerate_with_estimate

log = logging.getLogger(__name__)
_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60
_BROKEN = (OSError, urllib3.exceptions.HTTPError)
_BUSY = (429, 500, 502, 503, 504)


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
        with _open(record) as answer:
            page = json.loads(answer.read())
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


def _open(url: str, have: int = 0, tries: int = 8, pause_seconds: float = 2) -> urllib3.BaseHTTPResponse:
    """An answer to be read, from byte `have` on where the server can. A busy server is asked again, when it
    says so or after pauses that double. Raises UserError for an address that does not exist."""
    retry = urllib3.Retry(
        total=tries, connect=0, read=0, status=tries, redirect=5, status_forcelist=_BUSY,
        backoff_factor=pause_seconds, backoff_max=120, respect_retry_after_header=True,
    )  # fmt: skip
    headers = {"Range": f"bytes={have}-"} if have else {}
    pool = urllib3.PoolManager(timeout=_TIMEOUT_SECONDS, retries=retry)
    answer = pool.request("GET", url, headers=headers, preload_content=False)
    if answer.status in (401, 403, 404, 410):
        raise UserError(f"{url}: {answer.status} {answer.reason}; check the address")
    if answer.status >= 400 and answer.status != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise urllib3.exceptions.HTTPError(f"{answer.status} {answer.reason}")
    return answer


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
            _transfer(file, part, tries, pause_seconds)
            if file.size is None:
                break
        except _BROKEN as error:
            if isinstance(error, OSError) and isinstance(shown := as_user_error(error, part), UserError):
                raise shown from error
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


def _transfer(file: RemoteFile, part: Path, tries: int, pause_seconds: float) -> None:
    """Append to `part` until the server stops sending."""
    have = _size(part)
    with _open(file.url, have, tries, pause_seconds) as answer:
        if answer.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is left to send
        if have and answer.status != http.client.PARTIAL_CONTENT:
            have = 0  # The server cannot resume: it sends all of it again.
        blocks = answer.stream(_BLOCK, decode_content=False)
        left = int(answer.headers.get("Content-Length", 1))
        with part.open("r+b" if have else "wb") as out:
            out.seek(have)
            for _, block in enumerate_with_estimate(blocks, file.name, -(-left // _BLOCK)):
                out.write(block)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_complete(part: Path, file: RemoteFile) -> bool:
    return file.size is not None and _size(part) >= file.size


def _md5(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()


def _check(file: RemoteFile, part: Path) -> None:
    """Raise UserError, and remove what has arrived, unless size and checksum match the record."""
    problem = None
    if file.size is not None and _size(part) != file.size:
        problem = f"{_size(part)} bytes arrived, the record says {file.size}"
    elif file.md5 is not None:
        arrived = _md5(part)
        if arrived != file.md5:
            problem = f"its checksum is {arrived}, the record says {file.md5}"
    if problem:
        part.unlink()
        raise UserError(f"{file.name}: {problem}; it was removed, run the same command again")


class Kept(BaseModel):
    """A file that a download left: its size, its CRC-32, and when it was written, in nanoseconds."""

    size: int
    crc: int
    time: int


class Marker(BaseModel):
    """What tells later calls that a remote file is done: which it was, and the files it left."""

    remote: str
    files: dict[str, Kept]


def unpack(archive: Path, folder: Path) -> dict[str, int]:
    """Unpack a zip archive into `folder`, each file atomically; the CRC-32 of each by name.

    A file that exists with the same content stays. Raises UserError for an archive that is damaged,
    encrypted, packed in a way that Python does not know, or that holds a path which leads elsewhere.
    """
    with archive_errors(str(archive)), zipfile.ZipFile(archive) as opened:
        members = files_in(opened)
        for member in members:
            if ".." in PurePosixPath(member.filename).parts or member.filename.startswith(("/", "\\")):
                raise UserError(f"{archive}: holds {member.filename!r}, which is outside the folder")
        for _, member in enumerate_with_estimate(members, f"unpacking {archive.name}", len(members)):
            target = folder / member.filename
            if _size(target) == member.file_size and target.exists() and _crc(target) == member.CRC:
                continue
            with (
                atomic_path(target) as temporary,
                opened.open(member) as packed,
                temporary.open("wb") as out,
            ):
                shutil.copyfileobj(packed, out, _BLOCK)
    return {member.filename: member.CRC for member in members}


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc


def get_data_set(records: Sequence[str], patterns: Sequence[str], folder: Path, keep: bool) -> list[str]:
    """Download and unpack the matching files of all records; their names.

    An archive is removed once it is unpacked, unless it is to be kept. A marker beside it tells later
    calls which files it left: one that is missing or has another content comes back.
    """
    done = []
    for file in (file for record in records for file in list_files(record, patterns)):
        marker = folder / f".{file.name}.done"
        if not _is_done(marker, file, folder):
            log.info("%s: %s bytes from %s", file.name, file.size or "unknown", file.url)
            path = folder / file.name
            if not _is_whole(file, path):
                path = download(file, folder)
            crcs = unpack(path, folder) if path.suffix == ".zip" else {file.name: _crc(path)}
            _write_marker(marker, file, folder, crcs)
            if path.suffix == ".zip" and not keep:
                path.unlink()
        done.append(file.name)
    if not done:
        raise UserError(f"no file of {', '.join(records)} matches {', '.join(patterns)}")
    return done


def _is_whole(file: RemoteFile, path: Path) -> bool:
    """Whether an earlier call has downloaded the whole file, and only unpacking it failed."""
    return file.md5 is not None and _size(path) == file.size and _md5(path) == file.md5


def _write_marker(marker: Path, file: RemoteFile, folder: Path, crcs: dict[str, int]) -> None:
    kept = {}
    for name, crc in crcs.items():
        status = (folder / name).stat()
        kept[name] = Kept(size=status.st_size, crc=crc, time=status.st_mtime_ns)
    with atomic_path(marker) as temporary:
        temporary.write_text(Marker(remote=_name_of(file), files=kept).model_dump_json())


def _name_of(file: RemoteFile) -> str:
    return file.md5 or str(file.size)


def _is_done(marker: Path, file: RemoteFile, folder: Path) -> bool:
    """Whether all that this remote file left is there as it was: by size and time, else by content."""
    try:
        left = Marker.model_validate_json(marker.read_text())
    except (FileNotFoundError, ValidationError):
        return False
    if left.remote != _name_of(file):
        return False
    for name, kept in left.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != kept.size:
            log.info("%s: is missing or has another size; %s is fetched again", path, file.name)
            return False
        if path.stat().st_mtime_ns != kept.time and _crc(path) != kept.crc:
            log.info("%s: has another content; %s is fetched again", path, file.name)
            return False
    return True

"""Downloads from a server that breaks connections: resumed, checked, unpacked, never half a file."""

import errno
import hashlib
import io
import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import download as download_program
import numpy as np
import pytest

from luna.base.errors import UserError
from luna.data.download import RemoteFile, download, unpack

LARGE = np.random.default_rng(0).bytes(5_000_000)


def zipped(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return archive.getvalue()


class Server(ThreadingHTTPServer):
    """A record with files. `breaks`: transfers that stop half-way; ranges: whether it can resume."""

    def __init__(self, files: dict[str, bytes], breaks: int = 0, ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.breaks, self.ranges, self.sent = files, breaks, ranges, 0
        self.changes: dict[str, Any] = {}
        self.busy = 0

    @property
    def record(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/records/1"

    def page(self) -> bytes:
        entries = [
            {
                "key": name, "size": len(content), "links": {"self": f"/files/{name}"},
                "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
            } | self.changes
            for name, content in self.files.items()
        ]  # fmt: skip
        return json.dumps({"files": entries}).encode()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.server.busy:
            self.server.busy -= 1
            self.send_response(429)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/api/records/1":
            self.send(200, self.server.page())
            return
        content = self.server.files.get(self.path.removeprefix("/files/"))
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        if asked and self.server.ranges:
            self.send(206, content[int(asked.removeprefix("bytes=").rstrip("-")) :])
        else:
            self.send(200, content)

    def send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.breaks and len(content) > 1_000_000:
            self.server.breaks -= 1
            content = content[: len(content) // 2]
        self.wfile.write(content)
        self.server.sent += len(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    files = {
        "subset0.zip": zipped({"subset0/1.2.mhd": b"header", "subset0/1.2.raw": LARGE}),
        "annotations.csv": b"seriesuid,coordX,coordY,coordZ,diameter_mm\n",
        "other.zip": b"not wanted",
    }
    with Server(files) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def remote(server: Server, name: str, **changes: Any) -> RemoteFile:
    content = server.files[name]
    url = server.record.replace("api/records/1", f"files/{name}")
    values = {"size": len(content), "md5": hashlib.md5(content).hexdigest()} | changes
    return RemoteFile(name, url, **values)


def test_a_data_set_over_broken_connections(server: Server, tmp_path: Path) -> None:
    """Resumed, not begun again; archives go when unpacked; a second call asks for the records only."""
    server.breaks = 4
    arguments = ["--records", server.record, "--root", str(tmp_path), "--manifest", f"{tmp_path}/m.json"]
    download_program.main(arguments)
    assert (tmp_path / "subset0" / "1.2.raw").read_bytes() == LARGE
    assert (tmp_path / "subset0" / "1.2.mhd").read_bytes() == b"header"
    assert (tmp_path / "annotations.csv").read_bytes() == server.files["annotations.csv"]
    assert not (tmp_path / "subset0.zip").exists()
    assert json.loads((tmp_path / "m.json").read_text())["files"] == ["subset0.zip", "annotations.csv"]
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))
    assert server.sent < len(server.files["subset0.zip"]) + 10_000, "no byte came twice"
    before = server.sent
    download_program.main(arguments)
    assert server.sent - before < 2_000


def arguments_for(server: Server, folder: Path) -> list[str]:
    return ["--records", server.record, "--root", str(folder), "--manifest", f"{folder}/m.json"]


@pytest.mark.parametrize("change", ["deleted", "shorter", "other content", "touched"])
def test_files_that_were_changed_come_back(server: Server, tmp_path: Path, change: str) -> None:
    download_program.main(arguments_for(server, tmp_path))
    path, before = tmp_path / "subset0" / "1.2.raw", server.sent
    if change == "deleted":
        path.unlink()
    elif change == "shorter":
        path.write_bytes(LARGE[:-5])
    elif change == "other content":
        path.write_bytes(LARGE[:-5] + b"other")
    else:
        os.utime(path, (0, 0))
    download_program.main(arguments_for(server, tmp_path))
    assert path.read_bytes() == LARGE
    came_again = server.sent - before > 1_000_000
    assert came_again == (change != "touched")


def test_a_whole_archive_is_not_fetched_again_when_unpacking_failed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(UserError, match="the disk is full"):
            download_program.main(arguments_for(server, tmp_path))
    before = server.sent
    download_program.main(arguments_for(server, tmp_path))
    assert (tmp_path / "subset0" / "1.2.raw").read_bytes() == LARGE
    assert server.sent - before < 10_000


def test_a_busy_server_is_asked_again_when_it_says(server: Server, tmp_path: Path) -> None:
    server.busy = 2
    start = time.monotonic()
    download(remote(server, "annotations.csv"), tmp_path, pause_seconds=0.001)
    assert time.monotonic() - start >= 2, "Retry-After: 1, twice"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_cannot_resume(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.ranges, server.breaks = ranges, 2
    path = download(remote(server, "subset0.zip"), tmp_path, pause_seconds=0.01)
    assert path.read_bytes() == server.files["subset0.zip"]


def test_a_record_that_tells_no_sizes(server: Server, tmp_path: Path) -> None:
    server.breaks = 1
    path = download(remote(server, "subset0.zip", size=None, md5=None), tmp_path, pause_seconds=0.01)
    assert path.read_bytes() == server.files["subset0.zip"]


def test_what_arrived_before_is_used(server: Server, tmp_path: Path) -> None:
    """A program that was killed leaves a part; nothing looks finished before it is."""
    half = server.files["subset0.zip"][:2_000_000]
    (tmp_path / ".subset0.zip.part").write_bytes(half)
    download(remote(server, "subset0.zip"), tmp_path)
    assert server.sent == len(server.files["subset0.zip"]) - len(half)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"md5": "0" * 32}, "its checksum is"), ({"size": 4_000_000}, "bytes arrived, the record says 4000000")],
)
def test_wrong_bytes_are_removed(
    server: Server, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        download(remote(server, "subset0.zip", **changes), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_reported_at_once(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".subset0.zip.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="the disk is full"):
        download(remote(server, "subset0.zip"), tmp_path)


def test_given_up_with_what_arrived_kept(server: Server, tmp_path: Path) -> None:
    file = remote(server, "subset0.zip")
    server.shutdown()
    server.server_close()
    (tmp_path / ".subset0.zip.part").write_bytes(b"abc")
    with pytest.raises(UserError, match="nothing arrived in 2 attempts; the downloaded part is kept"):
        download(file, tmp_path, tries=2, pause_seconds=0.01)
    assert (tmp_path / ".subset0.zip.part").read_bytes() == b"abc"


def test_mistakes_are_named(server: Server, tmp_path: Path) -> None:
    arguments = ["--root", str(tmp_path), "--manifest", f"{tmp_path}/got.json", "--records"]
    with pytest.raises(UserError, match="404 Not Found; check the address"):
        download_program.main([*arguments, server.record + "0"])
    with pytest.raises(UserError, match="not a readable record"):
        download_program.main([*arguments, server.record.replace("api/records/1", "files/annotations.csv")])
    with pytest.raises(UserError, match=r"no file of .* matches x\*"):
        download_program.main([*arguments, server.record, "--files", "x*"])
    with pytest.raises(UserError, match="check the address"):
        download(RemoteFile("a", server.record.replace("api", "no"), 3), tmp_path)
    server.changes = {"key": "../subset0.zip"}
    with pytest.raises(UserError, match="is not a file name"):
        download_program.main([*arguments, server.record])


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt"])
def test_an_archive_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"good.txt": b"x", name: b"x"}))
    with pytest.raises(UserError, match="is outside the folder"):
        unpack(archive, tmp_path / "in")
    assert not list((tmp_path / "in").rglob("*"))


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_damaged_archive(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.raw", LARGE)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[60:70] = bytes(10)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip: is damaged .*get it again"):
        unpack(tmp_path / "a.zip", tmp_path)
    assert not (tmp_path / "a.raw").exists()


def test_archives_that_python_cannot_unpack(tmp_path: Path) -> None:
    """Encrypted ones, and those packed by a method that it does not know, get a message of their own."""
    content = zipped({"a.raw": LARGE})
    places = content.find(b"PK\x03\x04"), content.find(b"PK\x01\x02")
    for offsets, bits, words in (
        ((6, 8), 1, "a.zip: is encrypted; unpack it with its password"),
        ((8, 10), 97, "unpack it with another program"),
    ):
        changed = bytearray(content)
        for place, offset in zip(places, offsets, strict=True):
            changed[place + offset] = bits
        (tmp_path / "a.zip").write_bytes(changed)
        with pytest.raises(UserError, match=words):
            unpack(tmp_path / "a.zip", tmp_path)
        assert not (tmp_path / "a.raw").exists()

"""Whether a file holds all the bytes of a CT's voxels, and holds them undamaged."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from luna.imaging.header import AT_THE_END, CtHeader, Storage
from luna.imaging.problem import BadCtError, Problem, bad_ct

_BLOCK = 1024 * 1024
_ARCHIVES = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z"}
_WINDOW_BITS = {"zlib": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}


def file_problems(path: Path, header: CtHeader) -> Iterator[Problem]:
    """What is wrong with the file of the voxels, by its name, first bytes and size alone.

    path: of the header, which may be another file.
    """
    storage = header.storage
    if storage is None:
        return
    if storage.file.stem != path.stem:
        yield Problem("uid-mismatch", str(path), f"its voxels are in {storage.file.name}")
        return
    try:
        size = storage.file.stat().st_size
        with storage.file.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        yield Problem("missing-voxels", str(storage.file), f"cannot be read ({error.strerror})")
        return
    is_separate = storage.file != path
    for magic, name in _ARCHIVES.items():
        if is_separate and start.startswith(magic) and size != header.raw_bytes:
            yield Problem("archive", str(storage.file), f"is a {name} archive, not voxels")
            return
    yield from _size_problems(storage, header.raw_bytes, size, is_separate)


def _size_problems(storage: Storage, needed: int, size: int, is_separate: bool) -> Iterator[Problem]:
    where = str(storage.file)
    if storage.packing == "none":
        offset = max(0, size - needed) if storage.offset == AT_THE_END else storage.offset
        there, expected = size - offset, offset + needed
    elif storage.packed_bytes is not None:
        there, expected = size - storage.packed_from, storage.packed_from + storage.packed_bytes
        needed = storage.packed_bytes
    else:
        return
    if size < expected:
        yield Problem("truncated-voxels", where, f"{_end(there, needed)} ({size} bytes of {expected})")
    elif size > expected and is_separate:
        yield Problem("surplus-voxels", where, f"{size} bytes, the header implies {expected}")


def _end(there: int, needed: int) -> str:
    # Rounded down: a file that ends too early never has 100 %.
    return f"the file ends after {100 * max(0, there) // needed} % of its voxels"


def unpack(header: CtHeader) -> bytearray:
    """What packed voxels hold, with the bytes before them, in one pass over the file.

    The checksums at the end of zlib and gzip streams are compared. Raises BadCtError for a stream that breaks
    off, is corrupt, or holds too few or many bytes.
    """
    storage = header.storage
    assert storage is not None
    needed = storage.offset + header.raw_bytes
    content, total, packed = bytearray(), 0, 0

    def bad(text: str) -> BadCtError:
        return bad_ct(storage.file, text, "compression")

    try:
        with storage.file.open("rb") as file:
            file.seek(storage.packed_from)
            for block, used in _unpacked(file, storage.packing):
                # What a header promises may be more than any memory holds.
                content += block[: max(0, needed - total)]
                total, packed = total + len(block), packed + used
    except zlib.error as error:
        raise bad(f"the compressed voxels are corrupt ({error})") from error
    except EOFError as error:
        raise bad(_end(total - storage.offset, header.raw_bytes)) from error
    if total != needed:
        raise bad(f"the stream holds {total} bytes, the header implies {needed}")
    if storage.packed_bytes not in (None, packed):
        # SimpleITK unpacks so many bytes, and fills up with what was in memory before.
        raise bad(f"CompressedDataSize is {storage.packed_bytes}, but the voxels take {packed} bytes")
    return content


def _unpacked(file: IO[bytes], packing: str) -> Iterator[tuple[bytes, int]]:
    """Unpacked blocks, and how many bytes each took.

    Raises zlib.error, and EOFError where the stream breaks off.
    """
    stream = zlib.decompressobj(_WINDOW_BITS[packing])
    while packed := file.read(_BLOCK):
        while packed:
            block = stream.decompress(packed)
            yield block, len(packed) - len(stream.unused_data)
            packed = stream.unused_data
            if packed and not packed.strip(b"\0"):
                return
            if packed:
                # A gzip file may hold several streams.
                stream = zlib.decompressobj(_WINDOW_BITS[packing])
    if not stream.eof:
        raise EOFError

"""Digests of values and files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import xxhash


def digest(value: Any) -> str:
    """16 hex digits that depend only on the content of a JSON-like value, not on key order."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


_BLOCK = 4 * 1024 * 1024


def file_checksum(path: str | Path) -> str:
    """XXH3-128 of a file's bytes as 32 hex digits, read in blocks of 4 MiB."""
    hasher = xxhash.xxh3_128()
    buffer = bytearray(_BLOCK)
    view = memoryview(buffer)
    with Path(path).open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(view[:count])
    return hasher.hexdigest()

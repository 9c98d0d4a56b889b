"""DICOM series UIDs: which are valid, and those of the phantom's series."""

import hashlib
import re

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
PHANTOM_ROOT = "1.3.6.1.4.1.14519.5.2.1.6279.6001"


def is_valid_uid(uid: str) -> bool:
    """Whether `uid` is a DICOM UID: numbers joined by dots, at most 64 characters (PS3.5, 9.1).

    Also what makes a uid safe as a file name: it can hold neither a slash nor a lone `..`.
    """
    return len(uid) <= 64 and _UID.fullmatch(uid) is not None


def phantom_series_uid(seed: int, number: int) -> str:
    """UID of the phantom's series `number`, in the form of LUNA16's own; known before it is made."""
    digits = int(hashlib.sha256(f"phantom {seed} {number}".encode()).hexdigest(), 16)
    return f"{PHANTOM_ROOT}.{digits % 9 + 1}{digits // 9 % 10**29:029d}"

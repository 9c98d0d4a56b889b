"""Which series UIDs are valid."""

import re

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_valid_uid(uid: str) -> bool:
    """Whether `uid` is a DICOM UID: numbers joined by dots, at most 64 characters (PS3.5, 9.1).

    Also what makes a uid safe as a file name: it can hold neither a slash nor a lone `..`.
    """
    return len(uid) <= 64 and _UID.fullmatch(uid) is not None

"""UIDs of the phantom's series."""

import hashlib

PHANTOM_ROOT = "1.3.6.1.4.1.14519.5.2.1.6279.6001"


def phantom_series_uid(seed: int, number: int) -> str:
    """UID of the phantom's series `number`, in the form of LUNA16's own; known before it is made."""
    digits = int(hashlib.sha256(f"phantom {seed} {number}".encode()).hexdigest(), 16)
    return f"{PHANTOM_ROOT}.{digits % 9 + 1}{digits // 9 % 10**29:029d}"

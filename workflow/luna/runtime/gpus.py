"""Jobs on the same machine each claim a GPU of their own."""

import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_claims: dict[Path, FileLock] = {}


def claim_gpu(names: Sequence[str], folder: Path | None = None) -> int:
    """Claim one of the named GPUs for this process; its place in `names`.

    Waits while all are taken; a GPU that this process claimed before stays its own. The claim is a
    lock on a file in `folder` (by default one of the user's in the system's temporary folder) that
    the system releases when the process ends, however it ends. Names must be the same in all
    processes, whatever each of them may see.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"luna-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    waiting = False
    while True:
        for place, name in enumerate(names):
            if _claimed(folder / f"{name}.lock"):
                return place
        if not waiting:
            log.info("all %d GPUs are in use by other jobs; waiting", len(names))
            waiting = True
        time.sleep(_POLL_SECONDS)


def _claimed(path: Path) -> bool:
    if path in _claims:
        return True
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return False
    # Kept, because a lock that is no longer referred to is released.
    _claims[path] = lock
    return True

"""Jobs side by side on one machine each claim a GPU of their own."""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_claims: dict[Path, IO[bytes]] = {}


def claim_gpu(names: Sequence[str], folder: Path | None = None) -> int:
    """Claim one of the named GPUs for this process; its place in `names`.

    Waits while all are taken; a GPU this process has claimed before is its own already. The claim
    is a lock on a file in `folder` (by default one of the user's in the system's temporary folder)
    that the system lifts when the process ends, however it ends. Names must be the same in all
    processes, whatever each of them may see.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"luna-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        for place, name in enumerate(names):
            if _lock(folder / f"{name}.lock"):
                return place
        if not told:
            log.info("all of %d GPUs are taken by other jobs; waiting", len(names))
            told = True
        time.sleep(_POLL_SECONDS)


def _lock(path: Path) -> bool:
    if path in _claims:
        return True
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _claims[path] = file
    return True

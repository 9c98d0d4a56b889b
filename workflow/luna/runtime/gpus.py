"""Jobs on the same machine each claim a GPU of their own."""

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5


@contextlib.contextmanager
def claimed_gpu(names: Sequence[str], folder: Path | None = None) -> Iterator[int]:
    """Claim one of the named GPUs; yields its place in `names`.

    Waits while all are taken. The claim is a lock on a file in `folder` (by default one of the user's
    in the system's temporary folder), which the system releases too when the process is killed. Names
    must be the same in all processes, whatever each of them may see.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"luna-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / f"{name}.lock", timeout=0) for name in names]
    place = _first_free(locks)
    if place is None:
        log.info("all %d GPUs are in use by other jobs; waiting", len(names))
    while place is None:
        time.sleep(_POLL_SECONDS)
        place = _first_free(locks)
    try:
        yield place
    finally:
        locks[place].release()


def _first_free(locks: Sequence[FileLock]) -> int | None:
    for place, lock in enumerate(locks):
        with contextlib.suppress(Timeout):
            lock.acquire()
            return place
    return None

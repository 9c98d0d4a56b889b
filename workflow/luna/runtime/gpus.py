"""Jobs on the same machine each claim a GPU of their own."""

import contextlib
import logging
import os
import pwd
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_SECONDS_BETWEEN_MESSAGES = 600


@contextlib.contextmanager
def claimed_gpu(names: Sequence[str]) -> Iterator[int]:
    """Claim one of the named GPUs; yields its place in `names`.

    Waits while all are taken, and says on the terminal by whom. A claim is a socket with a name of its
    own in Linux's abstract namespace, see unix(7): it holds for all users of the machine, needs no file,
    and ends with the process, even when that is killed. Names must be the same in all processes,
    whatever each of them may see.
    """
    told = -float("inf")
    while (claim := _first_free(names)) is None:
        if time.monotonic() - told > _SECONDS_BETWEEN_MESSAGES:
            _tell(f"waiting for a GPU: {'; '.join(_holder(name) for name in names)}")
            told = time.monotonic()
        time.sleep(_POLL_SECONDS)
    place, bound = claim
    with bound:
        yield place


def _address(name: str) -> str:
    return f"\0luna-gpu-{name}"


def _first_free(names: Sequence[str]) -> tuple[int, socket.socket] | None:
    for place, name in enumerate(names):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(_address(name))
        except OSError:
            claim.close()
            continue
        # Others connect to learn whose it is.
        claim.listen()
        return place, claim
    return None


def _holder(name: str) -> str:
    """Who has claimed a GPU: its process, as the system tells it, and that process' user."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(_address(name))
            credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return f"{name} is taken"
    process, user, _ = struct.unpack("3i", credentials)
    try:
        user_name = pwd.getpwuid(user).pw_name
    except KeyError:
        user_name = str(user)
    return f"{name} is taken by process {process} of {user_name}"


def _tell(text: str) -> None:
    """A line in the log and, where that is a file, on the terminal: a job's output is the workflow's."""
    log.info("%s", text)
    if not sys.stderr.isatty():
        print(f"process {os.getpid()} is {text}", flush=True)

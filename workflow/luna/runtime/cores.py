"""What the machine offers this process: cores, open files, the allocator."""

import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal

# Parameters of mallopt(3) in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
# An option of prctl(2).
_PR_SET_PDEATHSIG = 1


def usable_threads(wanted: int) -> int:
    """Number of threads to use: `wanted`, but never more than the cores this process may run on.

    Two jobs that each start a thread per requested core on a smaller machine slow each other
    down by an order of magnitude, so every program passes its rule's threads through here.
    """
    # macOS does not tell which cores a process may run on.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(wanted, cores))


def allow_many_files() -> None:
    """Raise the number of files this process may hold open as far as the system lets it.

    The usual 1,024 is little more than the 888 cache files of LUNA16; macOS allows 256 and refuses
    some higher numbers.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (most, 10_240, 4_096) if now != most else ():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
            return


def end_with_parent() -> None:
    """Let the system kill this process when the one that started it dies (Linux only)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError, TypeError):
        return
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        # It died before the system was asked.
        os._exit(1)


def keep_freed_memory() -> None:
    """Let malloc keep freed blocks instead of handing them back to the system.

    A training step on the CPU allocates and frees the same hundreds of MB each time; without
    this a third of its time goes into page faults. Does nothing where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)
    mallopt(_M_TOP_PAD, 256 * 1024 * 1024)

"""Time passes over the loaders."""

import ctypes
import mmap
import os
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from luna.base.arrays import IntArray
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import Loader, batches_of, make_loader

COLUMNS = ["loader", "readers", "batch_size", "cold", "warm"]
"""cold and warm: samples per second in a first pass, files not in memory, and in the best of two more.

cold is NaN where the system kept files in memory, as it must on a file system that is in memory.
"""

_SHARE_STILL_COLD = 0.01


def time_loaders(
    open_dataset: Callable[[], LunaDataset],
    files: Sequence[Path],
    device: torch.device,
    kinds: Iterable[str],
    readers: Iterable[int],
    batch_sizes: Iterable[int],
    samples: int,
) -> pd.DataFrame:
    """One row with COLUMNS for every combination, fastest first. files: what the crops are read from."""
    rows = []
    for kind, number, batch_size in product(kinds, readers, batch_sizes):
        # Opened again each time: the system does not drop what a process has mapped.
        is_cold = forget(files)
        dataset = open_dataset()
        order = np.arange(min(samples, len(dataset)))
        batches = batches_of(order, batch_size)
        start = time.perf_counter()
        loader = make_loader(dataset, device, kind, number)
        _drain(loader, batches, device)
        cold = time.perf_counter() - start if is_cold else float("nan")
        warm = min(_drain(loader, batches, device) for _ in range(2))
        rows.append((kind, number, batch_size, len(order) / cold, len(order) / warm))
        del loader, dataset
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("warm", ascending=False, ignore_index=True)


def forget(files: Sequence[Path]) -> bool:
    """Ask the system to drop the files from its page cache; whether it has done so."""
    if not hasattr(os, "posix_fadvise"):
        return False  # macOS
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    total = sum(path.stat().st_size for path in files)
    return sum(map(bytes_in_memory, files)) <= _SHARE_STILL_COLD * total


def bytes_in_memory(path: Path) -> int:
    """How much of a file the system holds in its page cache, by mincore(2)."""
    size = path.stat().st_size
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        start = ctypes.c_char.from_buffer(mapped)
        failed = ctypes.CDLL(None, use_errno=True).mincore(
            ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), pages
        )
        del start
    if failed:
        raise OSError(ctypes.get_errno(), f"{path}: mincore failed")
    return sum(page & 1 for page in pages) * mmap.PAGESIZE


def _drain(loader: Loader, batches: Sequence[IntArray], device: torch.device) -> float:
    start = time.perf_counter()
    for _ in loader.load(batches):
        pass
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start

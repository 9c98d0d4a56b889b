"""Time passes over the loaders."""

import os
import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from luna.base.arrays import IntArray
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import Loader, batches_of, make_loader

COLUMNS = ["loader", "readers", "batch_size", "cold", "warm"]
"""cold and warm: samples per second in a first pass, files not in memory, and in the best of two more."""


def time_loaders(
    dataset: LunaDataset,
    files: Sequence[Path],
    device: torch.device,
    kinds: Iterable[str],
    readers: Iterable[int],
    batch_sizes: Iterable[int],
    samples: int,
) -> pd.DataFrame:
    """One row with COLUMNS for every combination, fastest first. files: what the crops are read from."""
    order = np.arange(min(samples, len(dataset)))
    rows = []
    for kind, number, batch_size in product(kinds, readers, batch_sizes):
        batches = batches_of(order, batch_size)
        forget(files)
        start = time.perf_counter()
        loader = make_loader(dataset, device, kind, number)
        _drain(loader, batches, device)
        cold = time.perf_counter() - start
        warm = min(_drain(loader, batches, device) for _ in range(2))
        rows.append((kind, number, batch_size, len(order) / cold, len(order) / warm))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("warm", ascending=False, ignore_index=True)


def forget(files: Sequence[Path]) -> None:
    """Ask the system to drop the files from its page cache."""
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _drain(loader: Loader, batches: Sequence[IntArray], device: torch.device) -> float:
    start = time.perf_counter()
    for _ in loader.load(batches):
        pass
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start

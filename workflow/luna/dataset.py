"""Candidates as samples: the dataset, the order of an epoch, and the loader."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from luna.crops import CropSource
from luna.program import UserError
from luna.tables import IRC

IntArray = npt.NDArray[np.int64]
_CROPS_PER_TASK = 8
_BATCHES_AHEAD = 3


class Batch(NamedTuple):
    """crops: int16 (n, *block) with margin; labels: int64 (n,); both on the device."""

    crops: Tensor
    labels: Tensor


class LunaDataset(Dataset[tuple[Tensor, Tensor, str, Tensor]]):
    """Candidates with their crops.

    candidates: all rows of candidates.csv; rows: which of them (default all). With val_stride
    every val_stride-th is for validation: isValSet_bool True keeps these, otherwise they are left
    out. series_uid keeps one series. sortby_str: `random` (seeded), `series_uid` or
    `label_and_size` (nodules first, largest first); None keeps the order of the rows.
    Raises UserError when nothing is left.
    """

    def __init__(
        self,
        candidates: pd.DataFrame,
        source: CropSource,
        rows: IntArray | None = None,
        val_stride: int = 0,
        isValSet_bool: bool | None = None,  # noqa: N803 - the chapter's name
        series_uid: str | None = None,
        sortby_str: str | None = None,
        seed: int = 0,
    ) -> None:
        rows = np.arange(len(candidates)) if rows is None else np.asarray(rows)
        if series_uid is not None:
            rows = rows[(candidates["seriesuid"].to_numpy()[rows] == series_uid)]
        if val_stride > 0:
            validates = np.arange(len(rows)) % val_stride == 0
            rows = rows[validates if isValSet_bool else ~validates]
        elif isValSet_bool:
            raise UserError("isValSet_bool needs a val_stride above 0")
        if not len(rows):
            raise UserError("no candidates are left to make a data set of; check series_uid and the fold")
        self.rows = rows[_sort_order(candidates.iloc[rows], sortby_str, seed)]
        chosen = candidates.iloc[self.rows]
        self.source = source
        self.labels: IntArray = chosen["class"].to_numpy(dtype=np.int64)
        self.series_uids = chosen["seriesuid"].to_numpy()
        self.centers_irc = chosen[IRC].to_numpy(dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, str, Tensor]:
        """Crop int16 (1, *block), label int64 (), series uid, centre irc int64 (3,)."""
        crop = np.empty(self.source.settings.block, dtype=np.int16)
        self.source.read(int(self.rows[index]), crop)
        return (
            torch.from_numpy(crop).unsqueeze(0),
            torch.tensor(self.labels[index]),
            self.series_uids[index],
            torch.from_numpy(self.centers_irc[index]),
        )

    def read_into(self, indices: IntArray, out: npt.NDArray[np.int16]) -> None:
        """Fill out[k] with the crop of sample indices[k]."""
        for row, crop in zip(self.rows[indices], out, strict=True):
            self.source.read(int(row), crop)


def _sort_order(candidates: pd.DataFrame, sortby: str | None, seed: int) -> IntArray:
    if sortby is None:
        return np.arange(len(candidates))
    if sortby == "random":
        return np.random.default_rng([seed, 2]).permutation(len(candidates))
    if sortby == "series_uid":
        return np.lexsort([*(candidates[name] for name in reversed(IRC)), candidates["seriesuid"]])
    if sortby == "label_and_size":
        return np.lexsort([-candidates["diameter_mm"], -candidates["class"]])
    raise UserError(f"unknown sort order {sortby!r}; use random, series_uid or label_and_size")


def epoch_order(labels: IntArray, seed: int, epoch: int, balance: float = 0, samples: int = 0) -> IntArray:
    """Indices of an epoch's samples, a function of seed and epoch alone.

    balance: negatives for each positive, in every batch (0: natural ratio). samples: how many (0: as many as
    there are). Within a class nothing comes twice before everything came once. Where a class is
    missing there is nothing to balance, and the order is the natural one.
    """
    rng = np.random.default_rng([seed, epoch])
    count = samples or len(labels)
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if balance == 0 or not len(positive) or not len(negative):
        return _cycle(rng, np.arange(len(labels)), count)
    # Spread evenly, so that every batch has the ratio: where it varies by chance from batch to batch,
    # a small network chases the ratio instead of learning to tell the classes apart.
    steps = np.floor(np.arange(count + 1) / (1 + balance) + 0.5)
    is_positive = np.diff(steps) > 0
    order = np.empty(count, dtype=np.int64)
    order[is_positive] = _cycle(rng, positive, int(is_positive.sum()))
    order[~is_positive] = _cycle(rng, negative, int((~is_positive).sum()))
    return order


def _cycle(rng: np.random.Generator, indices: IntArray, count: int) -> IntArray:
    rounds = -(-count // len(indices))
    return np.concatenate([rng.permutation(indices) for _ in range(rounds)])[:count]


def batches_of(order: IntArray, batch_size: int) -> list[IntArray]:
    """An order cut into batches; the last may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def load_batches(
    dataset: LunaDataset, batches: Sequence[IntArray], device: torch.device, threads: int
) -> Iterator[Batch]:
    """Yield the batches on the device, read ahead by threads of this process.

    Unpacking releases Python's lock, so threads do what worker processes would, without copies
    between processes. With 0 threads crops are read when they are needed.
    """
    if threads == 0:
        for indices in batches:
            crops = torch.empty((len(indices), *dataset.source.settings.block), dtype=torch.int16)
            dataset.read_into(indices, crops.numpy())
            yield _on_device(crops, dataset.labels[indices], device)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="crops")
    pending: deque[tuple[IntArray, Tensor, list[Future[None]]]] = deque()
    waiting = deque(batches)
    try:
        while True:
            while waiting and len(pending) <= _BATCHES_AHEAD:
                pending.append(_start_reading(dataset, waiting.popleft(), pool, device))
            if not pending:
                return
            indices, crops, tasks = pending.popleft()
            wait(tasks)
            for task in tasks:
                task.result()
            yield _on_device(crops, dataset.labels[indices], device)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_reading(
    dataset: LunaDataset, indices: IntArray, pool: ThreadPoolExecutor, device: torch.device
) -> tuple[IntArray, Tensor, list[Future[None]]]:
    shape = (len(indices), *dataset.source.settings.block)
    crops = torch.empty(shape, dtype=torch.int16, pin_memory=device.type == "cuda")
    array = crops.numpy()
    tasks = [
        pool.submit(
            dataset.read_into,
            indices[start : start + _CROPS_PER_TASK],
            array[start : start + _CROPS_PER_TASK],
        )
        for start in range(0, len(indices), _CROPS_PER_TASK)
    ]
    return indices, crops, tasks


def _on_device(crops: Tensor, labels: IntArray, device: torch.device) -> Batch:
    return Batch(crops.to(device, non_blocking=True), torch.from_numpy(labels).to(device))

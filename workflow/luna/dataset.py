"""Candidates as samples: the dataset and the order of an epoch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from luna.crops import CropSource
from luna.ct import HuArray
from luna.program import UserError
from luna.tables import IRC

IntArray = npt.NDArray[np.int64]
Sample = tuple[Tensor, Tensor, str, Tensor]
"""Crop int16 (1, *block) with margin, label int64 (), series uid, centre irc int64 (3,)."""


class LunaDataset(Dataset[Sample]):
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
        self.labels: IntArray = chosen["class"].to_numpy(dtype=np.int64, copy=True)
        self.series_uids = chosen["seriesuid"].to_numpy()
        self.centers_irc = chosen[IRC].to_numpy(dtype=np.int64, copy=True)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """One sample."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Several samples, whose crops share one block of memory; torch's DataLoader asks for these."""
        crops = torch.empty((len(indices), 1, *self.source.settings.block), dtype=torch.int16)
        self.read_into(np.asarray(indices), crops[:, 0].numpy())
        return [
            (
                crop,
                torch.tensor(self.labels[index]),
                self.series_uids[index],
                torch.from_numpy(self.centers_irc[index]),
            )
            for crop, index in zip(crops, indices, strict=True)
        ]

    def crop(self, index: int) -> HuArray:
        """A sample's crop without its margin, int16."""
        settings = self.source.settings
        block = np.empty(settings.block, dtype=np.int16)
        self.source.read(int(self.rows[index]), block)
        return block[settings.middle]

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
    rounds = max(1, -(-count // len(indices)))
    return np.concatenate([rng.permutation(indices) for _ in range(rounds)])[:count]


def batches_of(order: IntArray, batch_size: int) -> list[IntArray]:
    """An order cut into batches; the last may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

"""Candidates as samples."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from luna.base.arrays import HuArray, IntArray
from luna.base.digests import digest
from luna.base.errors import UserError
from luna.base.randomness import rng
from luna.crops.sources import CropSource
from luna.data.folds import every_nth
from luna.data.tables import IRC

Sample = tuple[Tensor, Tensor, str, Tensor]
"""Crop int16 (1, *block) with margin, label int64 (), series uid, centre irc int64 (3,)."""


class LunaDataset(Dataset[Sample]):
    """Candidates with their crops.

    candidates: all rows of candidates.csv; rows: which of them (default all). With val_stride
    every val_stride-th is for validation: isValSet_bool True keeps these, otherwise they are left
    out. series_uid keeps one series. sortby_str: `random` (seeded), `series_uid` or
    `label_and_size` (nodules first, largest first); None keeps the order of the rows. crop: what a
    model sees, (index, row, column) voxels in the middle of a source's crop; None for all of it.
    Raises UserError when nothing is left, and for a crop that is larger than the source's.
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
        crop: tuple[int, int, int] | None = None,
    ) -> None:
        rows = np.arange(len(candidates)) if rows is None else np.asarray(rows)
        if series_uid is not None:
            rows = rows[(candidates["seriesuid"].to_numpy()[rows] == series_uid)]
        if val_stride > 0:
            validates = every_nth(len(rows), val_stride)
            rows = rows[validates if isValSet_bool else ~validates]
        elif isValSet_bool:
            raise UserError("isValSet_bool needs a val_stride above 0")
        if not len(rows):
            raise UserError("no candidates are left for a dataset; check series_uid and the fold")
        self.rows = rows[_sort_order(candidates.iloc[rows], sortby_str, seed)]
        chosen = candidates.iloc[self.rows]
        self.source = source
        self.crop_size = crop or source.settings.crop
        if any(size > most for size, most in zip(self.crop_size, source.settings.crop, strict=True)):
            raise UserError(
                f"crops of {list(self.crop_size)} voxels are wanted, those of the cache have"
                f" {list(source.settings.crop)}; set cache.crop to at least as many"
            )
        self.labels: IntArray = chosen["class"].to_numpy(dtype=np.int64, copy=True)
        self.series_uids = chosen["seriesuid"].to_numpy()
        self.centers_irc = chosen[IRC].to_numpy(dtype=np.int64, copy=True)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """One sample."""
        sample: Sample = self.__getitems__([index])[0]
        return sample

    def __getitems__(self, indices: Sequence[int]) -> "Samples":
        """Several samples, whose crops share one block of memory; torch's DataLoader asks for these."""
        crops = _empty_crops((len(indices), 1, *self.source.settings.block))
        self.read_into(np.asarray(indices), crops[:, 0].numpy())
        return Samples(self, indices, crops)

    @property
    def digest(self) -> str:
        """Changes with the samples: their order, crops and labels."""
        return digest([self.source.digest_of(self.rows), self.labels.tolist()])

    def crop(self, index: int) -> HuArray:
        """A sample's crop without its margin, int16 crop_size."""
        block = np.empty(self.source.settings.block, dtype=np.int16)
        self.source.read(int(self.rows[index]), block)
        return block[middle(block.shape, self.crop_size)]

    def read_into(self, indices: IntArray, out: npt.NDArray[np.int16]) -> None:
        """Fill out[k] with the crop of sample indices[k]."""
        for row, crop in zip(self.rows[indices], out, strict=True):
            self.source.read(int(row), crop)


def middle(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[slice, ...]:
    """Where a box of this size lies in the middle of one of this shape."""
    starts = [(whole - part) // 2 for whole, part in zip(shape, size, strict=True)]
    return tuple(slice(start, start + part) for start, part in zip(starts, size, strict=True))


class Samples(Sequence[Sample]):
    """Samples whose crops are one block of memory, int16 (n, 1, *block).

    A sample is made when it is asked for, so that a batch that needs only the block costs nothing more.
    """

    def __init__(self, dataset: LunaDataset, indices: Sequence[int], crops: Tensor) -> None:
        self.crops = crops
        self._dataset, self._indices = dataset, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: Any) -> Any:
        """One sample of the batch."""
        index = self._indices[place]
        return (
            self.crops[place],
            torch.tensor(self._dataset.labels[index]),
            self._dataset.series_uids[index],
            torch.from_numpy(self._dataset.centers_irc[index]),
        )


def crops_of(samples: Any) -> Tensor:
    """The crops of a batch, int16 (n, *block): a `collate_fn` that copies nothing."""
    crops: Tensor = samples.crops[:, 0]
    return crops


def _empty_crops(shape: tuple[int, ...]) -> Tensor:
    """Room for crops, int16; in a worker process of torch's DataLoader in shared memory, which the
    process that trains reads without another copy."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.int16)
    storage = torch.UntypedStorage._new_shared(2 * math.prod(shape))
    return torch.empty(0, dtype=torch.int16).set_(storage, 0, shape)  # type: ignore[call-overload]


def _sort_order(candidates: pd.DataFrame, sortby: str | None, seed: int) -> IntArray:
    if sortby is None:
        return np.arange(len(candidates))
    if sortby == "random":
        return rng(seed, "sort order").permutation(len(candidates))
    if sortby == "series_uid":
        return np.lexsort([*(candidates[name] for name in reversed(IRC)), candidates["seriesuid"]])
    if sortby == "label_and_size":
        return np.lexsort([-candidates["diameter_mm"], -candidates["class"]])
    raise UserError(f"unknown sort order {sortby!r}; use random, series_uid or label_and_size")

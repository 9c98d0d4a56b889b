"""Which candidates and series train, choose and test in a fold."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from luna.base.arrays import BoolArray, IntArray
from luna.base.errors import UserError
from luna.base.subsets import SUBSETS
from luna.config.split import SplitSettings

if TYPE_CHECKING:
    # As in luna.base.files.
    import pandas as pd


class SplitRows(NamedTuple):
    """Row numbers of candidates.csv that train, that choose epoch and threshold, and that test."""

    trn: IntArray
    val: IntArray
    tst: IntArray


class FoldSubsets(NamedTuple):
    """The subsets that train, the one that chooses epoch and threshold, and the one that tests."""

    trn: list[int]
    val: int
    tst: int


def fold_subsets(fold: int, present: Sequence[int]) -> FoldSubsets:
    """The subsets of a fold, of those that are present.

    Fold k tests on subset k; the next subset that is present, cyclically, chooses: k + 1 modulo 10
    when all are there. Raises UserError when one of the three would be empty.
    """
    present = sorted(set(present))
    if fold not in present:
        raise UserError(
            f"fold {fold} tests on subset {fold}, which has no series; set `folds` to some of {present}"
        )
    if len(present) < 3:
        raise UserError(
            f"three subsets are needed, to train, choose and test; there are series in {present} only"
        )
    val = min((other for other in present if other != fold), key=lambda other: (other - fold) % SUBSETS)
    return FoldSubsets([n for n in present if n not in (fold, val)], val, fold)


def every_nth(count: int, stride: int, first: int = 0) -> BoolArray:
    """Which of `count` samples the chapter's split validates on: every `stride`-th, (count,)."""
    chosen: BoolArray = np.arange(count) % stride == first % stride
    return chosen


def split_rows(candidates: "pd.DataFrame", fold: int, split: SplitSettings) -> SplitRows:
    """The rows of candidates.csv that train, choose and test in a fold.

    Method `subset` splits by `fold_subsets`. `stride` is the chapter's: every stride-th candidate
    validates, and the fold shifts which; there is no test set, so `tst` is empty.
    """
    if split.method == "stride":
        validates = every_nth(len(candidates), split.stride, fold)
        rows = np.arange(len(candidates), dtype=np.int64)
        return SplitRows(rows[~validates], rows[validates], rows[:0])
    subset = candidates["subset"].to_numpy()
    subsets = fold_subsets(fold, [int(n) for n in np.unique(subset)])
    trn, val, tst = (np.flatnonzero(np.isin(subset, chosen)) for chosen in subsets)
    return SplitRows(trn, val, tst)


def tested_series(candidates: "pd.DataFrame", series: "pd.DataFrame", fold: int) -> list[str]:
    """The series that a fold tests on, those without a candidate included, in the table's order."""
    moved = candidates.drop_duplicates("seriesuid").set_index("seriesuid")["subset"]
    subset = series["seriesuid"].map(moved).fillna(series["subset"]).astype(int)
    tested = fold_subsets(fold, [int(n) for n in candidates["subset"].unique()]).tst
    return list(series["seriesuid"][subset == tested])

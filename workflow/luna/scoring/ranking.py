"""How well scores rank nodules above the rest: counts above each score, and the areas under both curves.

Our own because the bootstrap needs them for a thousand weightings of the same samples. The tests compare
them with scikit-learn, which takes a second to import: too long for programs that need nothing else of it.
"""

import numpy as np

from luna.base.arrays import FloatArray, IntArray


class Ranking:
    """Samples in falling order of their scores. Samples of one score have one place."""

    def __init__(self, labels: IntArray, scores: FloatArray) -> None:
        """labels: 1 for a nodule, else 0, (n,). scores: finite, (n,)."""
        self.order: IntArray = np.argsort(-scores, kind="stable")
        ordered = scores[self.order]
        self._last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))
        self._is_nodule = labels[self.order] == 1
        self.scores: FloatArray = ordered[self._last]
        """The k different scores, falling, (k,)."""

    def counts(self, weights: IntArray | None = None) -> tuple[IntArray, IntArray]:
        """Nodules, and others, that score at least as much as each of `scores`, both (k + 1,), from 0 on.

        weights: how often each sample counts, in the order of `order`, (n,); once by default.
        """
        counted = np.ones(len(self.order), np.int64) if weights is None else weights
        nodules = np.cumsum(np.where(self._is_nodule, counted, 0))[self._last]
        others = np.cumsum(np.where(self._is_nodule, 0, counted))[self._last]
        return np.append(0, nodules), np.append(0, others)


def areas(nodules: IntArray, others: IntArray) -> tuple[float, float]:
    """Areas under the ROC curve and under precision by recall, from `counts`; NaN without both classes.

    The first with straight lines between points, so that a tie counts half (Hanley and McNeil 1982). The
    second is the average precision: each step of recall has the precision at its end.
    """
    if nodules[-1] == 0 or others[-1] == 0:
        return np.nan, np.nan
    pairs = float(np.sum(np.diff(others) * (nodules[1:] + nodules[:-1]))) / 2
    precision = nodules[1:] / np.maximum(nodules[1:] + others[1:], 1)
    average = float(np.sum(np.diff(nodules) * precision) / nodules[-1])
    return pairs / (float(nodules[-1]) * float(others[-1])), average

"""From a network's probabilities to those that hold among the candidates it was validated on."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from luna.base.arrays import FloatArray, IntArray

_CLOSEST = 1e-7
"""How near to 0 and 1 a probability counts, so that its logit is finite."""
_SLOPES, _OFFSETS = (0.01, 20.0), (-20.0, 20.0)
"""Limits of the fit; a slope above 0 keeps the order of the candidates."""


class Calibration(NamedTuple):
    """Calibrated probability = sigmoid(slope * logit(probability) + offset) (Platt 1999)."""

    slope: float = 1.0
    offset: float = 0.0

    def of(self, probabilities: FloatArray) -> FloatArray:
        """The calibrated probabilities, in the same order, (n,)."""
        return _sigmoid(self.slope * _logit(probabilities) + self.offset)


UNCHANGED = Calibration()
"""Leaves probabilities as they are."""


def fit_calibration(labels: IntArray, probabilities: FloatArray) -> Calibration:
    """The calibration with the least log loss for labels 0 and 1, both (n,).

    As Platt does, a nodule counts as (n + 1) / (n + 2) instead of 1, so that few nodules, all found, do not
    make every probability 0 or 1. Nothing is changed where a class is missing or a probability is no number.
    """
    positive = labels == 1
    if not positive.any() or positive.all() or not np.isfinite(probabilities).all():
        return UNCHANGED
    nodules, others = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (nodules + 1) / (nodules + 2), 1 / (others + 2))
    logits = _logit(probabilities)

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        scores = values[0] * logits + values[1]
        excess = _sigmoid(scores) - targets
        total = np.mean(np.logaddexp(0, scores) - targets * scores)
        return float(total), np.array([np.mean(excess * logits), np.mean(excess)])

    start = np.array([1.0, 0.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[_SLOPES, _OFFSETS])
    slope, offset = found.x.tolist()
    return Calibration(slope, offset)


def _logit(probabilities: FloatArray) -> FloatArray:
    inner = np.clip(np.asarray(probabilities, dtype=np.float64), _CLOSEST, 1 - _CLOSEST)
    return np.asarray(np.log(inner) - np.log1p(-inner))


def _sigmoid(scores: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-scores)))

"""From a network's probabilities to those that hold among the candidates it was validated on."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import isotonic_regression, minimize

from luna.base.arrays import BoolArray, FloatArray, IntArray
from luna.base.files import Record
from luna.config.recipe import CalibrationMethod

_CLOSEST = 1e-7
"""How near to 0 and 1 a probability counts, so that its logit is finite."""
_SLOPES, _OFFSETS = (0.01, 20.0), (-20.0, 20.0)
"""Limits of the fit; a slope above 0 keeps the order of the candidates."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Scaling(Record):
    """Calibrated probability = sigmoid(slope * logit(probability) + offset).

    Platt scaling (Platt 1999); with an offset of 0, temperature scaling (Guo et al. 2017) with a temperature
    of 1 / slope.
    """

    kind: Literal["scaling"] = "scaling"
    slope: Finite = 1.0
    offset: Finite = 0.0

    def of(self, probabilities: FloatArray) -> FloatArray:
        """The calibrated probabilities, in the same order, (n,)."""
        if (self.slope, self.offset) == (1, 0):
            return probabilities
        return _sigmoid(self.slope * _logit(probabilities) + self.offset)


class Isotonic(Record):
    """A function that rises in steps, linear between them (Zadrozny and Elkan 2002).

    `calibrated` are its values at `probabilities`. It may make different probabilities equal, and 0 or 1.
    """

    kind: Literal["isotonic"] = "isotonic"
    probabilities: Annotated[tuple[Finite, ...], Field(min_length=1)]
    calibrated: Annotated[tuple[Finite, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rises(self) -> "Isotonic":
        if len(self.probabilities) != len(self.calibrated):
            raise ValueError("has another number of values than of probabilities")
        if list(self.probabilities) != sorted(self.probabilities):
            raise ValueError("does not rise")
        return self

    def of(self, probabilities: FloatArray) -> FloatArray:
        """The calibrated probabilities, in the same order, (n,)."""
        return np.asarray(np.interp(probabilities, self.probabilities, self.calibrated))


Calibration = Annotated[Scaling | Isotonic, Field(discriminator="kind")]

UNCHANGED = Scaling()
"""Leaves probabilities as they are."""


def fit_calibration(
    method: CalibrationMethod, labels: IntArray, probabilities: FloatArray
) -> Scaling | Isotonic:
    """The calibration that suits labels 0 and 1 best, both (n,): least log loss, or least squares (isotonic).

    Nothing is changed where a class is missing or a probability is no number.
    """
    positive = labels == 1
    one_class = not positive.any() or positive.all()
    if method == "none" or one_class or not np.isfinite(probabilities).all():
        return UNCHANGED
    if method == "isotonic":
        return _fit_isotonic(positive, probabilities)
    return _fit_scaling(positive, probabilities, _OFFSETS if method == "platt" else (0.0, 0.0))


def _fit_isotonic(positive: BoolArray, probabilities: FloatArray) -> Isotonic:
    """The rising steps of least squares; only their ends are kept."""
    given, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    share = np.bincount(place, positive) / counts
    fitted = isotonic_regression(share, weights=counts).x
    changes = np.diff(fitted) != 0
    ends = np.append(True, changes) | np.append(changes, True)
    return Isotonic(probabilities=tuple(given[ends].tolist()), calibrated=tuple(fitted[ends].tolist()))


def _fit_scaling(positive: BoolArray, probabilities: FloatArray, offsets: tuple[float, float]) -> Scaling:
    """The slope and offset of least log loss, the offset within limits.

    As Platt does, a nodule counts as (n + 1) / (n + 2) instead of 1, so that few nodules, all found, do not
    make every probability 0 or 1.
    """
    nodules, others = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (nodules + 1) / (nodules + 2), 1 / (others + 2))
    logits = _logit(probabilities)

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        scores = values[0] * logits + values[1]
        excess = _sigmoid(scores) - targets
        total = np.mean(np.logaddexp(0, scores) - targets * scores)
        return float(total), np.array([np.mean(excess * logits), np.mean(excess)])

    start = np.array([1.0, 0.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[_SLOPES, offsets])
    slope, offset = found.x.tolist()
    return Scaling(slope=slope, offset=offset)


def _logit(probabilities: FloatArray) -> FloatArray:
    inner = np.clip(np.asarray(probabilities, dtype=np.float64), _CLOSEST, 1 - _CLOSEST)
    return np.asarray(np.log(inner) - np.log1p(-inner))


def _sigmoid(scores: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-scores)))

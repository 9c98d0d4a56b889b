"""Confidence intervals by resampling series."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.base.arrays import FloatArray, IntArray
from luna.base.randomness import rng
from luna.config.evaluation import Scoring
from luna.scoring.ranking import Ranking, areas


def bootstrap_weights(scans: int, resamples: int, seed: int) -> IntArray:
    """How often each scan is drawn in each resample, (resamples, scans); the same for every run."""
    drawn = rng(seed, "bootstrap").integers(0, scans, size=(resamples, scans))
    return np.stack([np.bincount(row, minlength=scans) for row in drawn]) if resamples else drawn


def interval(values: FloatArray) -> tuple[float | None, float | None, float | None]:
    """Mean and the 95 % interval of resampled values: the 26th and the 976th smallest of 1,000.

    Undefined resamples (NaN) are left out; None where none is defined.
    """
    defined = np.sort(values[~np.isnan(values)])
    if not len(defined):
        return None, None, None
    low, high = int(0.025 * len(defined)), min(int(0.975 * len(defined)), len(defined) - 1)
    return float(defined.mean()), float(defined[low]), float(defined[high])


class Resampling:
    """Metrics of the samples under the bootstrap over series."""

    def __init__(self, predictions: pd.DataFrame, series_uids: list[str], scoring: Scoring) -> None:
        place = {uid: number for number, uid in enumerate(series_uids)}
        self.series = predictions["seriesuid"].map(place).to_numpy(dtype=np.int64)
        self.labels = predictions["class"].to_numpy(dtype=np.int64)
        self.probabilities = predictions["probability"].to_numpy(dtype=float)
        self.weights = bootstrap_weights(len(series_uids), scoring.bootstrap, scoring.seed)

    def intervals(self, threshold: FloatArray) -> dict[str, tuple[float | None, float | None]]:
        """(lower, upper) of AUC, average precision, and P, R, F1 at the threshold."""
        values = dict(zip(("auc", "average_precision"), self.rankings().T, strict=True))
        values |= self.at_threshold(threshold)
        return {name: interval(resampled)[1:] for name, resampled in values.items()}

    def rankings(self) -> FloatArray:
        """AUC and average precision of every resample, (resamples, 2); NaN where not defined."""
        ranked = Ranking(self.labels, self.probabilities)
        series = self.series[ranked.order]
        return np.array([areas(*ranked.counts(row[series])) for row in self.weights]).reshape(-1, 2)

    def at_threshold(self, threshold: FloatArray) -> dict[str, FloatArray]:
        """Precision, recall and F1 of every resample; NaN where not defined."""
        predicted, positive = self.probabilities > threshold, self.labels == 1
        hits, n_predicted, n_positive = (
            self.weights @ self._per_series(kind.astype(float))
            for kind in (predicted & positive, predicted, positive)
        )
        return {
            "precision": ratio(hits, n_predicted),
            "recall": ratio(hits, n_positive),
            "f1": ratio(2 * hits, n_predicted + n_positive),
        }

    def brier(self, probabilities: FloatArray) -> FloatArray:
        """Brier score of every resample; NaN where not defined."""
        return self._mean((probabilities - self.labels) ** 2)

    def calibration_error(self, probabilities: FloatArray, bins: IntArray) -> FloatArray:
        """Expected calibration error of every resample, for each sample's bin; NaN where not defined."""
        excess = probabilities - self.labels
        each = [self.weights @ self._per_series(np.where(bins == n, excess, 0.0)) for n in np.unique(bins)]
        samples = self.weights @ self._per_series(np.ones_like(probabilities))
        return ratio(np.abs(each).sum(axis=0) if each else 0 * samples, samples)

    def _mean(self, values: FloatArray) -> FloatArray:
        return ratio(
            self.weights @ self._per_series(values),
            self.weights @ self._per_series(np.ones_like(values)),
        )

    def _per_series(self, values: FloatArray) -> FloatArray:
        sums: FloatArray = np.zeros(self.weights.shape[1])
        np.add.at(sums, self.series, values)
        return sums


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> FloatArray:
    """part / whole, both (n,); NaN where the whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1e-300), np.nan)

"""Judge predictions: the challenge's figures and the classifier's, with intervals over series."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import brier_score_loss, confusion_matrix

from luna.froc import RATES, Froc, Matches, bootstrap_weights, interval, match_marks, score
from luna.metrics import figures, precision_recall_f1
from luna.tables import XYZ

PREDICTION_COLUMNS = ["seriesuid", *XYZ, "probability", "class", "diameter_mm", "id"]
"""A LUNA16 submission with three more columns."""
SIZE_BANDS_MM = ((0, 6), (6, 10), (10, 20), (20, np.inf))
SIZE_RATE = 1.0
"""False positives per scan at which the nodules found are told by size."""
_CALIBRATION_BINS = 10

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """What predictions are judged by: the series that count, their nodules, excluded findings."""

    series_uids: list[str]
    annotations: pd.DataFrame
    excluded: pd.DataFrame | None = None


@dataclass(frozen=True)
class Scoring:
    """How: resamples and seed of the bootstrap, and how many marks of a series count."""

    bootstrap: int = 1000
    max_marks: int = 100
    seed: int = 0


def predictions_table(candidates: pd.DataFrame, rows: IntArray, probabilities: FloatArray) -> pd.DataFrame:
    """PREDICTION_COLUMNS for some rows of candidates.csv."""
    return candidates.iloc[rows].assign(probability=probabilities)[PREDICTION_COLUMNS]


def judge(
    predictions: pd.DataFrame, truth: Truth, thresholds: FloatArray, scoring: Scoring
) -> dict[str, Any]:
    """All figures of some predictions (PREDICTION_COLUMNS), ready for JSON.

    thresholds: for each listed series the one that was chosen on validation in its fold. `figures`
    are those of metrics.csv at 0.5; `at_threshold` precision, recall and F1 at 0.5 and at the chosen
    threshold; `froc` the official scoring. What is not defined is None, and `why_undefined` says
    why. `intervals` holds (lower, upper) by bootstrap over series.
    """
    labels = predictions["class"].to_numpy(dtype=np.int64)
    probabilities = predictions["probability"].to_numpy(dtype=float)
    matches = match_marks(
        predictions, truth.annotations, truth.series_uids, truth.excluded, scoring.max_marks
    )
    resampling = Resampling(predictions, truth.series_uids, scoring)
    chosen = thresholds[resampling.series]
    judged: dict[str, Any] = {
        "figures": figures(labels, probabilities, cross_entropy(labels, probabilities)),
        "at_threshold": {
            name: precision_recall_f1(labels, probabilities, at) | confusion(labels, probabilities, at)
            for name, at in (("half", 0.5), ("chosen", chosen))
        },
        "brier": float(brier_score_loss(labels, probabilities)) if len(labels) else None,
        "calibration_error": calibration_error(calibration(labels, probabilities)),
        "calibration": calibration(labels, probabilities),
        "froc": score(matches, scoring.bootstrap, scoring.seed),
        "by_size": by_size(matches, scoring),
        "why_undefined": reasons(labels, matches),
    }
    judged["intervals"] = resampling.intervals(chosen)
    return judged


def cross_entropy(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """The loss of each sample, (n,), from its label and its probability of a nodule."""
    right = np.where(labels == 1, probabilities, 1 - probabilities)
    return -np.log(np.clip(right, np.finfo(np.float32).tiny, 1))


def confusion(labels: IntArray, probabilities: FloatArray, threshold: float | FloatArray) -> dict[str, int]:
    """True and false negatives and positives of 'probability above threshold'."""
    matrix = confusion_matrix(labels, probabilities > threshold, labels=[0, 1])
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    return dict(zip(names, map(int, matrix.ravel()), strict=True))


def calibration(labels: IntArray, probabilities: FloatArray) -> list[dict[str, float]]:
    """Ten equal bins of probability that hold samples: how many, mean probability, share of nodules."""
    bins = np.minimum((probabilities * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    return [
        {
            "samples": int((bins == number).sum()),
            "probability": float(probabilities[bins == number].mean()),
            "nodules": float(labels[bins == number].mean()),
        }
        for number in np.unique(bins)
    ]


def calibration_error(bins: list[dict[str, float]]) -> float | None:
    """Expected calibration error: mean distance of probability and share of nodules, by samples."""
    total = sum(each["samples"] for each in bins)
    if not total:
        return None
    return sum(each["samples"] * abs(each["probability"] - each["nodules"]) for each in bins) / total


def by_size(matches: Matches, scoring: Scoring, rate: float = SIZE_RATE) -> list[dict[str, Any]]:
    """Share of the nodules found in each band of diameter, at `rate` false positives per scan.

    At a threshold of its own, a run that calls everything a nodule would look best.
    """
    allowed = int(rate * matches.scans)
    false = np.sort(matches.false_scores)[::-1]
    threshold = false[allowed] if len(false) > allowed else -np.inf
    found = matches.found & (np.nan_to_num(matches.nodule_scores, nan=-np.inf) > threshold)
    weights = bootstrap_weights(matches.scans, scoring.bootstrap, scoring.seed)
    bands = []
    for low, high in SIZE_BANDS_MM:
        inside = (matches.nodule_diameters >= low) & (matches.nodule_diameters < high)
        there, hit = (
            np.bincount(matches.nodule_series[chosen], minlength=matches.scans)
            for chosen in (inside, inside & found)
        )
        lower, upper = _share_interval(weights @ hit, weights @ there)
        bands.append(
            {
                "band": f"under {high} mm" if low == 0 else _band_name(low, high),
                "nodules": int(there.sum()),
                "found": int(hit.sum()),
                "sensitivity": float(hit.sum() / there.sum()) if there.sum() else None,
                "lower": lower,
                "upper": upper,
            }
        )
    return bands


def reasons(labels: IntArray, matches: Matches) -> list[str]:
    """Why some figures are not defined, in words."""
    found = []
    if not (labels == 1).any():
        found.append("no candidate is a nodule: recall, AUC and average precision are not defined")
    if not (labels == 0).any():
        found.append("every candidate is a nodule: AUC is not defined")
    if matches.nodules == 0:
        found.append("the series hold no nodule: sensitivity, FROC and CPM are not defined")
    return found


class Resampling:
    """Figures of the samples under the bootstrap over series."""

    def __init__(self, predictions: pd.DataFrame, series_uids: list[str], scoring: Scoring) -> None:
        place = {uid: number for number, uid in enumerate(series_uids)}
        self.series = predictions["seriesuid"].map(place).to_numpy(dtype=np.int64)
        self.labels = predictions["class"].to_numpy(dtype=np.int64)
        self.probabilities = predictions["probability"].to_numpy(dtype=float)
        self.weights = bootstrap_weights(len(series_uids), scoring.bootstrap, scoring.seed)

    def intervals(self, threshold: FloatArray) -> dict[str, tuple[float | None, float | None]]:
        """(lower, upper) of AUC, average precision, Brier score, and P, R, F1 at the threshold."""
        values = dict(zip(("auc", "average_precision"), self.rankings().T, strict=True))
        values |= self.at_threshold(threshold)
        values["brier"] = self._mean((self.probabilities - self.labels) ** 2)
        return {name: interval(resampled)[1:] for name, resampled in values.items()}

    def rankings(self) -> FloatArray:
        """AUC and average precision of every resample, (resamples, 2); NaN where not defined."""
        order = np.argsort(-self.probabilities, kind="stable")
        ordered = self.probabilities[order]
        ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))
        is_positive, series = self.labels[order] == 1, self.series[order]
        of_one = partial(_weighted_ranking, is_positive=is_positive, series=series, ends=ends)
        return np.array([of_one(row) for row in self.weights]).reshape(-1, 2)

    def at_threshold(self, threshold: FloatArray) -> dict[str, FloatArray]:
        """Precision, recall and F1 of every resample; NaN where not defined."""
        said, positive = self.probabilities > threshold, self.labels == 1
        hits, called, there = (
            self.weights @ self._per_series(kind.astype(float)) for kind in (said & positive, said, positive)
        )
        return {
            "precision": _ratio(hits, called),
            "recall": _ratio(hits, there),
            "f1": _ratio(2 * hits, called + there),
        }

    def _mean(self, values: FloatArray) -> FloatArray:
        return _ratio(
            self.weights @ self._per_series(values),
            self.weights @ self._per_series(np.ones_like(values)),
        )

    def _per_series(self, values: FloatArray) -> FloatArray:
        sums: FloatArray = np.zeros(self.weights.shape[1])
        np.add.at(sums, self.series, values)
        return sums


def compare_cpm(first: Matches, second: Matches, scoring: Scoring) -> dict[str, float | None]:
    """Paired bootstrap over series: CPM of the first less the second, interval, share won."""
    if first.nodules == 0:
        return {"difference": None, "lower": None, "upper": None, "won": None}
    curves = [Froc(first), Froc(second)]
    point = [curve.sensitivity(RATES).mean() for curve in curves]
    weights = bootstrap_weights(first.scans, scoring.bootstrap, scoring.seed)
    resampled = np.array(
        [[curve.sensitivity(RATES, row).mean() for curve in curves] for row in weights]
    ).reshape(-1, 2)
    difference = resampled[:, 0] - resampled[:, 1]
    _, lower, upper = interval(difference)
    defined = difference[~np.isnan(difference)]
    won = float((defined > 0).mean() + (defined == 0).mean() / 2) if len(defined) else None
    return {"difference": float(point[0] - point[1]), "lower": lower, "upper": upper, "won": won}


def _weighted_ranking(
    weights: IntArray, is_positive: npt.NDArray[np.bool_], series: IntArray, ends: IntArray
) -> tuple[float, float]:
    """AUC and average precision where each series counts `weights` times."""
    of_sample = weights[series]
    hits = np.append(0, np.cumsum(np.where(is_positive, of_sample, 0))[ends])
    false = np.append(0, np.cumsum(np.where(is_positive, 0, of_sample))[ends])
    if hits[-1] == 0 or false[-1] == 0:
        return np.nan, np.nan
    area = float(np.sum(np.diff(false) * (hits[1:] + hits[:-1])) / 2)
    precision = hits[1:] / np.maximum(hits[1:] + false[1:], 1)
    average = float(np.sum(np.diff(hits) * precision) / hits[-1])
    return area / (float(hits[-1]) * float(false[-1])), average


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> FloatArray:
    return np.where(whole > 0, part / np.maximum(whole, 1e-300), np.nan)


def _share_interval(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> tuple[float | None, float | None]:
    return interval(_ratio(part, whole))[1:]


def _band_name(low: float, high: float) -> str:
    return f"{low} mm and more" if np.isinf(high) else f"{low} to {high} mm"

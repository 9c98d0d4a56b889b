"""Everything that is computed from a set of predictions."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.base.arrays import FloatArray, IntArray
from luna.config.evaluation import Scoring
from luna.scoring.bootstrap import Resampling, bootstrap_weights, interval, ratio
from luna.scoring.froc import RATES, Froc, Matches, match_marks, score
from luna.scoring.metrics import compute_metrics, rates
from luna.scoring.records import (
    Assessment,
    AtThreshold,
    ByThreshold,
    CalibrationBin,
    Comparison,
    Interval,
    Reliability,
    SizeBand,
)

SIZE_BANDS_MM = ((0, 6), (6, 10), (10, 20), (20, np.inf))
_NEAR_THE_END = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005)
THRESHOLDS = (
    0.0, *_NEAR_THE_END, *(n / 100 for n in range(1, 100)), *(1 - each for each in _NEAR_THE_END[::-1]), 1.0,
)  # fmt: skip
"""Thresholds that a reader can choose among: every hundredth, and finer where rare nodules need it."""
SIZE_RATE = 1.0
"""False positives per scan at which the nodules found are counted by size."""
_CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Truth:
    """What predictions are scored against: the series that count, their nodules, excluded findings.

    whole_series: whether every candidate of these series is predicted. Without it (the stride split)
    nodules would count as missed because their candidates were not asked for, so there is no FROC.
    """

    series_uids: list[str]
    annotations: pd.DataFrame
    excluded: pd.DataFrame | None = None
    whole_series: bool = True

    @property
    def why_no_froc(self) -> str:
        """Why sensitivity, FROC and CPM are not defined, where `match` finds no nodule."""
        if not self.whole_series:
            return "only some candidates of each series are tested"
        return "the series hold no nodule"


def match(predictions: pd.DataFrame, truth: Truth, scoring: Scoring) -> Matches:
    """The predictions as marks, matched to the nodules; to none where there can be no FROC."""
    nodules = truth.annotations if truth.whole_series else truth.annotations[:0]
    return match_marks(predictions, nodules, truth.series_uids, truth.excluded, scoring.max_marks)


def assess(
    predictions: pd.DataFrame,
    matches: Matches,
    truth: Truth,
    thresholds: FloatArray,
    scoring: Scoring,
    guaranteed: FloatArray | None = None,
    also: Collection[float] = (),
) -> Assessment:
    """Assess predictions (TESTED_COLUMNS) that `match` matched to the truth.

    thresholds: for each prediction, (n,), the one that was chosen on validation in its fold. guaranteed:
    likewise, the one with a guarantee, where every fold has one. also: thresholds that a reader can choose
    beside THRESHOLDS.
    """
    labels = predictions["class"].to_numpy(dtype=np.int64)
    probabilities = predictions["probability"].to_numpy(dtype=float)
    resampling = Resampling(predictions, truth.series_uids, scoring)
    decided: dict[str, float | FloatArray] = {"half": 0.5, "chosen": thresholds}
    if guaranteed is not None:
        decided["guaranteed"] = guaranteed
    return Assessment(
        metrics=compute_metrics(labels, probabilities, cross_entropy(labels, probabilities)),
        at_threshold={name: at_threshold(labels, probabilities, each) for name, each in decided.items()},
        by_threshold=by_threshold(labels, probabilities, matches, {*THRESHOLDS, *also}, truth),
        reliability={
            "raw": reliability(labels, probabilities, resampling),
            "calibrated": reliability(labels, predictions["calibrated"].to_numpy(dtype=float), resampling),
        },
        froc=score(matches, scoring.bootstrap, scoring.seed, truth.why_no_froc),
        by_size=by_size(matches, scoring),
        why_undefined=reasons(labels, matches, truth.why_no_froc),
        intervals=resampling.intervals(thresholds),
    )


def cross_entropy(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """The loss of each sample, (n,), from its label and its probability of a nodule."""
    of_label = np.where(labels == 1, probabilities, 1 - probabilities)
    return -np.log(np.clip(of_label, np.finfo(np.float32).tiny, 1))


def at_threshold(labels: IntArray, probabilities: FloatArray, threshold: float | FloatArray) -> AtThreshold:
    """Precision, recall, F1 and the confusion counts of 'probability above threshold'."""
    predicted, positive = probabilities > threshold, labels == 1
    hits, false_alarms = int((predicted & positive).sum()), int((predicted & ~positive).sum())
    return _counted(hits, false_alarms, int(positive.sum()), int((~positive).sum()))


def by_threshold(
    labels: IntArray, probabilities: FloatArray, matches: Matches, thresholds: Collection[float], truth: Truth
) -> list[ByThreshold]:
    """What is known of 'probability above threshold' for candidates, nodules and scans."""
    positives, negatives, nodules, marks = (
        np.sort(each)
        for each in (
            probabilities[labels == 1], probabilities[labels == 0],
            matches.nodule_scores[matches.found], matches.false_scores,
        )
    )  # fmt: skip
    found = []
    for threshold in sorted(thresholds):
        hits, false_alarms, found_nodules, false_marks = (
            len(each) - int(np.searchsorted(each, threshold, side="right"))
            for each in (positives, negatives, nodules, marks)
        )
        found.append(
            ByThreshold(
                **dict(_counted(hits, false_alarms, len(positives), len(negatives))),
                threshold=threshold,
                sensitivity=found_nodules / matches.nodules if matches.nodules else None,
                false_positives_per_scan=false_marks / matches.scans if truth.whole_series else None,
            )
        )
    return found


def _counted(hits: int, false_alarms: int, positives: int, negatives: int) -> AtThreshold:
    """From how many nodules and others are above a threshold, and how many there are."""
    return AtThreshold(
        **rates(hits, hits + false_alarms, positives),
        true_negatives=negatives - false_alarms,
        false_positives=false_alarms,
        false_negatives=positives - hits,
        true_positives=hits,
    )


def reliability(labels: IntArray, probabilities: FloatArray, resampling: Resampling) -> Reliability:
    """How far probabilities of the resampled candidates can be believed, with 95 % intervals."""
    bin_of = _calibration_bin(probabilities)
    bins = [
        CalibrationBin(
            samples=int((bin_of == number).sum()),
            probability=float(probabilities[bin_of == number].mean()),
            nodules=float(labels[bin_of == number].mean()),
        )
        for number in np.unique(bin_of)
    ]
    return Reliability(
        brier=float(np.mean((probabilities - labels) ** 2)) if len(labels) else None,
        brier_interval=interval(resampling.brier(probabilities))[1:],
        calibration_error=calibration_error(bins),
        calibration_error_interval=interval(resampling.calibration_error(probabilities, bin_of))[1:],
        bins=bins,
    )


def _calibration_bin(probabilities: FloatArray) -> IntArray:
    """The one of ten equal bins that each probability lies in, (n,)."""
    return np.minimum((probabilities * _CALIBRATION_BINS).astype(np.int64), _CALIBRATION_BINS - 1)


def calibration_error(bins: list[CalibrationBin]) -> float | None:
    """Expected calibration error: mean distance of probability and share of nodules, by samples."""
    total = sum(each.samples for each in bins)
    if not total:
        return None
    return sum(each.samples * abs(each.probability - each.nodules) for each in bins) / total


def by_size(matches: Matches, scoring: Scoring, rate: float = SIZE_RATE) -> list[SizeBand]:
    """Share of the nodules found in each band of diameter, at `rate` false positives per scan.

    At a threshold of its own, a run that predicts a nodule everywhere would look best.
    """
    allowed = int(rate * matches.scans)
    false = np.sort(matches.false_scores)[::-1]
    threshold = false[allowed] if len(false) > allowed else -np.inf
    found = matches.found & (np.nan_to_num(matches.nodule_scores, nan=-np.inf) > threshold)
    weights = bootstrap_weights(matches.scans, scoring.bootstrap, scoring.seed)
    bands = []
    for low, high in SIZE_BANDS_MM:
        inside = (matches.nodule_diameters >= low) & (matches.nodule_diameters < high)
        nodules, hits = (
            np.bincount(matches.nodule_series[chosen], minlength=matches.scans)
            for chosen in (inside, inside & found)
        )
        lower, upper = _share_interval(weights @ hits, weights @ nodules)
        bands.append(
            SizeBand(
                band=f"under {high} mm" if low == 0 else _band_name(low, high),
                nodules=int(nodules.sum()),
                found=int(hits.sum()),
                sensitivity=float(hits.sum() / nodules.sum()) if nodules.sum() else None,
                lower=lower,
                upper=upper,
            )
        )
    return bands


def reasons(labels: IntArray, matches: Matches, why_no_froc: str) -> list[str]:
    """Why some values are not defined, in words."""
    found = []
    if not (labels == 1).any():
        found.append("no candidate is a nodule: recall, AUC and average precision are not defined")
    if not (labels == 0).any():
        found.append("every candidate is a nodule: AUC is not defined")
    if matches.nodules == 0:
        found.append(f"{why_no_froc}: sensitivity, FROC and CPM are not defined")
    return found


class CpmSamples(NamedTuple):
    """The CPM of a run, None where it is not defined, and of each resample of the series, (resamples,)."""

    run: str
    cpm: float | None
    resampled: FloatArray


def cpm_samples(run: str, matches: Matches, scoring: Scoring) -> CpmSamples:
    """A run's CPM and those of the resamples, which are the same for every run."""
    if matches.nodules == 0:
        return CpmSamples(run, None, np.empty(0))
    curve = Froc(matches)
    weights = bootstrap_weights(matches.scans, scoring.bootstrap, scoring.seed)
    resampled = np.array([curve.sensitivity(RATES, row).mean() for row in weights])
    return CpmSamples(run, float(curve.sensitivity(RATES).mean()), resampled)


def compare_cpm(first: CpmSamples, second: CpmSamples) -> Comparison:
    """Two runs compared by a paired bootstrap over series."""
    if first.cpm is None or second.cpm is None:
        return Comparison(
            first=first.run, second=second.run, difference=None, lower=None, upper=None, won=None, p=None
        )
    difference = first.resampled - second.resampled
    _, lower, upper = interval(difference)
    defined = difference[~np.isnan(difference)]
    won = float((defined > 0).mean() + (defined == 0).mean() / 2) if len(defined) else None
    return Comparison(
        first=first.run, second=second.run, difference=first.cpm - second.cpm, lower=lower, upper=upper,
        won=won, p=two_sided_p(defined),
    )  # fmt: skip


def two_sided_p(differences: FloatArray) -> float | None:
    """How often resampled differences (n,) lie on the other side of 0, doubled; None without any.

    The observed one counts among them (Davison and Hinkley 1997), so p is never 0.
    """
    if not len(differences):
        return None
    rarer = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, 2 * (int(rarer) + 1) / (len(differences) + 1))


def corrected(comparisons: list[Comparison]) -> list[Comparison]:
    """The comparisons with p-values corrected for their number (Holm 1979)."""
    order = sorted(
        (number for number, each in enumerate(comparisons) if each.p is not None),
        key=lambda number: comparisons[number].p or 0.0,
    )
    done, highest = list(comparisons), 0.0
    for rank, number in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * (comparisons[number].p or 0.0)))
        done[number] = comparisons[number].model_copy(update={"p_holm": highest})
    return done


def _share_interval(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> Interval:
    return interval(ratio(part, whole))[1:]


def _band_name(low: float, high: float) -> str:
    return f"{low} mm and more" if np.isinf(high) else f"{low} to {high} mm"

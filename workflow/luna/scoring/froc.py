"""The challenge's own scoring: marks matched to nodules, the FROC curve and CPM.

The rules are the challenge's own (Setio et al. 2017, Medical Image Analysis 42, section 2.4, and
its evaluation script). Counts stay integers until the end, so that no step is lost to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.base.arrays import FloatArray, IntArray
from luna.data.tables import XYZ
from luna.scoring.bootstrap import bootstrap_weights, interval
from luna.scoring.records import FrocBand, FrocCurve, FrocScore

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which CPM averages the sensitivity."""
SUBMISSION_COLUMNS = ["seriesuid", *XYZ, "probability"]
DRAWN_RATES = np.geomspace(RATES[0], RATES[-1], 61)
"""Where the curve is drawn, with its band."""
_UNKNOWN_DIAMETER_MM = 10.0


@dataclass(frozen=True)
class Matches:
    """Marks matched to nodules.

    scans: number of listed series. Of each included nodule: the highest score of its marks (NaN
    where it is missed), its series' place in the list, its diameter in mm. Of each false positive:
    its score and its series' place.
    """

    scans: int
    nodule_scores: FloatArray
    nodule_series: IntArray
    nodule_diameters: FloatArray
    false_scores: FloatArray
    false_series: IntArray
    marks_after_cap: int
    ignored_excluded: int
    ignored_double: int

    @property
    def nodules(self) -> int:
        """All included nodules, found or missed."""
        return len(self.nodule_scores)

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Which nodules have a mark."""
        return ~np.isnan(self.nodule_scores)

    @property
    def nodules_of(self) -> IntArray:
        """Number of nodules in each listed series."""
        return np.bincount(self.nodule_series, minlength=self.scans)


def match_marks(
    marks: pd.DataFrame,
    nodules: pd.DataFrame,
    series_uids: Sequence[str],
    excluded: pd.DataFrame | None = None,
    max_marks: int = 100,
) -> Matches:
    """Match marks (SUBMISSION_COLUMNS) to nodules and excluded findings (xyz, diameter_mm).

    Only the listed series count. A mark hits a finding when it is nearer than its radius; a
    negative diameter means 10 mm.
    """
    place = {uid: number for number, uid in enumerate(series_uids)}
    marks_of = _by_series(marks, "probability", place)
    nodules_of = _by_series(nodules, "diameter_mm", place)
    excluded_of = _by_series(excluded, "diameter_mm", place) if excluded is not None else {}
    nothing = np.empty((0, 4))
    best: list[FloatArray] = [np.empty(0)]
    diameters: list[FloatArray] = [np.empty(0)]
    false: list[FloatArray] = [np.empty(0)]
    after_cap = ignored_excluded = ignored_double = 0
    for uid in place:
        own = _capped(marks_of.get(uid, nothing), max_marks)
        own_nodules = nodules_of.get(uid, nothing)
        hits = _hits(own, own_nodules)
        left = ~hits.any(axis=1)
        dropped = left & _hits(own, excluded_of.get(uid, nothing)).any(axis=1)
        scores = np.where(hits, own[:, 3:], -np.inf).max(axis=0, initial=-np.inf)
        hits_of = hits.sum(axis=0)
        best.append(np.where(hits_of > 0, scores, np.nan))
        diameters.append(own_nodules[:, 3])
        false.append(own[left & ~dropped, 3])
        after_cap += len(own)
        ignored_double += int(np.maximum(hits_of - 1, 0).sum())
        ignored_excluded += int(dropped.sum())
    return Matches(
        scans=len(place),
        nodule_scores=np.concatenate(best),
        nodule_series=np.repeat(np.arange(len(place)), [len(each) for each in best[1:]]),
        nodule_diameters=np.concatenate(diameters),
        false_scores=np.concatenate(false),
        false_series=np.repeat(np.arange(len(place)), [len(each) for each in false[1:]]),
        marks_after_cap=after_cap,
        ignored_excluded=ignored_excluded,
        ignored_double=ignored_double,
    )


class Froc:
    """The FROC curve of some matches, for the scans as they are or drawn with repetition."""

    def __init__(self, matches: Matches) -> None:
        self.matches = matches
        found = matches.found
        scores = np.concatenate([matches.nodule_scores[found], matches.false_scores])
        order = np.argsort(-scores, kind="stable")
        self._series = np.concatenate([matches.nodule_series[found], matches.false_series])[order]
        self._is_found = order < int(found.sum())
        ordered = scores[order]
        # Equal scores are one point of the curve: the last event of each score.
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))
        self.scores = ordered[self._ends]

    def counts(self, weights: IntArray | None = None) -> tuple[IntArray, IntArray]:
        """False positives and found nodules at each point, from (0, 0) on.

        weights: how often each scan counts, (scans,); once without it.
        """
        of_event = np.ones(len(self._series), np.int64) if weights is None else weights[self._series]
        found = np.cumsum(np.where(self._is_found, of_event, 0))[self._ends]
        false = np.cumsum(np.where(self._is_found, 0, of_event))[self._ends]
        return np.append(0, false), np.append(0, found)

    def sensitivity(self, rates: npt.ArrayLike, weights: IntArray | None = None) -> FloatArray:
        """Sensitivity at false positives per scan, linear between points; NaN without a nodule."""
        nodules = self.matches.nodules_of
        total = int((nodules if weights is None else nodules * weights).sum())
        wanted = np.asarray(rates, dtype=float) * self.matches.scans
        if total == 0:
            return np.full(wanted.shape, np.nan)
        false, found = self.counts(weights)
        # Exact on a point the last, upper value of a vertical step holds.
        before = np.searchsorted(false, wanted, side="right") - 1
        after = np.minimum(before + 1, len(false) - 1)
        width = np.maximum(false[after] - false[before], 1)
        share = np.where(after > before, (wanted - false[before]) / width, 0)
        return (found[before] + share * (found[after] - found[before])) / total

    def curve(self) -> tuple[FloatArray, FloatArray]:
        """False positives per scan and sensitivity at every point; empty without a nodule."""
        if self.matches.nodules == 0:
            return np.empty(0), np.empty(0)
        false, found = self.counts()
        return false / self.matches.scans, found / self.matches.nodules


def score(
    matches: Matches,
    resamples: int = 1000,
    seed: int = 0,
    why_undefined: str = "the listed series hold no nodule",
) -> FrocScore:
    """The official score; None where something is not defined, and then why."""
    froc = Froc(matches)
    keys = [f"{rate:g}" for rate in RATES]
    rates = np.append(RATES, DRAWN_RATES)
    sensitivity, drawn_values = np.split(froc.sensitivity(rates), [len(RATES)])
    defined = matches.nodules > 0
    weights = bootstrap_weights(matches.scans, resamples, seed)
    resampled = np.array([froc.sensitivity(rates, row) for row in weights]).reshape(-1, len(rates))
    at_rates, drawn = np.split(resampled, [len(RATES)], axis=1)
    mean, lower, upper = (
        dict(zip(keys, values, strict=True))
        for values in zip(*(interval(column) for column in at_rates.T), strict=True)
    )
    cpm_mean, cpm_lower, cpm_upper = interval(at_rates.mean(axis=1))
    false_positives, found = froc.curve()
    found_nodules = int(matches.found.sum())
    return FrocScore(
        cpm=float(sensitivity.mean()) if defined else None,
        sensitivity=dict(zip(keys, sensitivity.tolist() if defined else [None] * len(keys), strict=True)),
        sensitivity_mean=mean,
        sensitivity_lower=lower,
        sensitivity_upper=upper,
        cpm_mean=cpm_mean,
        cpm_lower=cpm_lower,
        cpm_upper=cpm_upper,
        true_positives=found_nodules,
        false_positives=len(matches.false_scores),
        false_negatives=matches.nodules - found_nodules,
        ignored_excluded=matches.ignored_excluded,
        ignored_double=matches.ignored_double,
        nodules=matches.nodules,
        scans=matches.scans,
        marks_after_cap=matches.marks_after_cap,
        curve=FrocCurve(
            false_positives_per_scan=false_positives.tolist(),
            sensitivity=found.tolist(),
            threshold=[None, *froc.scores.tolist()] if defined else [],
        ),
        band=_band(drawn_values, drawn),
        why_undefined=None if defined else why_undefined,
    )


def _band(values: FloatArray, drawn: FloatArray) -> FrocBand:
    """values: sensitivity at DRAWN_RATES, (rates,); drawn: the same in each resample, (resamples, rates)."""
    _, lower, upper = zip(*(interval(column) for column in drawn.T), strict=True)
    return FrocBand(
        false_positives_per_scan=DRAWN_RATES.tolist(),
        sensitivity=[None if np.isnan(value) else float(value) for value in values],
        lower=list(lower),
        upper=list(upper),
    )


def _by_series(table: pd.DataFrame, value: str, listed: dict[str, int]) -> dict[str, FloatArray]:
    """Rows (x, y, z, value) of each listed series, in file order."""
    chosen = table[table["seriesuid"].isin(listed)]
    values = chosen[[*XYZ, value]].to_numpy(dtype=float)
    return {str(uid): values[rows] for uid, rows in chosen.groupby("seriesuid", sort=False).indices.items()}


def _capped(marks: FloatArray, most: int) -> FloatArray:
    """At most `most` marks: those strictly above the next highest score; ties at the cut all go."""
    if len(marks) <= most:
        return marks
    return marks[marks[:, 3] > np.sort(marks[:, 3])[::-1][most]]


def _hits(marks: FloatArray, findings: FloatArray) -> npt.NDArray[np.bool_]:
    """Which mark is inside which finding, (marks, findings)."""
    squared = ((marks[:, None, :3] - findings[None, :, :3]) ** 2).sum(axis=2)
    diameter = np.where(findings[:, 3] < 0, _UNKNOWN_DIAMETER_MM, findings[:, 3])
    return np.asarray(squared < (diameter / 2) ** 2)

"""What evaluation.json and summary.json hold.

A value that is not defined is None. Intervals are (lower, upper) bounds of 95 %.
"""

from typing import Literal

from luna.base.files import Record
from luna.config.recipe import Recipe
from luna.config.split import SplitSettings

SIGNIFICANCE = 0.05

Value = int | float | None
Interval = tuple[float | None, float | None]


class AtThreshold(Record):
    """Precision, recall, F1 and the confusion counts of 'probability above a threshold'."""

    precision: float | None
    recall: float | None
    f1: float | None
    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int


class ByThreshold(AtThreshold):
    """The same at one of many thresholds, with the challenge's sensitivity and false positives per scan.

    sensitivity: of all nodules, those without a candidate included; None where there is none. Neither is
    defined where only some candidates of each series are tested.
    """

    threshold: float
    sensitivity: float | None
    false_positives_per_scan: float | None


class CalibrationBin(Record):
    """The samples in one bin of probability: how many, their mean probability, the share of nodules."""

    samples: int
    probability: float
    nodules: float


class Reliability(Record):
    """How far probabilities can be believed: Brier score, expected calibration error, and its bins.

    None without samples.
    """

    brier: float | None
    brier_interval: Interval
    calibration_error: float | None
    calibration_error_interval: Interval
    bins: list[CalibrationBin]


class Guarantee(Record):
    """A threshold at which series have at most the miss rate on average, with this confidence.

    miss_rate: allowed share of a series' candidate nodules. series: with such nodules, in the validation
    subset. missed: what they missed at the threshold. why_none: why there is no threshold.
    """

    miss_rate: float
    confidence: float
    series: int
    threshold: float | None
    missed: float | None
    why_none: str | None


class SizeBand(Record):
    """The nodules in a band of diameter, and how many of them were found."""

    band: str
    nodules: int
    found: int
    sensitivity: float | None
    lower: float | None
    upper: float | None


class FrocCurve(Record):
    """The points of a FROC curve, from no mark at all on; thresholds are marks' probabilities."""

    false_positives_per_scan: list[float]
    sensitivity: list[float]
    threshold: list[float | None]


class FrocBand(Record):
    """The FROC curve as it is drawn: sensitivity with its 95 % interval at some rates, None if undefined."""

    false_positives_per_scan: list[float]
    sensitivity: list[float | None]
    lower: list[float | None]
    upper: list[float | None]


class FrocScore(Record):
    """The official score. Keys of the sensitivities are the rates as text, "0.125" to "8"."""

    cpm: float | None
    sensitivity: dict[str, float | None]
    sensitivity_mean: dict[str, float | None]
    sensitivity_lower: dict[str, float | None]
    sensitivity_upper: dict[str, float | None]
    cpm_mean: float | None
    cpm_lower: float | None
    cpm_upper: float | None
    true_positives: int
    false_positives: int
    false_negatives: int
    ignored_excluded: int
    ignored_double: int
    nodules: int
    scans: int
    marks_after_cap: int
    curve: FrocCurve
    band: FrocBand
    why_undefined: str | None


class Assessment(Record):
    """Everything computed from a set of predictions.

    metrics: the metrics of metrics.csv, at threshold 0.5. at_threshold: at 0.5 ("half"), at the
    threshold chosen on validation ("chosen") and, where there is one, at the guaranteed one ("guaranteed").
    reliability: of the network's probabilities ("raw") and of the calibrated ones ("calibrated").
    why_undefined: reasons, in words, for what is None.
    """

    metrics: dict[str, Value]
    at_threshold: dict[str, AtThreshold]
    by_threshold: list[ByThreshold]
    reliability: dict[str, Reliability]
    froc: FrocScore
    by_size: list[SizeBand]
    why_undefined: list[str]
    intervals: dict[str, Interval]


class Evaluation(Assessment):
    """The test of one model on its fold: evaluation.json.

    split: "tst", or "val" where the split has no test set. leaks: whether candidates of one CT are
    on both sides.
    """

    version: Literal[4] = 4
    run: str
    fold: int
    epoch: int
    threshold: float
    guarantee: Guarantee
    split: str
    leaks: bool
    series_uids: list[str]
    device: str
    recipe: Recipe
    split_settings: SplitSettings
    seed: int


class RunSummary(Assessment):
    """A run over all its folds."""

    folds: list[int]
    epochs: list[int]
    thresholds: list[float]
    guarantees: list[Guarantee]
    leaks: bool
    series_uids: list[str]
    recipe: Recipe
    split_settings: SplitSettings
    seed: int


class Comparison(Record):
    """CPM of the first run less that of the second, and the share of resamples that the first won.

    p: two-sided, that such a difference comes by chance. p_holm: the same, corrected for the number of
    comparisons.
    """

    first: str
    second: str
    difference: float | None
    lower: float | None
    upper: float | None
    won: float | None
    p: float | None
    p_holm: float | None = None

    @property
    def is_real(self) -> bool:
        """Whether the difference is significant at 5 % after the correction."""
        return self.p_holm is not None and self.p_holm <= SIGNIFICANCE


class Summary(Record):
    """All runs and their comparisons: summary.json. bootstrap: resamples behind these."""

    version: Literal[4] = 4
    bootstrap: int
    runs: dict[str, RunSummary]
    comparisons: list[Comparison]

"""Everything that is computed from predictions."""

import json

import numpy as np
import pandas as pd
import pytest

from luna.config.evaluation import Scoring
from luna.scoring.assess import (
    Truth,
    assess,
    compare_cpm,
    corrected,
    cpm_samples,
    match,
    reliability,
    two_sided_p,
)
from luna.scoring.bootstrap import Resampling
from luna.scoring.froc import Matches
from luna.scoring.records import Assessment, Comparison


def test_reliability() -> None:
    labels, probabilities = np.array([0, 1, 1, 1]), np.array([0.15, 0.15, 0.95, 1.0])
    table = pd.DataFrame({"seriesuid": ["a", "b", "c", "d"], "class": labels, "probability": probabilities})
    found = reliability(labels, probabilities, Resampling(table, ["a", "b", "c", "d"], Scoring(bootstrap=50)))
    assert [each.samples for each in found.bins] == [2, 2]
    assert found.calibration_error == pytest.approx((2 * 0.35 + 2 * 0.025) / 4)
    assert found.brier == pytest.approx((0.15**2 + 0.85**2 + 0.05**2) / 4)


def test_the_intervals_of_reliability() -> None:
    """They lie around what they are of, and are those of drawing whole series again."""
    rng = np.random.default_rng(0)
    probabilities = rng.random(600)
    labels = (rng.random(600) < probabilities**2).astype(np.int64)
    uids = [f"s{number}" for number in range(30)]
    table = pd.DataFrame({"seriesuid": np.repeat(uids, 20), "class": labels, "probability": probabilities})
    resampling = Resampling(table, uids, Scoring(bootstrap=300))
    found = reliability(labels, probabilities, resampling)
    for value, (lower, upper) in (
        (found.brier, found.brier_interval), (found.calibration_error, found.calibration_error_interval),
    ):  # fmt: skip
        assert lower is not None
        assert upper is not None
        assert lower < value < upper < lower + 0.1
    drawn = np.repeat(np.arange(30), resampling.weights[7])
    rows = np.concatenate([np.arange(600)[20 * n : 20 * n + 20] for n in drawn])
    again = Resampling(table.iloc[rows], uids, Scoring(bootstrap=0))
    one = reliability(labels[rows], probabilities[rows], again)
    bins = np.minimum((probabilities * 10).astype(int), 9)
    assert resampling.brier(probabilities)[7] == pytest.approx(one.brier)
    assert resampling.calibration_error(probabilities, bins)[7] == pytest.approx(one.calibration_error)


def annotations(*rows: tuple[str, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["seriesuid", "coordX", "diameter_mm"])
    return table.assign(coordY=0.0, coordZ=0.0).astype({"coordX": float, "diameter_mm": float})


def assessed(table: pd.DataFrame, truth: Truth, thresholds: list[float]) -> Assessment:
    scoring = Scoring(bootstrap=20)
    table = table.assign(calibrated=table["probability"])
    matches = match(table, truth, scoring)
    return assess(table, matches, truth, np.array(thresholds), scoring)


def test_sensitivity_by_size_counts_nodules_at_one_false_positive_per_scan() -> None:
    """Two scans: two false positives are allowed, so nodules must score above the third."""
    table = pd.DataFrame(
        {
            "seriesuid": ["a", "a", "b", "a", "b", "b"],
            "coordX": [0.0, 50, 0, -100, -100, -200], "coordY": 0.0, "coordZ": 0.0,
            "probability": [0.9, 0.2, 0.45, 0.8, 0.7, 0.4], "class": [1, 1, 1, 0, 0, 0],
            "diameter_mm": [5.0, 8, 30, 0, 0, 0], "id": range(6),
        }
    )  # fmt: skip
    truth = Truth(["a", "b"], annotations(("a", 0, 5), ("a", 50, 8), ("a", 99, 8), ("b", 0, 30)))
    bands = assessed(table, truth, [0.5] * 6).by_size
    assert [band.nodules for band in bands] == [1, 2, 0, 1]
    assert [band.found for band in bands] == [1, 0, 0, 1]
    assert bands[2].sensitivity is None


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_one_class_is_explained(labels: list[int]) -> None:
    table = pd.DataFrame(
        {"seriesuid": "a", "coordX": [0.0, 50.0], "coordY": 0.0, "coordZ": 0.0,
         "probability": 0.5, "class": labels, "diameter_mm": 0.0, "id": [0, 1]}
    )  # fmt: skip
    nodules = annotations(("a", 0, 5)) if labels[0] else annotations()
    result = assessed(table, Truth(["a"], nodules), [0.5, 0.5])
    assert result.metrics["auc"] is None
    expected = (
        ["every candidate is a nodule: AUC is not defined"]
        if labels[0]
        else [
            "no candidate is a nodule: recall, AUC and average precision are not defined",
            "the series hold no nodule: sensitivity, FROC and CPM are not defined",
        ]
    )
    assert result.why_undefined == expected
    json.dumps(result.model_dump(mode="json"), allow_nan=False)


def test_without_all_candidates_of_a_series_there_is_no_cpm() -> None:
    """A perfect classifier of every tenth candidate would have a CPM of a tenth."""
    table = pd.DataFrame(
        {"seriesuid": "a", "coordX": [0.0, 50.0], "coordY": 0.0, "coordZ": 0.0,
         "probability": [0.9, 0.1], "class": [1, 0], "diameter_mm": [5.0, 0.0], "id": [0, 1]}
    )  # fmt: skip
    nodules = annotations(("a", 0, 5), ("a", 90, 5), ("a", 99, 5))
    result = assessed(table, Truth(["a"], nodules, whole_series=False), [0.5, 0.5])
    assert result.froc.cpm is None
    assert "only some candidates" in str(result.froc.why_undefined)
    assert any("only some candidates" in reason for reason in result.why_undefined)
    assert result.metrics["auc"] == 1


def test_each_prediction_has_the_threshold_of_its_fold() -> None:
    """Under the stride split one series has candidates of several folds."""
    table = pd.DataFrame(
        {"seriesuid": "a", "coordX": [0.0, 50.0], "coordY": 0.0, "coordZ": 0.0,
         "probability": 0.5, "class": [1, 0], "diameter_mm": [5.0, 0.0], "id": [0, 1]}
    )  # fmt: skip
    chosen = assessed(table, Truth(["a"], annotations(("a", 0, 5))), [0.4, 0.6]).at_threshold["chosen"]
    assert (chosen.true_positives, chosen.true_negatives) == (1, 1)


def test_size_bands_begin_at_their_lower_bound() -> None:
    """And their sensitivity is the share of the nodules found."""
    sizes = [3.0, 6, 9.9, 10, 19, 20, 40]
    found = [True, True, False, True, True, False, True]
    table = pd.DataFrame(
        {"seriesuid": "a", "coordX": [100.0 * number for number in range(7)], "coordY": 0.0, "coordZ": 0.0,
         "probability": 0.9, "class": 1, "diameter_mm": sizes, "id": range(7)}
    )[found]  # fmt: skip
    nodules = annotations(*(("a", 100.0 * number, size) for number, size in enumerate(sizes)))
    bands = assessed(table, Truth(["a"], nodules), [0.5] * 5).by_size
    assert [(band.nodules, band.found, band.sensitivity) for band in bands] == [
        (1, 1, 1.0), (2, 1, 0.5), (2, 2, 1.0), (2, 1, 0.5),
    ]  # fmt: skip
    assert bands[0].band == "under 6 mm"


def scored(*scores: float) -> Matches:
    """Two scans with a nodule each, found with these scores, and false positives at 0.5."""
    return Matches(
        2,
        np.array(scores),
        np.array([0, 1]),
        np.array([5.0, 5]),
        np.full(40, 0.5),
        np.arange(40) % 2,
        0,
        0,
        0,
    )


def test_two_runs_compared() -> None:
    """The share of resamples that the first wins; a tie is half a win."""
    scoring = Scoring(bootstrap=200, seed=0)
    without = Matches(2, np.empty(0), np.empty(0, int), np.empty(0), np.array([0.5]), np.array([0]), 0, 0, 0)
    good, half, bad, none = (
        cpm_samples("run", each, scoring)
        for each in (scored(0.9, 0.8), scored(0.9, 0.1), scored(0.1, 0.2), without)
    )
    assert compare_cpm(good, bad).won == 1
    assert compare_cpm(bad, good).won == 0
    assert compare_cpm(good, good).won == 0.5
    against_half = compare_cpm(good, half)
    # They tie where the scan is drawn twice in which both find the nodule: a quarter of the resamples.
    assert against_half.won == pytest.approx(0.875, abs=0.05)
    assert against_half.difference == pytest.approx(0.5)
    assert compare_cpm(none, good).won is None


def test_p_of_a_difference() -> None:
    """Twice the share on the other side of 0, the observed difference counted in; never 0."""
    assert two_sided_p(np.array([1.0] * 95 + [-1.0] * 4)) == pytest.approx(2 * 5 / 100)
    assert two_sided_p(np.ones(99)) == pytest.approx(2 / 100)
    assert two_sided_p(np.zeros(99)) == 1
    assert two_sided_p(np.empty(0)) is None


def test_holm() -> None:
    """The smallest p times the number of comparisons, the next times one less, and none below one before."""
    given = [0.02, 0.01, None, 0.3, 0.011]
    comparisons = [
        Comparison(first="a", second=str(n), difference=0.1, lower=0, upper=1, won=1, p=p)
        for n, p in enumerate(given)
    ]
    found = [each.p_holm for each in corrected(comparisons)]
    assert [found[0], found[1], found[3], found[4]] == pytest.approx([0.04, 0.04, 0.3, 0.04])
    assert found[2] is None
    assert [each.is_real for each in corrected(comparisons)] == [True, True, False, False, True]


def test_by_threshold() -> None:
    """Candidates, nodules and scans at thresholds from 'all' to 'none'."""
    table = pd.DataFrame(
        {"seriesuid": ["a", "a", "b", "b"], "coordX": [0.0, 50, 0, 50], "coordY": 0.0, "coordZ": 0.0,
         "probability": [0.9, 0.6, 0.3, 0.4], "class": [1, 0, 1, 0], "diameter_mm": [5.0, 0, 5, 0],
         "id": range(4)}
    )  # fmt: skip
    truth = Truth(["a", "b"], annotations(("a", 0, 5), ("b", 0, 5), ("b", 99, 5)))
    found = assessed(table, truth, [0.5] * 4).by_threshold
    assert [each.threshold for each in found] == sorted({each.threshold for each in found})
    first, last = found[0], found[-1]
    assert (first.true_positives, first.false_positives, first.false_positives_per_scan) == (2, 2, 1)
    assert first.sensitivity == pytest.approx(2 / 3)
    assert (last.true_positives, last.false_positives, last.precision, last.sensitivity) == (0, 0, None, 0)
    half = next(each for each in found if each.threshold == 0.5)
    assert (half.true_positives, half.false_positives, half.precision, half.recall) == (1, 1, 0.5, 0.5)
    assert half.sensitivity == pytest.approx(1 / 3)
    assert half.false_positives_per_scan == 0.5
    whole = Truth(truth.series_uids, truth.annotations, whole_series=False)
    assert {each.false_positives_per_scan for each in assessed(table, whole, [0.5] * 4).by_threshold} == {
        None
    }

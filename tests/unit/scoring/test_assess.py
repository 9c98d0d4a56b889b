"""Everything that is computed from predictions."""

import json

import numpy as np
import pandas as pd
import pytest

from luna.config.evaluation import Scoring
from luna.scoring.assess import Truth, assess, calibration, calibration_error, match
from luna.scoring.records import Assessment


def test_calibration() -> None:
    labels, probabilities = np.array([0, 1, 1, 1]), np.array([0.15, 0.15, 0.95, 1.0])
    bins = calibration(labels, probabilities)
    assert [each.samples for each in bins] == [2, 2]
    assert calibration_error(bins) == pytest.approx((2 * 0.35 + 2 * 0.025) / 4)


def annotations(*rows: tuple[str, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["seriesuid", "coordX", "diameter_mm"])
    return table.assign(coordY=0.0, coordZ=0.0).astype({"coordX": float, "diameter_mm": float})


def assessed(table: pd.DataFrame, truth: Truth, thresholds: list[float]) -> Assessment:
    scoring = Scoring(bootstrap=20)
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
    assert result.why_undefined
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

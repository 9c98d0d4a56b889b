"""Per-sample outcomes to figures, and intervals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from luna.froc import bootstrap_weights
from luna.judging import Resampling, Scoring, Truth, calibration, calibration_error, judge
from luna.metrics import NAMES, best_threshold, figures, is_better


def test_figures_of_a_small_example() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array([0.1, 0.2, 0.9, 0.8, 0.3])
    values = figures(labels, probabilities, np.array([1.0, 2, 3, 4, 6]))
    assert values["correct/all"] == 60
    assert values["correct/neg"] == pytest.approx(200 / 3)
    assert values["correct/pos"] == 50
    assert (values["loss/all"], values["loss/neg"], values["loss/pos"]) == (3.2, 2, 5)
    assert (values["precision"], values["recall"], values["f1"]) == (0.5, 0.5, 0.5)
    assert (values["count_neg"], values["correct_neg"], values["count_pos"], values["correct_pos"]) == (
        3,
        2,
        2,
        1,
    )


def test_not_a_number_is_wrong_for_both_classes() -> None:
    values = figures(np.array([0, 1]), np.array([np.nan, np.nan]), np.array([np.nan, np.nan]))
    assert values["correct/all"] == values["correct/neg"] == values["correct/pos"] == 0
    assert values["loss/all"] is None
    assert values["auc"] is None


@pytest.mark.parametrize("label", [0, 1])
def test_a_missing_class_gives_none_not_nan(label: int) -> None:
    values = figures(np.full(3, label), np.full(3, 0.2), np.ones(3))
    missing = "pos" if label == 0 else "neg"
    assert values[f"loss/{missing}"] is None
    assert values["auc"] is None
    assert all(value is None or np.isfinite(value) for value in values.values())
    assert set(NAMES) <= set(values)


def test_nothing_called_a_nodule() -> None:
    values = figures(np.array([0, 1]), np.array([0.1, 0.2]), np.ones(2))
    assert (values["precision"], values["recall"], values["f1"]) == (None, 0, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=1, max_size=30))
def test_best_threshold_has_the_best_f1(samples: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in samples])
    probabilities = np.array([score / 10 for _, score in samples])
    chosen = best_threshold(labels, probabilities)
    if not labels.any():
        assert chosen == 0.5
        return
    best = max(
        f1_score(labels, probabilities > at, zero_division=0) for at in [-1, *np.arange(0, 1.01, 0.05)]
    )
    assert f1_score(labels, probabilities > chosen) == pytest.approx(best)


def test_better() -> None:
    assert is_better(0.5, None, "auc")
    assert is_better(0.6, 0.5, "auc")
    assert not is_better(0.6, 0.5, "loss/all")
    assert not is_better(None, 0.5, "auc")


@st.composite
def predictions(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=30
        )
    )
    table = pd.DataFrame(rows, columns=["seriesuid", "class", "probability"])
    return table.assign(probability=table["probability"] / 6, coordX=0.0, coordY=0.0, coordZ=0.0)


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_resampled_rankings_agree_with_scikit_learn(table: pd.DataFrame) -> None:
    scoring = Scoring(bootstrap=8, seed=1)
    resampled = Resampling(table, list("abcd"), scoring).rankings()
    weights = bootstrap_weights(4, 8, 1)
    for (auc, average), row in zip(resampled, weights, strict=True):
        of_sample = row[["abcd".index(uid) for uid in table["seriesuid"]]]
        labels, drawn = table["class"], of_sample > 0
        if labels[drawn].nunique() < 2:
            assert np.isnan(auc)
            continue
        arguments = (labels[drawn], table["probability"][drawn])
        assert auc == pytest.approx(roc_auc_score(*arguments, sample_weight=of_sample[drawn]))
        assert average == pytest.approx(average_precision_score(*arguments, sample_weight=of_sample[drawn]))


def test_calibration() -> None:
    labels, probabilities = np.array([0, 1, 1, 1]), np.array([0.15, 0.15, 0.95, 1.0])
    bins = calibration(labels, probabilities)
    assert [each["samples"] for each in bins] == [2, 2]
    assert calibration_error(bins) == pytest.approx((2 * 0.35 + 2 * 0.025) / 4)


def annotations(*rows: tuple[str, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["seriesuid", "coordX", "diameter_mm"])
    return table.assign(coordY=0.0, coordZ=0.0).astype({"coordX": float, "diameter_mm": float})


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
    judged = judge(table, truth, np.array([0.5, 0.85]), Scoring(bootstrap=20))
    assert [band["nodules"] for band in judged["by_size"]] == [1, 2, 0, 1]
    assert [band["found"] for band in judged["by_size"]] == [1, 0, 0, 1]
    assert judged["by_size"][2]["sensitivity"] is None


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_one_class_is_explained(labels: list[int]) -> None:
    table = pd.DataFrame(
        {"seriesuid": "a", "coordX": [0.0, 50.0], "coordY": 0.0, "coordZ": 0.0,
         "probability": 0.5, "class": labels, "diameter_mm": 0.0, "id": [0, 1]}
    )  # fmt: skip
    nodules = annotations(("a", 0, 5)) if labels[0] else annotations()
    judged = judge(table, Truth(["a"], nodules), np.array([0.5]), Scoring(bootstrap=10))
    assert judged["figures"]["auc"] is None
    assert judged["why_undefined"]
    import json

    json.dumps(judged, allow_nan=False)

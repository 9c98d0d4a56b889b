"""Metrics and their intervals from the outcome of each sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from luna.scoring.metrics import NAMES, best_threshold, compute_metrics, is_better


def test_figures_of_a_small_example() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array([0.1, 0.2, 0.9, 0.8, 0.3])
    values = compute_metrics(labels, probabilities, np.array([1.0, 2, 3, 4, 6]))
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
    values = compute_metrics(np.array([0, 1]), np.array([np.nan, np.nan]), np.array([np.nan, np.nan]))
    assert values["correct/all"] == values["correct/neg"] == values["correct/pos"] == 0
    assert values["loss/all"] is None
    assert values["auc"] is None


@pytest.mark.parametrize("label", [0, 1])
def test_a_missing_class_gives_none_not_nan(label: int) -> None:
    values = compute_metrics(np.full(3, label), np.full(3, 0.2), np.ones(3))
    missing = "pos" if label == 0 else "neg"
    assert values[f"loss/{missing}"] is None
    assert values["auc"] is None
    assert all(value is None or np.isfinite(value) for value in values.values())
    assert set(NAMES) <= set(values)


def test_nothing_called_a_nodule() -> None:
    values = compute_metrics(np.array([0, 1]), np.array([0.1, 0.2]), np.ones(2))
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
    for name in ("auc", "loss/all"):
        assert not is_better(0.5, 0.5, name), "the earlier epoch stays the best"

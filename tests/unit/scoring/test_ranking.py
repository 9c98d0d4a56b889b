"""Counts and areas of a ranking, compared with scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from luna.scoring.ranking import Ranking, areas

Samples = list[tuple[int, int]]
SAMPLES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=30)


@settings(max_examples=100, deadline=None)
@given(SAMPLES)
def test_areas_agree_with_scikit_learn(samples: Samples) -> None:
    labels, scores = (np.array(each) for each in zip(*samples, strict=True))
    auc, average_precision = areas(*Ranking(labels, scores).counts())
    if len(set(labels)) < 2:
        assert np.isnan(auc)
        assert np.isnan(average_precision)
        return
    assert auc == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision == pytest.approx(average_precision_score(labels, scores))


@settings(max_examples=60, deadline=None)
@given(SAMPLES)
def test_counts_are_the_points_of_the_roc_curve(samples: Samples) -> None:
    labels, scores = (np.array(each) for each in zip((0, 1), (1, 1), *samples, strict=True))
    ranked = Ranking(labels, scores)
    nodules, others = ranked.counts()
    false, found, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    assert others / others[-1] == pytest.approx(false)
    assert nodules / nodules[-1] == pytest.approx(found)
    assert ranked.scores.tolist() == thresholds[1:].tolist()


def test_a_weight_counts_a_sample_as_often() -> None:
    labels, scores = np.array([1, 0, 1]), np.array([0.2, 0.9, 0.2])
    ranked = Ranking(labels, scores)
    counted = ranked.counts(np.array([5, 3, 2])[ranked.order])
    assert [each.tolist() for each in counted] == [[0, 0, 7], [0, 3, 3]]


def test_no_samples() -> None:
    assert [each.tolist() for each in Ranking(np.empty(0, int), np.empty(0)).counts()] == [[0], [0]]

"""Intervals by resampling series."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from luna.config.evaluation import Scoring
from luna.scoring.bootstrap import Resampling, bootstrap_weights, interval
from luna.scoring.froc import Froc
from unit.scoring.conftest import matches_of


def test_bootstrap_moves_a_series_together() -> None:
    """All nodules are in one scan: a resample holds it k times, or has no nodule at all."""
    froc = Froc(matches_of([0.9], [0.8], missed=1, scans=2))
    assert froc.sensitivity([8.0], np.array([2, 0])).tolist() == [1.0]
    assert froc.sensitivity([8.0], np.array([0, 2])).tolist() == [0.0]
    false, found = froc.counts(np.array([2, 0]))
    assert (false[-1], found[-1]) == (2, 2)


def test_bootstrap_is_seeded_and_draws_as_many_scans() -> None:
    first, second = bootstrap_weights(30, 20, 5), bootstrap_weights(30, 20, 5)
    assert (first == second).all()
    assert (first.sum(axis=1) == 30).all()
    assert (first != bootstrap_weights(30, 20, 6)).any()


def test_interval_takes_the_26th_and_976th_of_1000() -> None:
    assert interval(np.random.default_rng(0).permutation(1000) + 1.0)[1:] == (26.0, 976.0)


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

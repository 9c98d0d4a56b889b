"""Datasets, the order of an epoch, and loaders that all give the same batches."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from luna.batches.epoch import Epoch, epoch_order
from luna.batches.loaders import batches_of
from luna.config.recipe import Recipe
from luna.runtime.team import Team


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=60),
    st.integers(0, 1000), st.floats(0, 5), st.integers(0, 200),
)  # fmt: skip
def test_an_epoch_uses_all_before_it_repeats(
    labels: Sequence[int], seed: int, balance: float, samples: int
) -> None:
    of_sample = np.array(labels)
    order = epoch_order(of_sample, seed, 1, balance, samples)
    assert len(order) == (samples or len(labels))
    assert (order == epoch_order(of_sample, seed, 1, balance, samples)).all()
    groups = [of_sample >= 0] if balance == 0 or len(set(labels)) == 1 else [of_sample == 1, of_sample == 0]
    for group in groups:
        counts = np.bincount(order[group[order]], minlength=len(labels))[group]
        assert counts.max() - counts.min() <= 1


def test_every_batch_of_a_balanced_epoch_has_the_ratio() -> None:
    labels = (np.arange(300) < 10).astype(np.int64)
    for batch in batches_of(epoch_order(labels, 0, 1, balance=3, samples=400), 40):
        assert labels[batch].sum() == 10


def test_epochs_differ() -> None:
    labels = np.zeros(50, dtype=np.int64)
    assert (epoch_order(labels, 0, 1) != epoch_order(labels, 0, 2)).any()


def test_a_balanced_epoch_begins_as_it_goes_on() -> None:
    """Its share of nodules is right from the start to within half a sample."""
    labels = (np.arange(300) < 30).astype(np.int64)
    for balance in (1, 2, 3):
        nodules = np.cumsum(labels[epoch_order(labels, 0, 1, balance, 200)])
        expected = np.arange(1, 201) / (1 + balance)
        assert np.abs(nodules - expected).max() <= 0.5


def test_the_last_batch_has_a_sample_for_every_process() -> None:
    recipe = Recipe(batch_size=4, gpus=2)
    for samples, sizes in ((17, [8, 9]), (18, [8, 8, 2]), (16, [8, 8]), (1, [1])):
        epoch = Epoch(1, np.zeros(samples, dtype=np.int64), recipe, 0, Team(0, 2))
        assert [len(batch) for batch in epoch.batches] == sizes

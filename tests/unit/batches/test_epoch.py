"""Datasets, the order of an epoch, and loaders that all give the same batches."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from luna.batches.epoch import epoch_order
from luna.batches.loaders import batches_of


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

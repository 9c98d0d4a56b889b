"""The plan of an epoch: the order of its samples, its batches, and this process's part of them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from luna.base.arrays import IntArray
from luna.base.progress import enumerate_with_estimate
from luna.base.randomness import rng
from luna.batches.loaders import Batch, Loader, batches_of
from luna.config.recipe import Recipe
from luna.runtime.team import Team


class Position(NamedTuple):
    """Where in the epoch a batch is: the number of its step, the whole batch, this process's part."""

    step: int
    whole: slice
    part: slice


class Epoch:
    """One epoch, a function of seed and number alone.

    order: indices of the training samples, in the order in which they train. batches: the same,
    cut into the batches that all processes of the team share.
    """

    def __init__(self, number: int, labels: IntArray, recipe: Recipe, seed: int, team: Team) -> None:
        self.number, self._team = number, team
        self.order = epoch_order(labels, seed, number, recipe.balance, recipe.samples_per_epoch)
        self.labels = labels[self.order]
        self.batches = batches_of(self.order, recipe.batch_size * recipe.gpus)
        if len(self.batches) > 1 and len(self.batches[-1]) < team.size:
            # Every process needs a sample in every step.
            self.batches[-2:] = [np.concatenate(self.batches[-2:])]

    def load(self, loader: Loader, first_step: int, label: str) -> Iterator[tuple[Batch, Position]]:
        """This process's samples of each batch from `first_step` on; progress is logged under `label`."""
        ends = np.cumsum([len(batch) for batch in self.batches])
        steps = range(first_step, len(self.batches))
        parts = [self._team.part(self.batches[step]) for step in steps]
        own = [self.batches[step][part] for step, part in zip(steps, parts, strict=True)]
        label = f"{label} epoch {self.number}"
        loaded = enumerate_with_estimate(loader.load(own), label, len(own), start_at=2)
        for (place, batch), step in zip(loaded, steps, strict=True):
            end = int(ends[step])
            start, part = end - len(self.batches[step]), parts[place]
            yield batch, Position(step, slice(start, end), slice(start + part.start, start + part.stop))

    def batch_with(self, place: int) -> int:
        """The number of the batch that holds the epoch's sample at this place."""
        return int(np.searchsorted(np.cumsum([len(batch) for batch in self.batches]), place, side="right"))


def epoch_order(labels: IntArray, seed: int, epoch: int, balance: float = 0, samples: int = 0) -> IntArray:
    """Indices of an epoch's samples, a function of seed and epoch alone.

    balance: negatives for each positive, in every batch (0: natural ratio). samples: how many (0:
    as many as there are). Within a class no sample is used twice before all were used once. Where
    a class is missing there is nothing to balance, and the order is the natural one.
    """
    generator = rng(seed, "order", epoch)
    count = samples or len(labels)
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if balance == 0 or not len(positive) or not len(negative):
        return _cycle(generator, np.arange(len(labels)), count)
    # Spread evenly, so that every batch has the ratio: where it varies by chance from batch to batch,
    # a small network follows the ratio instead of learning to distinguish the classes.
    steps = np.floor(np.arange(count + 1) / (1 + balance) + 0.5)
    is_positive = np.diff(steps) > 0
    order = np.empty(count, dtype=np.int64)
    order[is_positive] = _cycle(generator, positive, int(is_positive.sum()))
    order[~is_positive] = _cycle(generator, negative, int((~is_positive).sum()))
    return order


def _cycle(generator: np.random.Generator, indices: IntArray, count: int) -> IntArray:
    rounds = max(1, -(-count // len(indices)))
    return np.concatenate([generator.permutation(indices) for _ in range(rounds)])[:count]

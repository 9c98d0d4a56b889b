"""Where in a CT nodules may be: blobs in the lungs, sifted by networks one after the other.

Blobs are many (some thousands in a chest) and cheap to find; most are pieces of vessels. A small network that
sees little of their surroundings throws most of them away, and only what is left is shown to the large ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from luna.base.arrays import BoolArray, FloatArray, IntArray
from luna.imaging.blobs import find_blobs
from luna.imaging.ct import Ct
from luna.imaging.problem import BadCtError, Problem
from luna.scans.models import LoadedModel, Models

BLOBS = 10_000
"""The most distinct blobs, which the small network sees."""
SIFTED = 4000
"""What it leaves. With 2500, 3 % of the nodules on which benchmarks/proposals.py tunes are lost."""
HALVED = 2
"""After the first large network, so many times as many are left as there will be proposals."""


class Proposals(NamedTuple):
    """Places: voxels irc (n, 3), probability (n,), spread of the models' probabilities (n,)."""

    irc: IntArray
    probability: FloatArray
    spread: FloatArray

    def best(self, most: int) -> "Proposals":
        """The most suspicious, at most so many, in order."""
        return self.rows(order(self.probability)[:most])

    def rows(self, chosen: IntArray) -> "Proposals":
        """Some of them, in this order."""
        return Proposals(self.irc[chosen], self.probability[chosen], self.spread[chosen])


def propose(ct: Ct, lungs: BoolArray, models: Models, most: int) -> Proposals:
    """Up to `most` places in the lungs, the most suspicious first.

    lungs: (index, row, column). Raises BadCtError where there are no lungs, or nothing in them.
    """
    if not lungs.any():
        text = (
            "no lungs were found, so no places can be proposed; is it a whole chest?"
            " Places of your own can be given with --candidates"
        )
        raise BadCtError([Problem("header", ct.series_uid, text)])
    blobs = find_blobs(ct.hu, lungs, ct.grid.spacing[::-1])
    if not len(blobs.irc):
        text = "nothing in its lungs is brighter than what is around it, so no places can be proposed"
        raise BadCtError([Problem("header", ct.series_uid, text)])
    places = blobs.irc[:BLOBS]
    places = places[order(models.sieve.probabilities(ct, places, "sieve"))[: max(SIFTED, HALVED * most)]]
    first, *others = models.ensemble
    count = len(models.ensemble)
    probability = first.probabilities(ct, places, f"model 1 of {count}")
    if others:
        left = order(probability)[: HALVED * most]
        places, probability = places[left], probability[left]
    return _together(places, [probability, *_judged(ct, places, others, 2, count)]).best(most)


def score_places(ct: Ct, places: IntArray, ensemble: Sequence[LoadedModel]) -> Proposals:
    """What models say of places (n, 3) irc, in the same order: their mean and standard deviation."""
    return _together(places, _judged(ct, places, ensemble, 1, len(ensemble)))


def _judged(
    ct: Ct, places: IntArray, some: Sequence[LoadedModel], number: int, count: int
) -> list[FloatArray]:
    """Probabilities (n,) by each of some models, of which the first is `number` of `count`."""
    return [model.probabilities(ct, places, f"model {n} of {count}") for n, model in enumerate(some, number)]


def _together(places: IntArray, probabilities: Sequence[FloatArray]) -> Proposals:
    return Proposals(places, np.mean(probabilities, axis=0), np.std(probabilities, axis=0))


def order(probability: FloatArray) -> IntArray:
    """The numbers of some places, the most suspicious first."""
    return np.argsort(-probability, kind="stable")

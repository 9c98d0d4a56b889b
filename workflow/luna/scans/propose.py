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
from luna.scans.judge import Judge

BLOBS = 6000
"""The most distinct blobs, which the small network sees."""
SIFTED = 5
"""After the small network, so many times as many blobs are left as there will be proposals."""
HALVED = 2
"""After the first large network, so many times as many."""


class Proposals(NamedTuple):
    """Places, the most suspicious first: voxels irc (n, 3), probability (n,), spread of the models (n,)."""

    irc: IntArray
    probability: FloatArray
    spread: FloatArray

    def order(self) -> IntArray:
        """Their numbers, the most suspicious first."""
        return np.argsort(-self.probability, kind="stable")

    def rows(self, chosen: IntArray) -> "Proposals":
        """Some of them, in this order."""
        return Proposals(self.irc[chosen], self.probability[chosen], self.spread[chosen])


def propose(ct: Ct, lungs: BoolArray, sieve: Judge, judges: Sequence[Judge], most: int) -> Proposals:
    """Up to `most` places in the lungs.

    sieve: the small network. judges: the mean of their probabilities ranks. Raises BadCtError where there are
    no lungs, or nothing in them.
    """
    if not lungs.any():
        text = (
            "no lungs were found, so no places can be proposed; is it a whole chest?"
            " Places of your own can be given with --candidates"
        )
        raise BadCtError([Problem("no-lungs", ct.series_uid, text)])
    blobs = find_blobs(ct.hu, lungs, ct.grid.spacing[::-1])
    if not len(blobs.irc):
        text = "nothing in its lungs is brighter than what is around it, so no places can be proposed"
        raise BadCtError([Problem("no-lungs", ct.series_uid, text)])
    places = _best(blobs.irc[:BLOBS], sieve.probabilities(ct, blobs.irc[:BLOBS]), SIFTED * most)
    if len(judges) > 1:
        places = _best(places, judges[0].probabilities(ct, places), HALVED * most)
    judged = judge(ct, places, judges)
    return judged.rows(judged.order()[:most])


def judge(ct: Ct, places: IntArray, judges: Sequence[Judge]) -> Proposals:
    """What the models say of places (n, 3) irc, in their order: mean, and standard deviation among models."""
    each = np.stack([one.probabilities(ct, places) for one in judges])
    return Proposals(places, each.mean(axis=0), each.std(axis=0))


def _best(places: IntArray, probability: FloatArray, most: int) -> IntArray:
    return places[np.argsort(-probability, kind="stable")[:most]]

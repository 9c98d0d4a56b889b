"""The phantom's candidate locations, as a detector would list them."""

import numpy as np

from luna.base.arrays import HuArray, IntArray
from luna.imaging.blobs import find_blobs
from luna.imaging.lungs import lungs_of_air
from luna.phantom.fields import Axes
from luna.phantom.nodule_tissue import Lungs
from luna.phantom.nodules import Nodule, distances_mm

WALL_MM = 2.5
"""How far into the wall places are searched, for nodules at the pleura."""
HITS_A_NODULE = 2
"""Candidates that one nodule has at most: LUNA16's has two in a sixth of its nodules, seldom more."""
_FAVOR = 2.0
"""How much likelier than the faintest the most distinct place is chosen: e to the power of this."""


def list_candidates(
    rng: np.random.Generator,
    hu: HuArray,
    lungs: Lungs,
    nodules: list[Nodule],
    mean: int,
    margin: tuple[int, int, int],
    hilum: bool = False,
) -> tuple[IntArray, IntArray]:
    """Voxels (n, 3) irc and classes (n,) of blobs in the lungs: those in nodules, and `mean` others or so.

    With `hilum` the lungs are closed as for the search in patients: hilum and mediastinum have candidates
    too. The class is 1 where the distance to a nodule's centre is less than its radius, as in LUNA16.
    """
    axes = lungs.axes
    if hilum:
        inside = lungs_of_air(lungs.depth > 0, axes.spacing).voxels(lungs.depth.shape)
    else:
        inside = lungs.depth > -WALL_MM * lungs.scale
    blobs = find_blobs(hu, inside, axes.spacing)
    faces = np.array(hu.shape) - margin
    inner = ((blobs.irc >= margin) & (blobs.irc < faces)).all(axis=1)
    places = blobs.irc[inner]
    owner = _owners(places, nodules, axes)
    hits = [np.flatnonzero(owner == number)[:HITS_A_NODULE] for number in range(len(nodules))]
    others = np.flatnonzero(owner == -1)
    wanted = min(len(others), rng.poisson(mean))
    weights = np.exp(_FAVOR * np.linspace(1, 0, len(others)))
    chosen = rng.choice(others, wanted, replace=False, p=weights / weights.sum()) if wanted else others[:0]
    rows = rng.permutation(np.concatenate([*hits, chosen]).astype(np.int64))
    return places[rows], (owner[rows] >= 0).astype(np.int64)


def _owners(places: IntArray, nodules: list[Nodule], axes: Axes) -> IntArray:
    """The number of the nodule in which each place lies, -1 where there is none."""
    owner = np.full(len(places), -1)
    for number, nodule in enumerate(nodules):
        owner[distances_mm(places, nodule, axes) < nodule.diameter_mm / 2] = number
    return owner

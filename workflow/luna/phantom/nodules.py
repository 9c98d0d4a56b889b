"""Nodules: how many, how large, and where they grow."""

from dataclasses import dataclass

import numpy as np

from luna.base.arrays import FloatArray, IntArray
from luna.phantom.fields import Axes
from luna.phantom.nodule_tissue import KINDS, Kind, Lungs, draw

DIAMETER_MM, DIAMETER_SPREAD, SMALLEST_MM, LARGEST_MM = 9.0, 0.55, 3.5, 32.0
"""Diameter: median and logarithmic spread of a lognormal distribution, and its limits. LUNA16's are
3.25 to 32.27 mm."""
PLACE_SHARES = {"free": 0.45, "vessel": 0.2, "pleura": 0.35}
"""Shares of the nodules free in the lung, at a vessel, and at the pleura; tuned on real CTs."""
SMALL_FINDING_SHARE, SMALL_FINDING_MM = 0.25, (1.8, 3.0)
"""Share of the CTs with a spot too small to be annotated as a nodule, and its diameter."""
_DEEP_MM, _SHALLOW_MM = 3.0, 9.0
"""A nodule at a vessel lies deeper than the first, one at the pleura less deep than the second."""
_SUNK = 0.9
"""A nodule at the pleura has its centre at most so many radii away from it."""
_GAP_MM = 4.0
"""Distance that nodules keep from one another."""
_ATTEMPTS = 60


@dataclass(frozen=True)
class Nodule:
    """A nodule: centre in voxels (irc, float), diameter in mm."""

    center_irc: FloatArray
    diameter_mm: float
    kind: Kind


def draw_nodules(
    rng: np.random.Generator, lungs: Lungs, places: dict[str, IntArray], count: int
) -> list[Nodule]:
    """Draw up to `count` nodules at some of the places, none touching another."""
    nodules: list[Nodule] = []
    for _attempt in range(_ATTEMPTS):
        if len(nodules) == count:
            break
        where = str(rng.choice(list(PLACE_SHARES), p=list(PLACE_SHARES.values())))
        kind: Kind = rng.choice(np.array(list(KINDS)), p=list(KINDS.values()))
        diameter = rng.lognormal(np.log(DIAMETER_MM), DIAMETER_SPREAD)
        diameter = float(np.clip(diameter, SMALLEST_MM, LARGEST_MM)) * lungs.scale
        center = _choose(rng, lungs, places[where], where, diameter / 2)
        if center is None:
            continue
        nodule = Nodule(center, round(diameter, 6), kind)
        if _draw_apart(rng, lungs, nodule, nodules):
            nodules.append(nodule)
    return nodules


def draw_small_findings(
    rng: np.random.Generator, lungs: Lungs, places: dict[str, IntArray], nodules: list[Nodule]
) -> list[Nodule]:
    """Draw spots too small to be annotated as nodules; they count neither way. Few CTs have one."""
    voxels = places["free"]
    if not len(voxels) or rng.random() >= SMALL_FINDING_SHARE:
        return []
    center = voxels[rng.integers(len(voxels))] + rng.uniform(-0.5, 0.5, 3)
    spot = Nodule(center, round(rng.uniform(*SMALL_FINDING_MM) * lungs.scale, 6), "solid")
    return [spot] if _draw_apart(rng, lungs, spot, nodules) else []


def _draw_apart(rng: np.random.Generator, lungs: Lungs, nodule: Nodule, others: list[Nodule]) -> bool:
    """Draw a nodule; False, and nothing changed, where it would touch another or hardly be seen."""
    axes = lungs.axes
    away = [distances_mm(nodule.center_irc[None], other, axes)[0] for other in others]
    reach = [(nodule.diameter_mm + other.diameter_mm) / 2 + _GAP_MM * lungs.scale for other in others]
    if any(a < r for a, r in zip(away, reach, strict=True)):
        return False
    return draw(rng, lungs, axes.at(nodule.center_irc), nodule.diameter_mm / 2, nodule.kind)


def nodule_places(lungs: Lungs, margin: tuple[int, int, int]) -> dict[str, IntArray]:
    """Voxels (n, 3) for nodules of each kind of place, at least `margin` voxels from the CT's faces."""
    inner = tuple(slice(m, n - m) for m, n in zip(margin, lungs.depth.shape, strict=True))
    depth, scale = lungs.depth[inner], lungs.scale
    kinds = {
        "free": depth > 2 * scale,
        "vessel": (lungs.vessels[inner] > 0.5) & (depth > _DEEP_MM * scale),
        "pleura": (depth > -scale) & (depth < _SHALLOW_MM * scale),
    }
    return {name: np.argwhere(kind) + np.array(margin) for name, kind in kinds.items()}


def _choose(
    rng: np.random.Generator, lungs: Lungs, voxels: IntArray, where: str, radius: float
) -> FloatArray | None:
    """One of the voxels that suits the radius, moved by up to half a voxel; None if none is found."""
    for _attempt in range(20 if len(voxels) else 0):
        voxel = voxels[rng.integers(len(voxels))]
        depth = float(lungs.depth[tuple(voxel)])
        if {"free": depth > radius, "vessel": True, "pleura": depth < _SUNK * radius}[where]:
            return np.asarray(voxel + rng.uniform(-0.5, 0.5, 3))
    return None


def distances_mm(places: FloatArray | IntArray, nodule: Nodule, axes: Axes) -> FloatArray:
    """Distance of each of (n, 3) irc places to a nodule's centre, (n,)."""
    return np.asarray(np.linalg.norm((places - nodule.center_irc) * axes.spacing, axis=1))

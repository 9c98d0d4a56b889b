"""Vessels and airways of the lungs."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from luna.base.arrays import FloatArray, Volume
from luna.phantom.body import Body
from luna.phantom.fields import Axes, ramp

LUNG_PER_TREE_MM3 = 7_500.0
"""Lung in which one tree of vessels starts; tuned on real CTs."""
ROOT_RADIUS_MM, ROOT_SPREAD, WIDEST_MM = 1.25, 0.6, 5.5
"""Radius of a tree's root: median and logarithmic spread of a lognormal distribution, and largest."""
THINNEST_MM = 0.32
WANDER = 0.085
"""How much a vessel turns at each step, in radians along each axis."""
DENSITY, HEADING_SPREAD, LEAD_MM = (0.6, 1.5), 0.35, (8, 30)
"""Trees of a patient relative to the mean; how far trunks point away from the hilum; where they begin before
the place that they pass."""
HILUM_SPREAD_MM = 9
AIRWAY_GAP, LUMEN_SHARE = (1.9, 2.4), (0.7, 0.85)
"""Distance of an airway from its vessel, in the vessel's radii; share of its radius that is lumen."""
BRANCH_SHARE, WIDEST_TURN, TURN_SHARE = (0.05, 0.5), np.radians(80), (0.5, 1.1)
"""The smaller branch's share of the flow at a fork; how far one without flow turns, and factors of it."""
HILAR_TREES, HILAR_RADIUS_MM = 9, (2.2, WIDEST_MM)
"""Large vessels that leave each hilum: their mean number, and the range of their radii."""
AIRWAY_SHARE = 0.5
"""Share of the wide vessels that an airway accompanies."""
AIRWAY_HU, AIRWAY_WALL_HU = -960.0, -80.0
TRACHEA_MM, BRONCHUS_MM, AIRWAY_WALL_MM = 8.5, 6.0, 1.5
"""Radii of the windpipe and of the two main bronchi, thickness of their walls."""
TRACHEA_TOP_MM, CARINA_MM = (160.0, 0.0, 0.0), (26.0, 12.0, -1.0)
"""Where the windpipe begins, and where it divides (z, y, x)."""
FORK_RADII = (5.0, 13.0)
"""How far a branch grows before it divides, in radii."""
_MOST_SEGMENTS = 220


class Tube(NamedTuple):
    """A straight piece of a tube: start and end (z, y, x) and radius, in mm."""

    start: FloatArray
    end: FloatArray
    radius: float


def draw_vessels(rng: np.random.Generator, body: Body, axes: Axes, hu: Volume, depth: Volume) -> Volume:
    """Draw trees of vessels and their airways into the lungs; return the vessels' share of each voxel."""
    vessels, walls, lumens = _plan(rng, body, axes, depth)
    edge = float(axes.spacing[2])
    inside = ramp(depth, edge)
    airway_wall, lumen, vessel = (paint(axes, tubes, edge) for tubes in (walls, lumens, vessels))
    for share, value in ((airway_wall, AIRWAY_WALL_HU), (lumen, AIRWAY_HU), (vessel, body.blood_hu)):
        share *= inside
        hu += share * (np.float32(value) - hu)
    _draw_main_airways(body, axes, hu)
    return vessel


def _draw_main_airways(body: Body, axes: Axes, hu: Volume) -> None:
    """Windpipe and main bronchi, in place."""
    scale, edge = body.scale, float(axes.spacing[2])
    top, carina = (np.array(place) * scale for place in (TRACHEA_TOP_MM, CARINA_MM))
    lumens = [Tube(top, carina, TRACHEA_MM * scale)]
    lumens += [Tube(carina, hilum, BRONCHUS_MM * scale) for hilum in body.hila]
    walls = [Tube(a, b, radius + AIRWAY_WALL_MM * scale) for a, b, radius in lumens]
    for tubes, value in ((walls, AIRWAY_WALL_HU), (lumens, AIRWAY_HU)):
        hu += paint(axes, tubes, edge) * (np.float32(value) - hu)


def paint(axes: Axes, tubes: list[Tube], edge: float) -> Volume:
    """The share of each voxel that lies in a tube, with a soft edge of `edge` mm, float32."""
    share = np.zeros(axes.shape, dtype=np.float32)
    if not tubes:
        return share
    starts, ends, radii = (np.array(values) for values in zip(*tubes, strict=True))
    reach = (radii + edge / 2)[:, None]
    boxes = axes.boxes(np.minimum(starts, ends) - reach, np.maximum(starts, ends) + reach)
    for tube, box in zip(tubes, boxes, strict=True):
        if all(part.start < part.stop for part in box):
            _paint_one(share[box], axes.part(box), tube, edge)
    return share


def _paint_one(share: Volume, axes: Axes, tube: Tube, edge: float) -> None:
    line = (tube.end - tube.start).astype(np.float32)
    z, y, x = (axis - value for axis, value in zip(axes, tube.start.astype(np.float32), strict=True))
    scale = np.float32(1 / max(float(line @ line), 1e-6))
    along = np.clip((z * line[0] + y * line[1] + x * line[2]) * scale, 0, 1)
    squared = (z - along * line[0]) ** 2 + (y - along * line[1]) ** 2 + (x - along * line[2]) ** 2
    np.maximum(share, ramp(np.float32(tube.radius) - np.sqrt(squared), edge), out=share)


def _plan(
    rng: np.random.Generator, body: Body, axes: Axes, depth: Volume
) -> tuple[list[Tube], list[Tube], list[Tube]]:
    """Vessels, walls of airways and their lumens."""
    scale = body.scale
    vessels: list[Tube] = []
    airways: list[Tube] = []
    for start, trunk, radius in (*_roots(rng, body, axes, depth), *_hilar_roots(rng, body, axes)):
        tree = grow(rng, start, trunk, radius, THINNEST_MM * scale, axes.corners)
        vessels.extend(tree)
        if radius > 0.9 * scale and rng.random() < AIRWAY_SHARE:
            beside = np.cross(trunk, rng.normal(0, 1, 3))
            beside *= radius * rng.uniform(*AIRWAY_GAP) / np.linalg.norm(beside)
            airways.extend(Tube(a + beside, b + beside, r) for a, b, r in tree if r > 0.5 * radius)
    walls = [Tube(a, b, r * 1.02 + 0.3 * scale) for a, b, r in airways]
    lumens = [Tube(a, b, r * rng.uniform(*LUMEN_SHARE)) for a, b, r in airways]
    return vessels, walls, lumens


def _roots(
    rng: np.random.Generator, body: Body, axes: Axes, depth: Volume
) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Start, heading and radius of the trees that pass through the lungs in view, away from the hila."""
    lungs = np.argwhere(depth[::2, ::4, ::4] > 3 * body.scale) * [2, 4, 4]
    if not len(lungs):
        return
    volume = len(lungs) * 32 * float(np.prod(axes.spacing)) / body.scale**3
    for _ in range(rng.poisson(rng.uniform(*DENSITY) * volume / LUNG_PER_TREE_MM3)):
        target = axes.at(lungs[rng.integers(len(lungs))])
        hilum = body.hila[np.linalg.norm(body.hila - target, axis=1).argmin()]
        away = float(np.linalg.norm(target - hilum)) / body.scale
        radius = rng.lognormal(np.log(ROOT_RADIUS_MM), ROOT_SPREAD) * np.clip(60 / (away + 20), 0.7, 1.8)
        trunk = (target - hilum) / (away * body.scale + 1e-6) + rng.normal(0, HEADING_SPREAD, 3)
        trunk /= np.linalg.norm(trunk)
        start = target - trunk * rng.uniform(*LEAD_MM) * body.scale
        yield start, trunk, float(np.clip(radius, 0.45, WIDEST_MM)) * body.scale


def _hilar_roots(
    rng: np.random.Generator, body: Body, axes: Axes
) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Start, heading and radius of the large vessels that leave the hila within reach of the view."""
    low, high = axes.corners
    for hilum in body.hila:
        if ((hilum < low - 30 * body.scale) | (hilum > high + 30 * body.scale)).any():
            continue
        for _ in range(rng.poisson(HILAR_TREES)):
            trunk = rng.normal(0, 1, 3) * [1, 0.8, 0.4]
            trunk[2] = np.sign(hilum[2]) * abs(trunk[2] + 0.6)
            start = hilum + rng.normal(0, HILUM_SPREAD_MM, 3) * body.scale
            yield start, trunk / np.linalg.norm(trunk), rng.uniform(*HILAR_RADIUS_MM) * body.scale


def grow(
    rng: np.random.Generator,
    start: FloatArray,
    heading: FloatArray,
    radius: float,
    thinnest: float,
    view: tuple[FloatArray, FloatArray],
) -> list[Tube]:
    """Pieces (start, end, radius) of a tree in mm, as far as it is in view (two corners, zyx).

    A branch wanders, tapers and divides; at a fork the cubes of the radii add up to that of the
    parent (Murray 1926), and the thinner branch turns away more.
    """
    pieces: list[Tube] = []
    low, high = view[0] - 20, view[1] + 20
    branches = [(start, heading, radius)]
    while branches and len(pieces) < _MOST_SEGMENTS:
        place, direction, r = branches.pop()
        length, until_fork = 0.0, r * rng.uniform(*FORK_RADII)
        while True:
            step = min(max(2.2 * r, 5 * thinnest), 6.0)
            direction = direction + rng.normal(0, WANDER, 3)
            direction /= np.sqrt(direction @ direction)
            end = place + step * direction
            pieces.append(Tube(place, end, r))
            place, length, r = end, length + step, r * 0.985
            if r < thinnest or (end < low).any() or (end > high).any() or len(pieces) >= _MOST_SEGMENTS:
                break
            if length > until_fork:
                part = rng.uniform(*BRANCH_SHARE)
                turn = rng.normal(0, 1, 3)
                turn -= (turn @ direction) * direction
                turn /= np.sqrt(turn @ turn) + 1e-9
                for piece, side in ((1 - part, -1), (part, 1)):
                    child = r * piece ** (1 / 3)
                    bend = WIDEST_TURN * (1 - piece) * rng.uniform(*TURN_SHARE)
                    if child > thinnest:
                        branches.append((place, direction * np.cos(bend) + side * np.sin(bend) * turn, child))
                break
    return pieces

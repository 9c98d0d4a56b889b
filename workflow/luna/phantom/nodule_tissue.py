"""What a nodule looks like: its shape, its tissue, and the strands that leave it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from luna.base.arrays import FloatArray, Volume
from luna.phantom.fields import Axes, ramp, smooth_field
from luna.phantom.vessels import Tube, grow, paint

Kind = Literal["solid", "part-solid", "ground glass", "faint", "calcified", "cavity"]
KINDS: dict[Kind, float] = {
    "solid": 0.51, "part-solid": 0.13, "ground glass": 0.17, "faint": 0.08, "calcified": 0.04, "cavity": 0.07,
}  # fmt: skip
"""Share of each kind; tuned on real nodules."""
SOLID_HU, SOLID_SPREAD_HU = 35.0, 35.0
SPARSE_SHARE, SPARSE_HU = 0.15, (-150, 0)
"""Share of the solid parts that hold some air, and their HU."""
HAZE_HU = (60, 480)
"""What ground glass adds to the lung behind it."""
STRETCH, BUMP_HEIGHT, ROUGHNESS_MM = 0.16, 0.09, 0.4
"""Spread of the linear stretch; mean height of bumps in radii; largest roughness of the surface."""
EDGE_MM, SOFT_EDGE_MM = (0.6, 2.0), (1.2, 4.5)
"""Width of the border of solid nodules, and of those with ground glass."""
SPICULATED_SHARE, FED_SHARE, TAGGED_SHARE = 0.38, 0.55, 0.2
"""Shares of the nodules with spicules, with vessels of their own, and with a strand to the pleura."""
LONGEST_TAG_MM = 25.0
HIGHEST_BUMPS, FLAT_AREA_HU = 0.3, (0, 25)
"""Largest mean height of bumps in radii; how far the HU of solid tissue vary."""
FAINT_SHARE = (0.25, 0.6)
"""How much of a voxel faint nodules fill."""
CALCIUM_HU, CALCIUM_REACH = (150, 900), (0.4, 1.1)
"""HU that calcium adds, and how far it reaches, in radii."""
CAVITY_HU, CAVITY_REACH = (-950, -700), (0.35, 0.92)
"""HU in a cavity, and how far it reaches, in radii."""
CORE_REACH, CORE_SPREAD, CORE_EDGE_MM = (0.3, 0.7), 0.2, 1.2
"""A part-solid nodule's core: its radius and how far it lies from the middle, in radii; its border."""
SPICULES, SPICULE_MM, TAG_MM = (5, 26), (0.22, 0.65), (0.3, 0.8)
"""Number of spicules (below the second), and radii of spicules and of tags."""
FEEDERS, FEEDER_MM = (1, 4), (0.5, 1.6)
"""Number of vessels of a nodule's own (below the second), and their radii."""
LEAST_CONTRAST_HU = 50.0
"""Mean change inside a nodule below which it cannot be told from what was there."""
_BUMP_WAVES, _WAVES_A_RADIUS = 6, 2.2


@dataclass(frozen=True)
class Lungs:
    """The lungs that nodules are drawn into.

    hu: float32, changed in place. depth: mm from the lungs' surface, positive inside. vessels: their
    share of each voxel. scale: size of the body, 1 for life-size.
    """

    axes: Axes
    hu: Volume
    depth: Volume
    vessels: Volume
    scale: float


@dataclass(frozen=True)
class _Ball:
    """The voxels around a nodule, and where they are from its centre.

    offsets: mm along z, y and x, to be broadcast. fine: a random field that changes over some 2 mm.
    """

    offsets: list[Volume]
    fine: Volume
    radius: float

    def distance_from(self, point: FloatArray) -> Volume:
        """Distance in mm from a point given in mm from the centre."""
        squares = [(o - np.float32(p)) ** 2 for o, p in zip(self.offsets, point, strict=True)]
        return np.sqrt(squares[0] + squares[1] + squares[2])


def draw(rng: np.random.Generator, lungs: Lungs, center: FloatArray, radius: float, kind: Kind) -> bool:
    """Draw a nodule at a point (z, y, x) in mm; False, and nothing changed, where it would hardly be seen."""
    axes, scale = lungs.axes, lungs.scale
    reach = 1.8 * radius + 10 * scale
    box = axes.box(center - reach, center + reach)
    part, hu = axes.part(box), lungs.hu[box]
    offsets = [axis - np.float32(value) for axis, value in zip(part, center, strict=True)]
    ball = _Ball(offsets, smooth_field(rng, part, 2.2 * scale), radius)
    inside, distance = _surface(rng, ball, scale)
    edge = rng.uniform(*(SOFT_EDGE_MM if kind in ("ground glass", "part-solid") else EDGE_MM)) * scale
    changed = _filled(rng, kind, hu, ball, ramp(inside, edge), distance / np.float32(radius))
    core = distance < radius
    if not core.any() or float((changed - hu)[core].mean()) < LEAST_CONTRAST_HU:
        return False
    pixel = float(axes.spacing[2])
    strands = paint(part, _strands(rng, lungs, center, radius), pixel) * ramp(lungs.depth[box], pixel)
    value = np.float32(20 if kind in ("solid", "calcified", "cavity") else -250)
    lungs.hu[box] = changed + strands * np.maximum(value - changed, 0)
    return True


def _surface(rng: np.random.Generator, ball: _Ball, scale: float) -> tuple[Volume, Volume]:
    """Depth under a nodule's bumpy surface, and distance from its centre in a stretched space, in mm."""
    matrix = np.eye(3) + rng.normal(0, STRETCH, (3, 3))
    matrix = (matrix / abs(np.linalg.det(matrix)) ** (1 / 3)).astype(np.float32)
    stretched = [sum(o * c for o, c in zip(ball.offsets, row, strict=True)) for row in matrix]
    distance = np.sqrt(sum(s**2 for s in stretched) + np.float32(1e-6))
    height = min(float(rng.gamma(2, BUMP_HEIGHT / 2)), HIGHEST_BUMPS)
    bumps = np.zeros(distance.shape, dtype=np.float32)
    waves, phases = rng.normal(0, _WAVES_A_RADIUS, (_BUMP_WAVES, 3)), rng.uniform(0, 2 * np.pi, _BUMP_WAVES)
    sizes = rng.normal(0, height * np.sqrt(2 / _BUMP_WAVES), _BUMP_WAVES)
    for wave, phase, size in zip(waves, phases, sizes, strict=True):
        direction = sum(s * np.float32(w) for s, w in zip(stretched, wave, strict=True)) / distance
        bumps += np.float32(size) * np.sin(direction + np.float32(phase))
    roughness = np.float32(rng.uniform(0, ROUGHNESS_MM) * scale) * ball.fine
    return ball.radius * (1 + np.clip(bumps, -0.45, 0.6)) - distance + roughness, distance


def _filled(
    rng: np.random.Generator, kind: Kind, hu: Volume, ball: _Ball, share: Volume, relative: Volume
) -> Volume:
    """HU with the nodule's own tissue; relative: distance from its centre in radii."""
    solid_hu = rng.normal(SOLID_HU, SOLID_SPREAD_HU)
    if rng.random() < SPARSE_SHARE:
        solid_hu = rng.uniform(*SPARSE_HU)
    solid = np.float32(solid_hu) + np.float32(rng.uniform(*FLAT_AREA_HU)) * ball.fine
    if kind in ("ground glass", "part-solid"):
        return _hazy(rng, kind, hu, ball, share, solid)
    if kind == "faint":
        share = share * np.float32(rng.uniform(*FAINT_SHARE))
    if kind == "calcified":
        reach = np.float32(rng.uniform(*CALCIUM_REACH))
        solid = solid + np.float32(rng.uniform(*CALCIUM_HU)) * ramp(reach - relative, 0.3)
    filled = hu + share * np.maximum(solid - hu, 0)
    if kind == "cavity":
        hole = ramp(np.float32(rng.uniform(*CAVITY_REACH)) - relative + np.float32(0.08) * ball.fine, 0.2)
        filled = filled + hole * share * (np.float32(rng.uniform(*CAVITY_HU)) - filled)
    return filled


def _hazy(
    rng: np.random.Generator, kind: Kind, hu: Volume, ball: _Ball, share: Volume, solid: Volume
) -> Volume:
    """Ground glass, through which vessels show; a solid core where it is part-solid."""
    haze = np.float32(rng.uniform(*HAZE_HU)) * (1 + np.float32(0.15) * ball.fine)
    filled = np.maximum(hu, np.minimum(hu + share * haze, 20))
    if kind == "part-solid":
        away = ball.distance_from(rng.normal(0, CORE_SPREAD, 3) * ball.radius)
        size = ball.radius * rng.uniform(*CORE_REACH) + np.float32(0.12 * ball.radius) * ball.fine
        filled = filled + ramp(size - away, CORE_EDGE_MM) * np.maximum(solid - filled, 0)
    return filled


def _strands(rng: np.random.Generator, lungs: Lungs, center: FloatArray, radius: float) -> list[Tube]:
    """Spicules, a strand to the pleura, and vessels that leave a nodule."""
    scale, strands = lungs.scale, []
    if rng.random() < SPICULATED_SHARE:
        for _ in range(rng.integers(*SPICULES)):
            length = rng.uniform(0.15 * radius + scale, 0.8 * radius + 5 * scale)
            strands += _spike(center, _direction(rng), 0.7 * radius, length, rng.uniform(*SPICULE_MM) * scale)
    if rng.random() < TAGGED_SHARE:
        outward, away = _way_out(lungs, center)
        if 0 < away < LONGEST_TAG_MM * scale:
            length = max(away - 0.8 * radius, scale)
            strands += _spike(center, outward, 0.8 * radius, length, rng.uniform(*TAG_MM) * scale)
    if rng.random() < FED_SHARE:
        for _ in range(rng.integers(*FEEDERS)):
            width = min(rng.uniform(*FEEDER_MM) * scale, 0.3 * radius + 0.2 * scale)
            strands += grow(rng, center, _direction(rng), width, 0.4 * scale, lungs.axes.corners)[:12]
    return strands


def _spike(
    center: FloatArray, direction: FloatArray, begin: float, length: float, radius: float
) -> list[Tube]:
    """A strand that grows thinner, in two pieces."""
    ends = [center + direction * (begin + part * length) for part in (0, 0.5, 1)]
    return [Tube(ends[0], ends[1], radius), Tube(ends[1], ends[2], 0.6 * radius)]


def _direction(rng: np.random.Generator) -> FloatArray:
    direction = rng.normal(0, 1, 3)
    return np.asarray(direction / np.linalg.norm(direction))


def _way_out(lungs: Lungs, center: FloatArray) -> tuple[FloatArray, float]:
    """The direction (z, y, x) in which the lung's surface is nearest, and how far away it is in mm."""
    shape = np.array(lungs.depth.shape)
    place = np.clip(np.rint(lungs.axes.irc_of(center)).astype(int), 1, shape - 2)
    steps = np.eye(3, dtype=int)
    change = [float(lungs.depth[tuple(place + step)] - lungs.depth[tuple(place - step)]) for step in steps]
    slope = np.array(change) / lungs.axes.steps
    return -slope / (np.linalg.norm(slope) + 1e-9), float(lungs.depth[tuple(place)])

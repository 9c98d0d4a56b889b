"""Nodules: where they grow, what they look like, and their annotations."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from luna.base.arrays import FloatArray, IntArray, Volume
from luna.phantom.fields import Axes, ramp, smooth_field
from luna.phantom.vessels import Tubes, grow, paint

Kind = Literal["solid", "part-solid", "ground glass", "faint", "calcified", "cavity"]

KINDS: dict[Kind, float] = {
    "solid": 0.53, "part-solid": 0.13, "ground glass": 0.17, "faint": 0.08, "calcified": 0.04, "cavity": 0.05,
}  # fmt: skip
"""Share of each kind; tuned on the real nodules of LIDC-IDRI."""
DIAMETER_MM, DIAMETER_SPREAD, SMALLEST_MM, LARGEST_MM = 9.0, 0.55, 3.5, 32.0
"""Diameter: median and logarithmic spread of a lognormal distribution, and its limits."""
FREE_SHARE, VESSEL_SHARE = 0.45, 0.2
"""Shares of the nodules free in the lung and at a vessel; the others touch the pleura."""
SPICULATED_SHARE, FED_SHARE, TAGGED_SHARE = 0.38, 0.55, 0.2
"""Shares of the nodules with spicules, with vessels of their own, and with a strand to the pleura."""
LEAST_CONTRAST_HU = 60.0
"""Mean change inside a nodule below which it cannot be told from what was there, and is moved."""
SMALL_FINDING_SHARE, SMALL_FINDING_MM = 0.25, (1.8, 3.0)
"""Share of the CTs with a spot that readers would not call a nodule, and its diameter."""
_GAP_MM = 4.0
_ATTEMPTS = 60


@dataclass(frozen=True)
class Nodule:
    """A nodule: centre in voxels (irc, float), diameter in mm."""

    center_irc: FloatArray
    diameter_mm: float
    kind: Kind


@dataclass(frozen=True)
class Lungs:
    """The lungs that nodules are drawn into.

    hu: float32, changed in place. depth: mm from the surface, positive inside. vessels: share of each
    voxel. Lengths are multiplied by scale.
    """

    axes: Axes
    hu: Volume
    depth: Volume
    vessels: Volume
    scale: float


def draw_nodules(
    rng: np.random.Generator, lungs: Lungs, count: int, margin: tuple[int, int, int]
) -> list[Nodule]:
    """Draw up to `count` nodules, none touching another, at least `margin` voxels from the CT's faces."""
    places = _places(lungs, margin)
    nodules: list[Nodule] = []
    for _attempt in range(_ATTEMPTS):
        if len(nodules) == count:
            break
        where = int(rng.choice(3, p=[FREE_SHARE, VESSEL_SHARE, 1 - FREE_SHARE - VESSEL_SHARE]))
        kind = rng.choice(np.array(list(KINDS)), p=list(KINDS.values()))
        diameter = float(
            np.clip(rng.lognormal(np.log(DIAMETER_MM), DIAMETER_SPREAD), SMALLEST_MM, LARGEST_MM)
        )
        center = _choose(rng, lungs, places[where], where, diameter / 2 * lungs.scale)
        if center is None:
            continue
        nodule = Nodule(center, round(diameter * lungs.scale, 6), kind)
        if all(_apart(lungs.axes, nodule, other) for other in nodules) and draw_nodule(rng, lungs, nodule):
            nodules.append(nodule)
    return nodules


def draw_small_findings(
    rng: np.random.Generator, lungs: Lungs, nodules: list[Nodule], margin: tuple[int, int, int]
) -> list[Nodule]:
    """Draw spots too small to be annotated as nodules; they count neither way. Few CTs have one."""
    voxels = _places(lungs, margin)[0]
    if not len(voxels) or rng.random() >= SMALL_FINDING_SHARE:
        return []
    center = voxels[rng.integers(len(voxels))] + rng.uniform(-0.5, 0.5, 3)
    spot = Nodule(center, round(rng.uniform(*SMALL_FINDING_MM) * lungs.scale, 6), "solid")
    if all(_apart(lungs.axes, spot, nodule) for nodule in nodules) and draw_nodule(rng, lungs, spot):
        return [spot]
    return []


def draw_nodule(rng: np.random.Generator, lungs: Lungs, nodule: Nodule) -> bool:
    """Draw one; False, and nothing changed, where it would hardly be seen."""
    radius, axes, scale = nodule.diameter_mm / 2, lungs.axes, lungs.scale
    center = axes.at(nodule.center_irc)
    reach = 1.8 * radius + 10 * scale
    box = axes.box(center - reach, center + reach)
    part, hu = axes.part(box), lungs.hu[box]
    offsets = [axis - np.float32(value) for axis, value in zip(part, center, strict=True)]
    distance, bumps = _shape(rng, offsets, radius)
    fine = smooth_field(rng, part, 2.2 * scale)
    soft = rng.uniform(1.2, 4.5) if nodule.kind in ("ground glass", "part-solid") else rng.uniform(0.6, 2)
    depth_inside = radius * (1 + bumps) - distance + np.float32(rng.uniform(0, 0.4) * scale) * fine
    share = ramp(depth_inside, soft * scale)
    changed = _filled(rng, nodule.kind, hu, share, distance / radius, fine, offsets, radius)
    core = distance < radius
    if not core.any() or float((changed - hu)[core].mean()) < LEAST_CONTRAST_HU:
        return False
    strands = _strands(rng, lungs, center, radius, nodule.kind)
    value = np.float32(20 if nodule.kind in ("solid", "calcified", "cavity") else -250)
    fibers = paint(part, strands, float(axes.spacing[2])) * ramp(lungs.depth[box], float(axes.spacing[2]))
    changed += fibers * np.maximum(value - changed, 0)
    lungs.hu[box] = changed
    return True


def _shape(rng: np.random.Generator, offsets: list[Volume], radius: float) -> tuple[Volume, Volume]:
    """Distance from the centre in a randomly stretched space (mm), and the relative height of bumps."""
    matrix = np.eye(3) + rng.normal(0, 0.16, (3, 3))
    matrix = (matrix / abs(np.linalg.det(matrix)) ** (1 / 3)).astype(np.float32)
    stretched = [sum(o * c for o, c in zip(offsets, row, strict=True)) for row in matrix]
    distance = np.sqrt(sum(s**2 for s in stretched) + np.float32(1e-6))
    height = min(float(rng.gamma(2, 0.045)), 0.3)
    bumps = np.zeros(distance.shape, dtype=np.float32)
    for wave, phase, size in zip(
        rng.normal(0, 2.2, (6, 3)), rng.uniform(0, 6.3, 6), rng.normal(0, 1, 6), strict=True
    ):
        direction = sum(s * np.float32(w) for s, w in zip(stretched, wave, strict=True)) / distance
        bumps += np.float32(size * height / 1.7) * np.sin(direction + np.float32(phase))
    return distance, np.clip(bumps, -0.45, 0.6)


def _filled(
    rng: np.random.Generator,
    kind: Kind,
    hu: Volume,
    share: Volume,
    relative: Volume,
    fine: Volume,
    offsets: list[Volume],
    radius: float,
) -> Volume:
    """HU with the nodule's own tissue; `relative` is the distance from its centre in radii."""
    solid_hu = rng.normal(35, 35) if rng.random() < 0.85 else rng.uniform(-150, 0)
    solid = np.float32(solid_hu) + np.float32(rng.uniform(0, 25)) * fine
    if kind in ("ground glass", "part-solid"):
        haze = np.float32(rng.uniform(60, 480)) * (1 + np.float32(0.15) * fine)
        filled = np.maximum(hu, np.minimum(hu + share * haze, 20))
        if kind == "part-solid":
            middle = rng.normal(0, 0.2, 3) * radius
            away = np.sqrt(sum((o - np.float32(m)) ** 2 for o, m in zip(offsets, middle, strict=True)))
            core = ramp(radius * rng.uniform(0.3, 0.7) - away + fine * np.float32(0.12 * radius), 1.2)
            filled = filled + core * np.maximum(solid - filled, 0)
        return filled
    if kind == "faint":
        share = share * np.float32(rng.uniform(0.25, 0.6))
    if kind == "calcified":
        calcium = np.float32(rng.uniform(150, 900)) * ramp(np.float32(rng.uniform(0.4, 1.1)) - relative, 0.3)
        solid = solid + calcium
    filled = hu + share * np.maximum(solid - hu, 0)
    if kind == "cavity":
        hole = ramp(np.float32(rng.uniform(0.35, 0.88)) - relative + np.float32(0.08) * fine, 0.2)
        filled = filled + hole * share * (np.float32(rng.uniform(-950, -700)) - filled)
    return filled


def _strands(rng: np.random.Generator, lungs: Lungs, center: FloatArray, radius: float, kind: Kind) -> Tubes:
    """Spicules, vessels and strands to the pleura that leave a nodule, as tubes."""
    scale, depth = lungs.scale, lungs.depth
    starts, ends, radii = [], [], []

    def add(direction: FloatArray, begin: float, length: float, thickness: float) -> None:
        for part in range(2):
            starts.append(center + direction * (begin + part * length / 2))
            ends.append(center + direction * (begin + (part + 1) * length / 2))
            radii.append(thickness * (1 - 0.4 * part))

    if rng.random() < SPICULATED_SHARE:
        for _ in range(rng.integers(5, 26)):
            add(_direction(rng), 0.7 * radius, rng.uniform(0.15 * radius + 1, 0.5 * radius + 5) * scale,
                rng.uniform(0.22, 0.55) * scale)  # fmt: skip
    if rng.random() < TAGGED_SHARE:
        index = np.clip(np.rint(_irc(lungs.axes, center)).astype(int), 1, np.array(depth.shape) - 2)
        z, y, x = index
        slope = np.array([
            depth[z + 1, y, x] - depth[z - 1, y, x],
            depth[z, y + 1, x] - depth[z, y - 1, x],
            depth[z, y, x + 1] - depth[z, y, x - 1],
        ]) * np.sign([float(a.ravel()[1] - a.ravel()[0]) for a in lungs.axes]) / lungs.axes.spacing  # fmt: skip
        away = float(depth[z, y, x])
        if 0 < away < 25 * scale and np.linalg.norm(slope) > 0:
            add(
                -slope / np.linalg.norm(slope),
                0.8 * radius,
                max(away - 0.8 * radius, 1),
                rng.uniform(0.3, 0.8) * scale,
            )
    tubes = [(a, b, r) for a, b, r in zip(starts, ends, radii, strict=True)]
    if rng.random() < FED_SHARE:
        low, high = (
            np.array(corner) for corner in zip(*((a.min(), a.max()) for a in lungs.axes), strict=True)
        )
        for _ in range(rng.integers(1, 4)):
            width = min(rng.uniform(0.5, 1.6), 0.3 * radius / scale + 0.2) * scale
            tubes.extend(grow(rng, center, _direction(rng), width, 0.4 * scale, (low, high))[:12])
    if not tubes:
        return Tubes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
    start, end, thick = (np.array(values) for values in zip(*tubes, strict=True))
    return Tubes(start, end, thick)


def _direction(rng: np.random.Generator) -> FloatArray:
    direction = rng.normal(0, 1, 3)
    return np.asarray(direction / np.linalg.norm(direction))


def _irc(axes: Axes, point: FloatArray) -> FloatArray:
    firsts = np.array([float(axis.ravel()[0]) for axis in axes])
    steps = np.array([float(axis.ravel()[1] - axis.ravel()[0]) for axis in axes])
    return np.asarray((point - firsts) / steps)


def _places(lungs: Lungs, margin: tuple[int, int, int]) -> list[IntArray]:
    """Voxels (n, 3) for nodules free in the lung, at a vessel, at the pleura."""
    inner = tuple(slice(m, n - m) for m, n in zip(margin, lungs.depth.shape, strict=True))
    depth = lungs.depth[inner]
    near = 9 * lungs.scale
    kinds = (
        depth > 2 * lungs.scale,
        (lungs.vessels[inner] > 0.5) & (depth > 3 * lungs.scale),
        (depth > -1) & (depth < near),
    )
    return [np.argwhere(kind) + np.array(margin) for kind in kinds]


def _choose(
    rng: np.random.Generator, lungs: Lungs, voxels: IntArray, where: int, radius: float
) -> FloatArray | None:
    """A voxel, moved by up to half of one; none where the list has none that suits the radius."""
    for _attempt in range(20 if len(voxels) else 0):
        voxel = voxels[rng.integers(len(voxels))]
        depth = float(lungs.depth[tuple(voxel)])
        suits = depth > radius if where == 0 else depth < 0.9 * radius if where == 2 else True
        if suits:
            return np.asarray(voxel + rng.uniform(-0.5, 0.5, 3))
    return None


def _apart(axes: Axes, a: Nodule, b: Nodule) -> bool:
    away = float(np.linalg.norm((a.center_irc - b.center_irc) * axes.spacing))
    return away > (a.diameter_mm + b.diameter_mm) / 2 + _GAP_MM

"""Nodules and candidates laid into a chest."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from luna.base.arrays import FloatArray
from luna.imaging.geometry import Grid
from luna.phantom.chest import Anatomy

_SMALLEST_MM, _LARGEST_MM = 3.0, 25.0


@dataclass(frozen=True)
class Nodule:
    """A nodule in the CT: centre in voxels (irc, float) and diameter in mm."""

    center_irc: FloatArray
    diameter_mm: float


def place_nodules(rng: np.random.Generator, anatomy: Anatomy) -> list[Nodule]:
    """One to three nodules: isolated, on a vessel or at the pleura, none touching another."""
    places = _places(anatomy)
    kinds = [places["lung"], places["vessel"], places["pleura"]]
    nodules: list[Nodule] = []
    for _ in range(rng.choice([1, 2, 3], p=[0.2, 0.3, 0.5])):
        for _attempt in range(50):
            voxels = kinds[rng.choice(3, p=[0.5, 0.3, 0.2])]
            if not len(voxels):
                continue
            diameter = float(np.clip(rng.lognormal(np.log(10), 0.4), _SMALLEST_MM, _LARGEST_MM))
            center = voxels[rng.integers(len(voxels))] + rng.uniform(-0.5, 0.5, 3)
            room = [_distance_mm(anatomy.grid, center, other.center_irc) for other in nodules]
            reach = [(diameter + other.diameter_mm) / 2 + 4 for other in nodules]
            if all(have > need for have, need in zip(room, reach, strict=True)):
                nodules.append(Nodule(center, diameter))
                break
    return nodules


def draw_nodule(rng: np.random.Generator, anatomy: Anatomy, nodule: Nodule) -> None:
    """Blend a nodule into the HU: nearly round, lobed, with a soft edge; some are part-solid."""
    spacing = anatomy.grid.spacing[::-1]
    radius = nodule.diameter_mm / 2
    box, offsets = _box_around(anatomy.hu.shape, nodule.center_irc, (radius + 3) / spacing)
    delta = [offset * step for offset, step in zip(offsets, spacing, strict=True)]
    stretch = rng.normal(1, 0.06, 3)
    distance = np.sqrt(sum((d / s) ** 2 for d, s in zip(delta, stretch, strict=True)))
    wave, phase = rng.normal(0, 2.5 / radius, 3), rng.uniform(0, 2 * np.pi)
    lobes = 1 + 0.08 * np.sin(sum(d * w for d, w in zip(delta, wave, strict=True)) + phase)
    softness = rng.uniform(0.3, 0.6)
    share = 1 / (1 + np.exp(np.clip((distance - radius * lobes) / softness, -30, 30)))
    density = rng.uniform(-350, -150) if rng.random() < 0.1 else rng.normal(80, 40)
    patch = anatomy.hu[box]
    patch += (share * np.maximum(density - patch, 0)).astype(np.float32)


def list_candidates(
    rng: np.random.Generator, anatomy: Anatomy, nodules: list[Nodule], mean: int
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Candidate locations (irc) and classes: most nodules, some twice, and distractors."""
    points: list[FloatArray] = []
    for nodule in nodules:
        hits = rng.choice(3, p=[0.05, 0.65, 0.3])
        for _ in range(hits):
            away = rng.normal(0, 1, 3)
            away *= rng.uniform(0, 0.3) * nodule.diameter_mm / np.linalg.norm(away)
            points.append(nodule.center_irc + away / anatomy.grid.spacing[::-1])
    hits_made = len(points)
    wanted = max(0, rng.poisson(mean) - hits_made)
    points.extend(_distractors(rng, anatomy, nodules, wanted))
    classes = (np.arange(len(points)) < hits_made).astype(np.int64)
    order = rng.permutation(len(points))
    return np.array(points).reshape(-1, 3)[order], classes[order]


def _distractors(
    rng: np.random.Generator, anatomy: Anatomy, nodules: list[Nodule], wanted: int
) -> Iterator[FloatArray]:
    places = _places(anatomy)
    kinds = [places[name] for name in ("vessel", "crossing", "pleura", "lung")]
    for _attempt in range(20 * wanted):
        if wanted == 0:
            return
        voxels = kinds[rng.choice(4, p=[0.3, 0.2, 0.2, 0.3])]
        if not len(voxels):
            continue
        point = voxels[rng.integers(len(voxels))] + rng.uniform(-0.5, 0.5, 3)
        if all(
            _distance_mm(anatomy.grid, point, nodule.center_irc) > nodule.diameter_mm / 2 + 4
            for nodule in nodules
        ):
            wanted -= 1
            yield point


def _places(anatomy: Anatomy) -> dict[str, npt.NDArray[np.int64]]:
    """Voxels (n, 3) of each kind of place a nodule or a distractor can sit at."""
    inner = ndimage.binary_erosion(anatomy.lungs, iterations=2)
    density = ndimage.uniform_filter(anatomy.vessels.astype(np.float32), 7)
    inside_vessel = density[anatomy.vessels]
    busy = np.quantile(inside_vessel, 0.85) if inside_vessel.size else 1
    # A crop at the first or last slices is partly air. In LUNA16, with 250 slices, that is rare; so it
    # is kept rare here, where slices are few.
    slices = len(anatomy.lungs)
    middle = slice(slices // 5, slices - slices // 5)
    return {
        name: np.argwhere(kind[middle]) + np.array([middle.start, 0, 0])
        for name, kind in (
            ("lung", inner & ~anatomy.vessels),
            ("vessel", anatomy.vessels),
            ("crossing", anatomy.vessels & (density >= busy)),
            ("pleura", anatomy.lungs & ~inner),
        )
    }


def _distance_mm(grid: Grid, a_irc: FloatArray, b_irc: FloatArray) -> float:
    return float(np.linalg.norm((a_irc - b_irc) * grid.spacing[::-1]))


def _box_around(
    shape: tuple[int, ...], center: FloatArray, reach: FloatArray
) -> tuple[tuple[slice, ...], list[FloatArray]]:
    """The box within `reach` voxels of a centre, and each axis' offsets from it, for broadcasting."""
    box = tuple(
        slice(max(0, int(np.floor(c - r))), min(n, int(np.ceil(c + r)) + 1))
        for c, r, n in zip(center, reach, shape, strict=True)
    )
    offsets = [np.arange(part.start, part.stop) - c for part, c in zip(box, center, strict=True)]
    return box, [offsets[0][:, None, None], offsets[1][None, :, None], offsets[2][None, None, :]]

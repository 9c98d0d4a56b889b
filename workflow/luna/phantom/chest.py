"""A chest without nodules: drawn, or a real CT."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from luna.base.arrays import BoolArray, FloatArray, Volume
from luna.base.errors import UserError
from luna.config.phantom import PhantomSettings
from luna.imaging.ct import read_ct
from luna.imaging.geometry import Grid
from luna.imaging.lungs import segment_lungs

PADDING_HU = -3024
"""What LUNA16's scanners write outside the round field of view."""
VESSEL_HU = 0
_SLICE_SPACINGS = (0.75, 1.0, 1.25, 1.5, 2.0)
_FLIPPED = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Anatomy:
    """A chest without nodules: HU (float32), where the lungs are (vessels included), the vessels."""

    hu: Volume
    lungs: BoolArray
    vessels: BoolArray
    grid: Grid


def draw_chest(rng: np.random.Generator, settings: PhantomSettings) -> Anatomy:
    """Draw a chest. The body grows with `size`, from 80 mm at 64 to 360 mm at 512 columns."""
    slices = max(12, round(settings.slices * rng.uniform(0.7, 1.3)))
    field_mm = np.interp(settings.size, [64, 512], [80, 360]) * rng.uniform(0.92, 1.08)
    spacing = np.array([field_mm / settings.size] * 2 + [rng.choice(_SLICE_SPACINGS)]).round(6)
    grid = Grid(
        origin=np.round([*(rng.normal(0, 20, 2) - field_mm / 2), rng.uniform(-400, 200)], 6),
        spacing=spacing,
        direction=_FLIPPED if rng.random() < 0.2 else np.eye(3),
    )
    z = ((np.arange(slices) - (slices - 1) / 2) * spacing[2]).astype(np.float32)
    y = x = ((np.arange(settings.size) - (settings.size - 1) / 2) * spacing[0]).astype(np.float32)
    axes = (z[:, None, None], y[None, :, None], x[None, None, :])
    hu, lungs, lung_boxes = _draw_trunk(rng, axes, float(field_mm))
    vessels = np.zeros(hu.shape, dtype=np.float32)
    for center, semi_axes in lung_boxes:
        for start, end, radius in _vessel_tree(rng, center, semi_axes):
            _draw_segment(vessels, (z, y, x), start, end, radius)
    vessels *= lungs
    hu += vessels * (VESSEL_HU - hu)
    hu += _correlated_noise(rng, hu.shape, (0.4, 0.7, 0.7), rng.uniform(15, 30))
    hu += _correlated_noise(rng, hu.shape, (1.5, 2.5, 2.5), rng.uniform(10, 25)) * lungs
    hu[:, (y[:, None] ** 2 + x[None, :] ** 2) > (field_mm / 2) ** 2] = PADDING_HU
    return Anatomy(hu, lungs > 0.5, (vessels > 0.5) & (lungs > 0.5), grid)


def chest_from_ct(rng: np.random.Generator, path: Path) -> Anatomy:
    """A real CT as background: mirrored in half of the series and with a little noise added."""
    ct = read_ct(path)
    hu = ct.hu.astype(np.float32)
    if rng.random() < 0.5:
        hu = np.ascontiguousarray(hu[:, :, ::-1])
    lungs = segment_lungs(hu)
    if not lungs.any():
        raise UserError(f"{path}: no lungs found in it, so it cannot be a background")
    vessels = lungs & (hu > -400) & ndimage.binary_erosion(lungs, iterations=2)
    hu += _correlated_noise(rng, hu.shape, (0.4, 0.7, 0.7), 10)
    return Anatomy(hu, lungs, vessels, ct.grid)


def _ellipse(u: Volume, v: Volume, a: float, b: float, edge_mm: float) -> Volume:
    """1 inside an ellipse of semi-axes a and b (mm), 0 outside, a ramp of `edge_mm` between."""
    inside = (1 - np.sqrt((u / a) ** 2 + (v / b) ** 2)) * min(a, b) / edge_mm + 0.5
    return np.clip(inside, 0, 1)


def _draw_trunk(
    rng: np.random.Generator, axes: tuple[Volume, Volume, Volume], field_mm: float
) -> tuple[Volume, Volume, list[tuple[FloatArray, FloatArray]]]:
    """HU of body and lungs, the lungs' share of each voxel, and each lung's centre and semi-axes (zyx)."""
    z, y, x = axes
    edge = float(x.ravel()[1] - x.ravel()[0])
    width, depth = field_mm * rng.uniform(0.42, 0.46), field_mm * rng.uniform(0.33, 0.37)
    height = float(np.abs(z).max()) * rng.uniform(1.1, 1.5) + 5
    body = _ellipse(x, y, width, depth, edge)
    muscle = _ellipse(x, y, width * 0.93, depth * 0.91, edge)
    hu = np.broadcast_to(-1000 + body * 900 + muscle * 140, (z.size, y.size, x.size)).astype(np.float32)
    angle = np.arctan2(y / depth, x / width)
    ring = np.exp(-(((np.hypot(x / width, y / depth) - 0.86) / 0.025) ** 2))
    hu += 350 * ring * (np.cos(z / 12 + 2 * np.cos(angle)) > 0.6)
    hu += 260 * _ellipse(x, y - depth * 0.62, width * 0.13, depth * 0.16, edge)
    profile = np.sqrt(np.clip(1 - (z / height) ** 2, 0.05, 1))
    lungs = np.zeros_like(hu)
    boxes = []
    for side in (-1, 1):
        a, b = width * rng.uniform(0.33, 0.38), depth * rng.uniform(0.66, 0.74)
        center_x = side * width * rng.uniform(0.42, 0.45)
        lungs = np.maximum(
            lungs, _ellipse((x - center_x) / profile, (y + 0.02 * depth) / profile, a, b, edge)
        )
        boxes.append((np.array([0.0, -0.02 * depth, center_x]), np.array([height, b, a])))
    lungs = lungs.astype(np.float32)
    hu += lungs * (rng.uniform(-880, -820) - hu)
    return hu, lungs, boxes


def _vessel_tree(
    rng: np.random.Generator, center: FloatArray, semi_axes: FloatArray
) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Segments (start zyx mm, end zyx mm, radius mm) that branch out from the lung's hilum."""
    hilum = center - np.array([0, 0, np.sign(center[2]) * semi_axes[2] * 0.8])
    reach = float(semi_axes[2])
    branches = []
    for _ in range(7):
        target = center + rng.uniform(-0.85, 0.85, 3) * semi_axes
        start = hilum + np.array([rng.uniform(-0.6, 0.6) * semi_axes[0], 0, 0])
        heading = target - start
        branches.append((start, heading / np.linalg.norm(heading), rng.uniform(1.4, 2.2), 0.55 * reach))
    while branches:
        start, heading, radius, length = branches.pop()
        end = start + heading * length * rng.uniform(0.7, 1.3)
        yield start, end, radius
        if radius > 0.9:
            for _ in range(2):
                bent = heading + rng.normal(0, 0.45, 3)
                bent /= np.linalg.norm(bent)
                branches.append((end, bent, radius * rng.uniform(0.6, 0.8), length * 0.75))


def _draw_segment(
    vessels: Volume,
    axes: tuple[npt.NDArray[np.float32], ...],
    start: FloatArray,
    end: FloatArray,
    radius: float,
) -> None:
    """Raise the vessels' share of each voxel to that of a capsule between two points (zyx, mm)."""
    low, high = np.minimum(start, end) - radius - 2, np.maximum(start, end) + radius + 2
    box = tuple(
        slice(int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b)))
        for axis, a, b in zip(axes, low, high, strict=True)
    )
    if any(part.start >= part.stop for part in box):
        return
    z, y, x = (axis[part] for axis, part in zip(axes, box, strict=True))
    points = [z[:, None, None] - start[0], y[None, :, None] - start[1], x[None, None, :] - start[2]]
    line = end - start
    along = sum(p * c for p, c in zip(points, line, strict=True)) / max(float(line @ line), 1e-6)
    along = np.clip(along, 0, 1)
    squared = sum((p - along * c) ** 2 for p, c in zip(points, line, strict=True))
    share = np.clip((radius - np.sqrt(squared)) / 1.0 + 0.5, 0, 1)
    np.maximum(vessels[box], share, out=vessels[box], casting="same_kind")


def _correlated_noise(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, ...], hu: float
) -> Volume:
    """Gaussian noise smoothed over `sigma` voxels, with a standard deviation of `hu`."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return np.asarray(noise * (hu / noise.std()), dtype=np.float32)

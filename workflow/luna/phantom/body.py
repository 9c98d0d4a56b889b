"""A patient's chest without vessels and nodules: lungs, chest wall, mediastinum, diaphragm.

Everything is a function of the place in the body in mm, so that a whole chest and a small field of
view are the same patient seen through different grids. Sizes are those of adults (Gray's Anatomy),
each drawn anew for every patient; HU of tissues follow Hofer, CT Teaching Manual.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from luna.base.arrays import BoolArray, FloatArray, Volume
from luna.phantom.fields import Axes, depth_in_ellipsoid, ramp, smooth_field

AIR_HU, FAT_HU, MUSCLE_HU, BLOOD_HU = -1000.0, -100.0, 50.0, 40.0
CONTRAST_SHARE = 0.45
"""Share of the patients who were given contrast medium."""
THICKENED_SHARE, EMPHYSEMA_SHARE, HAZE_SHARE = 0.4, 0.15, 0.2
"""Shares of the patients with thickened pleura, emphysema and ground-glass areas; tuned on real CTs."""
WALL, MIDDLE, BELOW = 0, 1, 2
"""What lies behind the lung's surface: chest wall, mediastinum, diaphragm."""


@dataclass(frozen=True)
class Body:
    """A patient. Lengths in mm, points and semi-axes (z, y, x) in body coordinates.

    cage: centre and semi-axes of the space inside the ribs. middle, below: ellipsoids of the
    mediastinum and under the diaphragm. wall: thickness of the chest wall.
    """

    cage: tuple[FloatArray, FloatArray]
    middle: list[tuple[FloatArray, FloatArray]]
    below: list[tuple[FloatArray, FloatArray]]
    wall: float
    fat: float
    rib_period: float
    rib_slope: float
    rib_phase: float
    rib_size: tuple[float, float]
    cortex_hu: float
    marrow_hu: float
    blood_hu: float
    lung_hu: float
    scale: float

    @property
    def hila(self) -> FloatArray:
        """Where vessels and airways enter the right and the left lung, (2, 3) zyx."""
        return np.array([[-8.0, 8.0, -34.0], [-2.0, 8.0, 34.0]]) * self.scale


def draw_body(rng: np.random.Generator, scale: float = 1.0) -> Body:
    """Draw a patient; `scale` shrinks the whole body, for tests on small grids."""

    def about(*values: float) -> FloatArray:
        return np.array(values) * rng.uniform(0.86, 1.16, len(values)) * scale

    def near(*values: float) -> FloatArray:
        return (np.array(values) + rng.normal(0, 5, len(values))) * scale

    depth, width = about(90)[0], about(132)[0]
    tall = np.inf
    spine_y = 0.86 * depth / scale
    middle = [
        (near(0, 12, 0), np.array([tall, *about(58, 30)])),
        (near(0, -0.5 * spine_y, 0), np.array([tall, *about(60, 11)])),
        (near(0, spine_y, 0), np.array([tall, *about(27, 30)])),
        (near(0, 0.6 * spine_y, 22), np.array([tall, *about(14, 14)])),
        (near(42, 2, 14), about(15, 38, 22)),
        (near(-10, 8, -30), about(30, 22, 16)),
        (near(-4, 8, 30), about(28, 22, 16)),
        (near(-58, -22, 24), about(52, 46, 56)),
    ]
    below = [
        (near(-78 - 92 + rng.normal(0, 12), 6, -66), about(92, 100, 84)),
        (near(-90 - 92 + rng.normal(0, 12), 6, 66), about(92, 100, 84)),
    ]
    contrast = rng.random() < CONTRAST_SHARE
    return Body(
        cage=(near(-40, 0, 0), np.array([about(172)[0], depth, width])),
        middle=middle,
        below=below,
        wall=rng.uniform(24, 55) * scale,
        fat=rng.uniform(4, 24) * scale,
        rib_period=rng.uniform(20, 34) * scale,
        rib_slope=rng.uniform(0.2, 0.6),
        rib_phase=rng.uniform(0, 30) * scale,
        rib_size=(rng.uniform(3, 5.5) * scale, rng.uniform(4, 8) * scale),
        cortex_hu=rng.uniform(350, 1000),
        marrow_hu=rng.uniform(20, 280),
        blood_hu=rng.uniform(90, 320) if contrast else BLOOD_HU + rng.normal(0, 6),
        lung_hu=float(np.clip(rng.normal(-860, 35), -940, -760)),
        scale=scale,
    )


@dataclass(frozen=True)
class Tissue:
    """A body seen through a grid, before anything is drawn into its lungs.

    hu: float32. depth: mm from the lungs' surface, positive inside, float32.
    """

    hu: Volume
    depth: Volume


def lung_depth(body: Body, axes: Axes) -> tuple[Volume, npt.NDArray[np.uint8]]:
    """Distance to the lungs' surface in mm, positive inside, and what lies behind it (WALL, ...), uint8."""
    depth = depth_in_ellipsoid(axes, *body.cage)
    behind = np.zeros(depth.shape, dtype=np.uint8)
    for kind, ellipsoids in ((MIDDLE, body.middle), (BELOW, body.below)):
        for ellipsoid in ellipsoids:
            outside = -depth_in_ellipsoid(axes, *ellipsoid)
            nearer = outside < depth
            np.copyto(behind, kind, where=nearer)
            np.minimum(depth, outside, out=depth)
    return depth, behind


class _Solid(NamedTuple):
    """Voxels outside the lungs, each field float32 (n,).

    z, y, x: place in mm. behind: mm behind the lungs' surface. coarse, fine: random fields that change
    over about 13 and 5 mm.
    """

    z: Volume
    y: Volume
    x: Volume
    behind: Volume
    coarse: Volume
    fine: Volume

    def where(self, chosen: BoolArray) -> "_Solid":
        return _Solid(*(values[chosen] for values in self))


def draw_tissue(rng: np.random.Generator, body: Body, axes: Axes) -> Tissue:
    """Draw all tissues of a body."""
    depth, behind = lung_depth(body, axes)
    scale = body.scale
    depth += np.float32(2.5 * scale) * smooth_field(rng, axes, 22 * scale)
    depth += np.float32(rng.uniform(0, 0.6) * scale) * smooth_field(rng, axes, 4.5 * scale)
    if rng.random() < THICKENED_SHARE:
        patch = smooth_field(rng, axes, 14 * scale) - np.float32(1.2)
        depth -= np.float32(rng.uniform(1, 5) * scale) * np.clip(patch, 0, 1)
    hu = _parenchyma(rng, body, axes)
    edge = float(axes.spacing[2])
    outside = depth < edge
    coarse, fine = smooth_field(rng, axes, 13 * scale), smooth_field(rng, axes, 5 * scale)
    z, y, x = (np.broadcast_to(axis, depth.shape)[outside] for axis in axes)
    solid = _Solid(z, y, x, -depth[outside], coarse[outside], fine[outside])
    values = np.empty(solid.z.shape, dtype=np.float32)
    kinds = behind[outside]
    for kind, tissue in ((WALL, _wall), (MIDDLE, _mediastinum), (BELOW, _abdomen)):
        chosen = kinds == kind
        values[chosen] = tissue(body, solid.where(chosen))
    _draw_spine(body, solid, values)
    _draw_outside(body, solid, values)
    hu[outside] = values + ramp(-solid.behind, edge) * (hu[outside] - values)
    return Tissue(hu, depth)


def _parenchyma(rng: np.random.Generator, body: Body, axes: Axes) -> Volume:
    """The lungs' own tissue: denser towards the back, uneven; some with emphysema or haze."""
    hu = np.full(axes.shape, body.lung_hu, dtype=np.float32)
    hu += np.float32(rng.uniform(0, 0.35) / body.scale) * axes.y
    for shortest, longest in ((5, 15), (1.8, 4)):
        amount = rng.gamma(2, 8)
        hu += np.float32(amount) * smooth_field(rng, axes, rng.uniform(shortest, longest) * body.scale)
    if rng.random() < EMPHYSEMA_SHARE:
        holes = smooth_field(rng, axes, rng.uniform(3, 7) * body.scale) - np.float32(rng.uniform(0.6, 1.4))
        hu += np.clip(holes * 3, 0, 1) * (-965 - hu)
    if rng.random() < HAZE_SHARE:
        haze = smooth_field(rng, axes, rng.uniform(8, 25) * body.scale) - np.float32(rng.uniform(0.4, 1.4))
        hu += np.float32(rng.uniform(80, 450)) * np.clip(haze / np.float32(rng.uniform(0.3, 1)), 0, 1)
    return hu


def _wall(body: Body, place: _Solid) -> Volume:
    """Chest wall: muscle between the ribs, then layers and islands of muscle and fat."""
    scale, behind = body.scale, place.behind
    fat = (place.coarse + (behind / scale - 16) / 14 > 0.5) & (behind > 9 * scale)
    thin = (behind < 2.5 * scale) & (place.coarse > 0.4)
    hu = np.where(fat | thin, np.float32(FAT_HU), np.float32(MUSCLE_HU)) + 8 * place.fine
    along = place.z - body.rib_slope * place.y + body.rib_phase
    off = np.mod(along, body.rib_period) - body.rib_period / 2
    thick, high = body.rib_size
    radius = np.hypot((behind - thick - 1.5 * scale) / thick, off / high) + 0.06 * place.fine
    # The front ends of the ribs are cartilage.
    bone = place.y > -0.55 * body.cage[1][1]
    cortex = np.where(bone, body.cortex_hu, 130)
    marrow = np.where(bone, body.marrow_hu, 90)
    hu = np.where(radius < 1, cortex, hu)
    return np.asarray(np.where(radius < 0.62, marrow, hu), dtype=np.float32)


def _mediastinum(body: Body, place: _Solid) -> Volume:
    """Soft tissue with fat, blood in heart and vessels."""
    hu = np.where(place.coarse > 0.35, np.float32(FAT_HU), np.float32(MUSCLE_HU - 10)) + 10 * place.fine
    for center, semi_axes in (body.middle[3], body.middle[4], *body.middle[5:]):
        inside = _depth_at(place, center, semi_axes)
        hu = np.where(inside > 2 * body.scale, np.float32(body.blood_hu), hu)
    return np.asarray(hu, dtype=np.float32)


def _abdomen(body: Body, place: _Solid) -> Volume:
    """Under the diaphragm: liver on the right; on the left spleen, fat and a stomach with gas."""
    organ = np.float32(55 if body.blood_hu < 80 else 100)
    left = place.x > 10 * body.scale
    hu = np.where(left & (place.coarse > 0.5), np.float32(FAT_HU), organ) + 6 * place.fine
    gas = left & (place.coarse < -1.1) & (place.behind > 9 * body.scale)
    return np.asarray(np.where(gas, np.float32(-950), hu), dtype=np.float32)


def _draw_spine(body: Body, place: _Solid, hu: Volume) -> None:
    """Vertebral bodies with discs between them, canal and arch, in place."""
    scale, (_, middle_y, middle_x) = body.scale, body.middle[2][0]
    y, x = place.y - np.float32(middle_y), place.x - np.float32(middle_x)
    near = np.flatnonzero((np.abs(x) < 25 * scale) & (y > -20 * scale) & (y < 50 * scale))
    if not len(near):
        return
    y, x, fine, level = y[near], x[near], place.fine[near], np.mod(place.z[near], 24 * scale)
    spine = hu[near]
    radius = np.hypot(y / (15 * scale), x / (18 * scale)) + 0.04 * fine
    disc = level < 5 * scale
    trabecular = np.where(disc, 80, 150 + 25 * fine)
    np.copyto(spine, np.where(radius < 0.86, trabecular, np.where(disc, 90, 420)), where=radius < 1)
    arch = np.hypot((y - 26 * scale) / (14 * scale), x / (17 * scale)) + 0.08 * fine
    np.copyto(spine, 380, where=(arch < 1) & (radius > 1.05) & (level > 6 * scale))
    np.copyto(spine, 25, where=np.hypot(y - 25 * scale, x) < 8 * scale)
    hu[near] = spine


def _draw_outside(body: Body, place: _Solid, hu: Volume) -> None:
    """Fat under the skin, skin, and the air around the body, in place."""
    center, semi_axes = body.cage
    trunk = np.array([np.inf, semi_axes[1] + body.wall, semi_axes[2] + body.wall])
    inside = _depth_at(place, center, trunk)
    np.copyto(hu, FAT_HU + 6 * place.fine, where=inside < body.fat)
    np.copyto(hu, 20, where=inside < 1.8 * body.scale)
    np.copyto(hu, AIR_HU, where=inside < 0)


def _depth_at(place: _Solid, center: FloatArray, semi_axes: FloatArray) -> Volume:
    return depth_in_ellipsoid(Axes(place.z, place.y, place.x), center, semi_axes)

"""A body's tissues on a grid: lung, wall with ribs, mediastinum, abdomen, spine, skin.

HU of tissues are textbook values, varied as real CTs do.
"""

from dataclasses import dataclass

import numpy as np

from luna.base.arrays import BoolArray, Volume
from luna.phantom.body import BELOW, MIDDLE, WALL, Body, lung_depth
from luna.phantom.fields import Axes, ramp, smooth_field
from luna.phantom.skeleton import draw_skeleton
from luna.phantom.solid import Solid

AIR_HU, FAT_HU, MUSCLE_HU = -1000.0, -100.0, 50.0
CARTILAGE_HU, CARTILAGE_CORE_HU = 130, 90
LIVER_HU, LIVER_WITH_CONTRAST_HU, GAS_HU, SKIN_HU = 55, 100, -950, 20
EMPHYSEMA_HU = -965
THICKENED_SHARE, EMPHYSEMA_SHARE, HAZE_SHARE = 0.4, 0.15, 0.2
"""Shares of the patients with thickened pleura, emphysema and ground-glass areas; tuned on real CTs."""
BUMPS_MM, BUMP_LENGTH_MM = 2.5, 22
"""Height of the surface's bumps, and over how many mm they change."""
ROUGHNESS_MM, ROUGHNESS_LENGTH_MM = (0, 0.6), 4.5
THICKENING_MM, THICKENING_LENGTH_MM = (1, 5), 14
UNEVEN_LENGTHS_MM = ((5, 15), (1.8, 4))
"""The lung's tissue varies over lengths in these ranges."""
HAZE_HU, HAZE_LENGTH_MM = (80, 450), (8, 25)
HAZE_LEVEL, HAZE_EDGE = (0.4, 1.4), (0.3, 1)
"""Haze begins where a random field exceeds the first, and is full by the second more."""
EMPHYSEMA_LENGTH_MM, EMPHYSEMA_LEVEL = (3, 7), (0.6, 1.4)
"""Size of the holes, and the value of a random field at which they begin."""
UNEVEN_HU = 16.0
"""Mean of a gamma distribution of shape 2."""
DENSER_TO_THE_BACK = (0, 0.35)
"""HU a mm."""
COARSE_MM, FINE_MM = 13, 5
"""Lengths over which muscle and fat, and the HU within them, change."""
RIB_BEHIND_MM = 1.5
"""Tissue between the lung and a rib."""
MARROW_REACH = 0.62
"""Where in a rib's section the marrow ends, in radii."""
SHOULDER_MM, SHOULDER_LEVEL_MM = 45, 30
"""How far shoulders stand out, and the height above which they do."""
TABLE_HU, TABLE_INSIDE_HU, TABLE_MM, TABLE_WIDTH_MM, TABLE_RADIUS_MM = -450, -930, (1.5, 24), 210, 500
"""The scanner's table: its shell and its foam, thickness of the shell and of both, half its width, and the
radius of its curve."""


@dataclass(frozen=True)
class Tissue:
    """A body seen through a grid, before anything is drawn into its lungs.

    hu: float32. depth: mm from the lungs' surface, positive inside, float32.
    """

    hu: Volume
    depth: Volume


def draw_tissue(rng: np.random.Generator, body: Body, axes: Axes) -> Tissue:
    """Draw all tissues of a body."""
    depth, behind = lung_depth(body, axes)
    scale = body.scale
    depth += np.float32(BUMPS_MM * scale) * smooth_field(rng, axes, BUMP_LENGTH_MM * scale)
    roughness = np.float32(rng.uniform(*ROUGHNESS_MM) * scale)
    depth += roughness * smooth_field(rng, axes, ROUGHNESS_LENGTH_MM * scale)
    if rng.random() < THICKENED_SHARE:
        patch = smooth_field(rng, axes, THICKENING_LENGTH_MM * scale) - np.float32(1.2)
        depth -= np.float32(rng.uniform(*THICKENING_MM) * scale) * np.clip(patch, 0, 1)
    hu = _parenchyma(rng, body, axes)
    edge = float(axes.spacing[2])
    outside = depth < edge
    coarse, fine = (smooth_field(rng, axes, length * scale) for length in (COARSE_MM, FINE_MM))
    z, y, x = (np.broadcast_to(axis, depth.shape)[outside] for axis in axes)
    solid = Solid(z, y, x, -depth[outside], coarse[outside], fine[outside])
    values = np.empty(solid.z.shape, dtype=np.float32)
    kinds = behind[outside]
    for kind, tissue in ((WALL, _wall), (MIDDLE, _mediastinum), (BELOW, _abdomen)):
        chosen = kinds == kind
        values[chosen] = tissue(body, solid.where(chosen))
    draw_skeleton(body, solid, values)
    _draw_outside(body, solid, values)
    hu[outside] = values + ramp(-solid.behind, edge) * (hu[outside] - values)
    return Tissue(hu, depth)


def _parenchyma(rng: np.random.Generator, body: Body, axes: Axes) -> Volume:
    """The lungs' own tissue: denser towards the back, uneven; some with emphysema or haze."""
    hu = np.full(axes.shape, body.lung_hu, dtype=np.float32)
    hu += np.float32(rng.uniform(*DENSER_TO_THE_BACK) / body.scale) * axes.y
    for shortest, longest in UNEVEN_LENGTHS_MM:
        amount = rng.gamma(2, UNEVEN_HU / 2)
        hu += np.float32(amount) * smooth_field(rng, axes, rng.uniform(shortest, longest) * body.scale)
    if rng.random() < EMPHYSEMA_SHARE:
        field = smooth_field(rng, axes, rng.uniform(*EMPHYSEMA_LENGTH_MM) * body.scale)
        holes = field - np.float32(rng.uniform(*EMPHYSEMA_LEVEL))
        hu += np.clip(holes * 3, 0, 1) * (EMPHYSEMA_HU - hu)
    if rng.random() < HAZE_SHARE:
        field = smooth_field(rng, axes, rng.uniform(*HAZE_LENGTH_MM) * body.scale)
        haze = field - np.float32(rng.uniform(*HAZE_LEVEL))
        hu += np.float32(rng.uniform(*HAZE_HU)) * np.clip(haze / np.float32(rng.uniform(*HAZE_EDGE)), 0, 1)
    return hu


def _wall(body: Body, place: Solid) -> Volume:
    """Chest wall: muscle between the ribs, then layers and islands of muscle and fat."""
    scale, behind = body.scale, place.behind
    fat = (place.coarse + (behind / scale - 16) / 14 > 0.5) & (behind > 9 * scale)
    thin = (behind < 2.5 * scale) & (place.coarse > 0.4)
    hu = np.where(fat | thin, np.float32(FAT_HU), np.float32(MUSCLE_HU)) + 8 * place.fine
    along = place.z - body.rib_slope * place.y + body.rib_phase
    off = np.mod(along, body.rib_period) - body.rib_period / 2
    thick, high = body.rib_size
    radius = np.hypot((behind - thick - RIB_BEHIND_MM * scale) / thick, off / high) + 0.06 * place.fine
    # The front ends of the ribs are cartilage.
    bone = place.y > -0.55 * body.cage.semi_axes[1]
    cortex = np.where(bone, body.cortex_hu, CARTILAGE_HU)
    marrow = np.where(bone, body.marrow_hu, CARTILAGE_CORE_HU)
    hu = np.where(radius < 1, cortex, hu)
    return np.asarray(np.where(radius < MARROW_REACH, marrow, hu), dtype=np.float32)


def _mediastinum(body: Body, place: Solid) -> Volume:
    """Soft tissue with fat, blood in heart and vessels."""
    hu = np.where(place.coarse > 0.35, np.float32(FAT_HU), np.float32(MUSCLE_HU - 10)) + 10 * place.fine
    for center, semi_axes in body.middle.blood:
        inside = place.depth_in(center, semi_axes)
        hu = np.where(inside > 2 * body.scale, np.float32(body.blood_hu), hu)
    return np.asarray(hu, dtype=np.float32)


def _abdomen(body: Body, place: Solid) -> Volume:
    """Under the diaphragm: liver on the right; on the left spleen, fat and a stomach with gas."""
    organ = np.float32(LIVER_HU if body.blood_hu < 80 else LIVER_WITH_CONTRAST_HU)
    left = place.x > 10 * body.scale
    hu = np.where(left & (place.coarse > 0.5), np.float32(FAT_HU), organ) + 6 * place.fine
    gas = left & (place.coarse < -1.1) & (place.behind > 9 * body.scale)
    return np.asarray(np.where(gas, np.float32(GAS_HU), hu), dtype=np.float32)


def _draw_outside(body: Body, place: Solid, hu: Volume) -> None:
    """Fat under the skin, skin, and the air and the table around the body, in place."""
    center, semi_axes = body.cage
    trunk = np.array([np.inf, semi_axes[1] + body.wall, semi_axes[2] + body.wall])
    inside = place.depth_in(center, trunk)
    sideways = np.minimum(np.abs(place.x - np.float32(center[2])) / np.float32(trunk[2]), 1)
    height = np.clip((place.z / body.scale - SHOULDER_LEVEL_MM) / 60, 0, 1)
    inside += np.float32(SHOULDER_MM * body.scale) * height * sideways**2
    np.copyto(hu, FAT_HU + 6 * place.fine, where=inside < body.skin_fat)
    np.copyto(hu, SKIN_HU, where=inside < 1.8 * body.scale)
    np.copyto(hu, AIR_HU, where=inside < 0)
    _draw_table(body, place, hu, inside < 0)


def _draw_table(body: Body, place: Solid, hu: Volume, air: BoolArray) -> None:
    """The table that the patient lies on, as far as there is air, in place."""
    scale, (_, y, x) = body.scale, body.cage.center
    back = y + body.cage.semi_axes[1] + body.wall
    off = place.x - np.float32(x)
    under = place.y - np.float32(back) + off**2 / np.float32(2 * TABLE_RADIUS_MM * scale)
    shell, thickness = (size * scale for size in TABLE_MM)
    table = air & (np.abs(off) < TABLE_WIDTH_MM * scale) & (under > 0) & (under < thickness)
    np.copyto(hu, TABLE_INSIDE_HU, where=table)
    np.copyto(hu, TABLE_HU, where=table & ((under < shell) | (under > thickness - shell)))

"""Spine, breastbone and shoulder blades; the ribs belong to the chest wall's tissue."""

import numpy as np

from luna.base.arrays import Volume
from luna.phantom.body import Body
from luna.phantom.solid import Solid

DISC_HU, VERTEBRA_HU, VERTEBRA_CORTEX_HU, ARCH_HU, CANAL_HU = 80, 150, 420, 380, 25
VERTEBRA_MM, VERTEBRA_SIZE_MM, DISC_MM = 24, (15, 18), 5
"""Height of a vertebra with its disc, semi-axes of its section (y, x), height of the disc."""
STERNUM_MM, STERNUM_ENDS_MM, STERNUM_DEPTH_MM = (6, 19), (-70, 75), 5
"""Semi-axes of the breastbone's section (y, x), its lower and upper end, how far it lies before the cage."""
SCAPULA_MM, SCAPULA_ENDS_MM = (15, 21), (-10, 95)
"""Shoulder blades: between which distances behind the lung they lie, their lower and upper end."""
SCAPULA_ANGLES = (0.45, 1.25)
"""Where a shoulder blade lies at its upper end, in radians from the back; it narrows downwards."""


def draw_skeleton(body: Body, place: Solid, hu: Volume) -> None:
    """Draw the bones into the HU (n,) of voxels outside the lungs, in place."""
    _draw_spine(body, place, hu)
    _draw_sternum(body, place, hu)
    _draw_scapulae(body, place, hu)


def _draw_spine(body: Body, place: Solid, hu: Volume) -> None:
    """Vertebral bodies with discs between them, canal and arch, in place."""
    scale, (_, middle_y, middle_x) = body.scale, body.middle.spine.center
    y, x = place.y - np.float32(middle_y), place.x - np.float32(middle_x)
    near = np.flatnonzero((np.abs(x) < 25 * scale) & (y > -20 * scale) & (y < 50 * scale))
    if not len(near):
        return
    y, x, fine, level = y[near], x[near], place.fine[near], np.mod(place.z[near], VERTEBRA_MM * scale)
    spine = hu[near]
    radius = np.hypot(y / (VERTEBRA_SIZE_MM[0] * scale), x / (VERTEBRA_SIZE_MM[1] * scale)) + 0.04 * fine
    disc = level < DISC_MM * scale
    trabecular = np.where(disc, DISC_HU, VERTEBRA_HU + 25 * fine)
    np.copyto(
        spine,
        np.where(radius < 0.86, trabecular, np.where(disc, DISC_HU + 10, VERTEBRA_CORTEX_HU)),
        where=radius < 1,
    )
    arch = np.hypot((y - 26 * scale) / (14 * scale), x / (17 * scale)) + 0.08 * fine
    np.copyto(spine, ARCH_HU, where=(arch < 1) & (radius > 1.05) & (level > 6 * scale))
    np.copyto(spine, CANAL_HU, where=np.hypot(y - 25 * scale, x) < 8 * scale)
    hu[near] = spine


def _draw_sternum(body: Body, place: Solid, hu: Volume) -> None:
    scale, (_, y, x) = body.scale, body.cage.center
    front = y - body.cage.semi_axes[1] - STERNUM_DEPTH_MM * scale
    high, wide = STERNUM_MM
    radius = np.hypot((place.y - front) / (high * scale), (place.x - x) / (wide * scale)) + 0.06 * place.fine
    low, top = STERNUM_ENDS_MM
    bone = (radius < 1) & (place.z > low * scale) & (place.z < top * scale)
    np.copyto(hu, np.where(radius < 0.7, body.marrow_hu, body.cortex_hu), where=bone)


def _draw_scapulae(body: Body, place: Solid, hu: Volume) -> None:
    """Plates that follow the back of the chest wall, right and left."""
    scale, (_, y, x) = body.scale, body.cage.center
    low, top = SCAPULA_ENDS_MM
    level = (place.z / scale - low) / (top - low)
    angle = np.arctan2(np.abs(place.x - np.float32(x)), place.y - np.float32(y))
    begin, end = SCAPULA_ANGLES
    inner, outer = (limit * scale for limit in SCAPULA_MM)
    plate = (level > 0) & (level < 1) & (angle > begin) & (angle < begin + (end - begin) * level)
    plate &= (place.behind > inner) & (place.behind < outer)
    rim = np.minimum(place.behind - inner, outer - place.behind)
    np.copyto(hu, np.where(rim > 1.8 * scale, body.marrow_hu, body.cortex_hu), where=plate)

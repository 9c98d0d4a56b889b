"""A patient's chest as shapes: lungs, chest wall, mediastinum, diaphragm.

Everything is a function of the place in the body in mm (z up, y to the back, x to the patient's left,
from the middle of the chest), so that a whole chest and a small field of view are the same patient seen
through different grids. Sizes are those of an adult, chosen by eye beside real CTs, and vary from patient
to patient.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from luna.base.arrays import FloatArray, Volume
from luna.phantom.fields import Axes, depth_in_ellipsoid

WALL, MIDDLE, BELOW = 0, 1, 2
"""What lies behind the lung's surface: chest wall, mediastinum, diaphragm."""
BLOOD_HU, BLOOD_SPREAD_HU = 40.0, 6.0
CONTRAST_SHARE, CONTRAST_HU = 0.45, (90, 320)
"""Share of the patients who were given contrast medium, and the HU of their blood."""
LUNG_HU, LUNG_SPREAD_HU, LUNG_LIMITS_HU = -860, 35, (-940, -760)
CORTEX_HU, MARROW_HU = (350, 1000), (20, 280)
SIZES, PLACE_SPREAD_MM = (0.86, 1.16), 5.0
"""Factors between which sizes vary, and how far organs lie from their usual place."""
CAGE_HEIGHT_MM, CAGE_DEPTH_MM, CAGE_WIDTH_MM, CAGE_Z_MM = 172, 90, 132, -40
"""Semi-axes of the space inside the ribs, and the height of its middle."""
DOME_TOPS_MM, DOME_SPREAD_MM, DOME_MM = (-78, -90), 12, (92, 100, 84)
"""Heights of the diaphragm's domes, right and left, and their semi-axes."""
WALL_MM, SKIN_FAT_MM = (24, 55), (4, 24)
RIB_PERIOD_MM, RIB_SLOPE, RIB_THICKNESS_MM, RIB_HEIGHT_MM = (20, 34), (0.2, 0.6), (3, 5.5), (4, 8)
"""From rib to rib; how much lower a rib is in front, in mm a mm; semi-axes of its section."""
HILA_MM = ((-8, 8, -34), (-2, 8, 34))
_SPINE_DEPTH = 0.86
"""Where the spine lies, in semi-axes of the cage behind its middle."""


Draw = Callable[..., FloatArray]
"""Draws sizes or places about usual ones."""


class Ellipsoid(NamedTuple):
    """Centre and semi-axes (z, y, x) in mm; an infinite semi-axis makes a cylinder."""

    center: FloatArray
    semi_axes: FloatArray


@dataclass(frozen=True)
class Mediastinum:
    """What lies between the lungs."""

    trunk: Ellipsoid
    septum: Ellipsoid
    spine: Ellipsoid
    aorta: Ellipsoid
    arch: Ellipsoid
    right_hilum: Ellipsoid
    left_hilum: Ellipsoid
    heart: Ellipsoid

    @property
    def all(self) -> list[Ellipsoid]:
        """Every part."""
        return [getattr(self, name) for name in self.__dataclass_fields__]

    @property
    def blood(self) -> list[Ellipsoid]:
        """The parts that are filled with blood."""
        return [self.aorta, self.arch, self.right_hilum, self.left_hilum, self.heart]


@dataclass(frozen=True)
class Body:
    """A patient. Lengths in mm.

    cage: the space inside the ribs. domes: of the diaphragm, right and left. wall: thickness of the chest
    wall. skin_fat: of the fat under the skin. rib_slope: how much lower ribs are in front, in mm a mm.
    scale: size of the body, 1 for an adult's.
    """

    cage: Ellipsoid
    middle: Mediastinum
    domes: list[Ellipsoid]
    wall: float
    skin_fat: float
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
        return np.array(HILA_MM, dtype=float) * self.scale


def draw_body(rng: np.random.Generator, scale: float = 1.0) -> Body:
    """Draw a patient; `scale` shrinks the whole body, for tests on small grids."""

    def about(*values: float) -> FloatArray:
        return np.array(values) * rng.uniform(*SIZES, len(values)) * scale

    def near(*values: float) -> FloatArray:
        return (np.array(values) + rng.normal(0, PLACE_SPREAD_MM, len(values))) * scale

    def between(limits: tuple[float, float]) -> float:
        return rng.uniform(*limits) * scale

    depth, width = about(CAGE_DEPTH_MM)[0], about(CAGE_WIDTH_MM)[0]
    middle = _draw_mediastinum(about, near, _SPINE_DEPTH * depth / scale)
    domes = [
        Ellipsoid(near(top - DOME_MM[0] + rng.normal(0, DOME_SPREAD_MM), 6, x), about(*DOME_MM))
        for top, x in zip(DOME_TOPS_MM, (-66, 66), strict=True)
    ]
    contrast = rng.random() < CONTRAST_SHARE
    return Body(
        cage=Ellipsoid(near(CAGE_Z_MM, 0, 0), np.array([about(CAGE_HEIGHT_MM)[0], depth, width])),
        middle=middle,
        domes=domes,
        wall=between(WALL_MM),
        skin_fat=between(SKIN_FAT_MM),
        rib_period=between(RIB_PERIOD_MM),
        rib_slope=rng.uniform(*RIB_SLOPE),
        rib_phase=between((0, 30)),
        rib_size=(between(RIB_THICKNESS_MM), between(RIB_HEIGHT_MM)),
        cortex_hu=rng.uniform(*CORTEX_HU),
        marrow_hu=rng.uniform(*MARROW_HU),
        blood_hu=rng.uniform(*CONTRAST_HU) if contrast else BLOOD_HU + rng.normal(0, BLOOD_SPREAD_HU),
        lung_hu=float(np.clip(rng.normal(LUNG_HU, LUNG_SPREAD_HU), *LUNG_LIMITS_HU)),
        scale=scale,
    )


def _draw_mediastinum(about: Draw, near: Draw, spine_y: float) -> Mediastinum:
    def column(y: float, x: float, *semi_axes: float) -> Ellipsoid:
        return Ellipsoid(near(0, y, x), np.array([np.inf, *about(*semi_axes)]))

    return Mediastinum(
        trunk=column(12, 0, 58, 30),
        septum=column(-0.5 * spine_y, 0, 60, 11),
        spine=column(spine_y, 0, 27, 30),
        aorta=column(0.6 * spine_y, 22, 14, 14),
        arch=Ellipsoid(near(42, 2, 14), about(15, 38, 22)),
        right_hilum=Ellipsoid(near(-10, 8, -30), about(30, 22, 16)),
        left_hilum=Ellipsoid(near(-4, 8, 30), about(28, 22, 16)),
        heart=Ellipsoid(near(-58, -22, 24), about(52, 46, 56)),
    )


def lung_depth(body: Body, axes: Axes) -> tuple[Volume, npt.NDArray[np.uint8]]:
    """Distance to the lungs' surface in mm, positive inside, and what lies behind it (WALL, ...), uint8."""
    depth = depth_in_ellipsoid(axes, *body.cage)
    behind = np.zeros(depth.shape, dtype=np.uint8)
    for kind, ellipsoids in ((MIDDLE, body.middle.all), (BELOW, body.domes)):
        for ellipsoid in ellipsoids:
            outside = -depth_in_ellipsoid(axes, *ellipsoid)
            nearer = outside < depth
            np.copyto(behind, kind, where=nearer)
            np.minimum(depth, outside, out=depth)
    return depth, behind

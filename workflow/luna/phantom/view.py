"""Which part of a body a CT shows, and how finely."""

import numpy as np

from luna.base.arrays import FloatArray
from luna.config.cache import CropSettings
from luna.config.phantom import PhantomSettings
from luna.imaging.geometry import Grid
from luna.phantom.body import Body, lung_depth
from luna.phantom.fields import Axes

PIXEL_MM = (0.55, 0.85)
SLICE_MM, SLICE_SPREAD, THINNEST_MM, THICKEST_MM = 1.25, 0.3, 0.7, 2.5
"""Slice spacing: median and logarithmic spread of a lognormal distribution, and its limits."""
FIELD_OF_VIEW_MM, CHEST_HEIGHT_MM = (320, 400), 290
LEAST_LUNG = 0.25
"""Share of a part's view that is lung."""
_LATTICE_MM, _ATTEMPTS = 6.0, 100
_FLIPPED = np.diag([-1.0, -1.0, 1.0])
_FLIPPED_SHARE = 0.2
"""Share of the CTs whose rows and columns run the other way, as for a patient who lay on the belly."""


def body_scale(settings: PhantomSettings) -> float:
    """Size of the body: life-size, but smaller in a whole chest of few columns."""
    return 1.0 if settings.view == "part" else float(np.interp(settings.size, [64, 512], [0.3, 1]))


def choose_view(rng: np.random.Generator, settings: PhantomSettings, body: Body) -> tuple[Axes, Grid]:
    """The CT's grid, and its voxels in body coordinates."""
    if settings.view == "part":
        pixel = rng.uniform(*PIXEL_MM)
        thickness = np.clip(rng.lognormal(np.log(SLICE_MM), SLICE_SPREAD), THINNEST_MM, THICKEST_MM)
        slices = settings.slices
        middle = _place_in_lungs(rng, body, np.array([slices * thickness, *[settings.size * pixel] * 2]))
    else:
        slices = max(12, round(settings.slices * rng.uniform(0.8, 1.2)))
        pixel = rng.uniform(*FIELD_OF_VIEW_MM) * body.scale / settings.size
        thickness = CHEST_HEIGHT_MM * body.scale / slices
        middle = (
            body.cage.center + np.array([rng.normal(0, 8), rng.normal(0, 12), rng.normal(0, 12)]) * body.scale
        )
    spacing = np.array([pixel, pixel, thickness]).round(6)
    direction = _FLIPPED if rng.random() < _FLIPPED_SHARE else np.eye(3)
    shape = np.array([slices, settings.size, settings.size])
    steps = (direction @ spacing)[::-1]
    corner = middle - steps * (shape - 1) / 2
    z, y, x = (
        (first + step * np.arange(count)).astype(np.float32)
        for first, step, count in zip(corner, steps, shape, strict=True)
    )
    # Scanners count from the table, not from the body's middle.
    shift = np.array([rng.normal(0, 20), rng.normal(0, 20), rng.uniform(-400, 200)])
    grid = Grid((corner[::-1] + shift).round(6), spacing, direction)
    return Axes.of(z, y, x), grid


def margin_of(settings: PhantomSettings, axes: Axes) -> tuple[int, int, int]:
    """Voxels at the CT's faces in which there are no nodules and no candidates.

    Where the view ends within the lungs, crops would show that it does: half a crop is kept free, but
    less in CTs hardly larger than a crop.
    """
    if settings.view == "chest":
        return axes.shape[0] // 6, 0, 0
    slices, rows, columns = (
        min(crop // 2, max(2, (count - crop) * 2 // 5))
        for count, crop in zip(axes.shape, CropSettings().crop, strict=True)
    )
    return slices, rows, columns


def _place_in_lungs(rng: np.random.Generator, body: Body, field_mm: FloatArray) -> FloatArray:
    """A point (z, y, x) in mm in the lungs; the field of view around it holds some lung where one can.

    Of all such places each is as likely as any other.
    """
    lines = [
        np.arange(middle - reach, middle + reach, _LATTICE_MM, dtype=np.float32)
        for middle, reach in zip(*body.cage, strict=True)
    ]
    axes = Axes.of(*lines)
    inside = lung_depth(body, axes)[0] > 0
    places = np.argwhere(inside)
    place = axes.at(places[rng.integers(len(places))])
    for _attempt in range(_ATTEMPTS):
        lung = inside[axes.box(place - field_mm / 2, place + field_mm / 2)].sum() * _LATTICE_MM**3
        if lung >= LEAST_LUNG * np.prod(field_mm):
            break
        place = axes.at(places[rng.integers(len(places))])
    return np.asarray(place + rng.uniform(-_LATTICE_MM / 2, _LATTICE_MM / 2, 3))

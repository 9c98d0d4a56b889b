"""A nodule's outline has its size and its place, without vessels and walls."""

import numpy as np
import pytest
from scipy import ndimage

from luna.imaging.outline import outline

SHAPE, SPACING = (40, 90, 90), np.array([1.25, 0.7, 0.7])
PLACES = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
CENTER = np.array([20, 44, 46])


def drawn(*parts: tuple[np.ndarray, float]) -> np.ndarray:
    """Lung with parts of some HU, blurred as by a scanner."""
    hu = np.full(SHAPE, -860.0)
    for mask, value in parts:
        hu[mask] = value
    return ndimage.gaussian_filter(hu, 0.6 / SPACING)


def ball(diameter: float, center: np.ndarray = CENTER) -> np.ndarray:
    return np.linalg.norm((PLACES - center) * SPACING, axis=-1) < diameter / 2


def vessel(width: float) -> np.ndarray:
    """Along a row, through the middle."""
    return np.linalg.norm(((PLACES - CENTER) * SPACING)[..., :2], axis=-1) < width / 2


def diameter_of(mask: np.ndarray) -> float:
    return float((6 * mask.sum() * SPACING.prod() / np.pi) ** (1 / 3))


@pytest.mark.parametrize("value", [40, -600])
@pytest.mark.parametrize("diameter", [6, 12, 24])
def test_size_and_place(diameter: float, value: float) -> None:
    found = outline(
        drawn((ball(diameter), value)), np.ones(SHAPE, bool), CENTER + np.array([1, 1, -2]), SPACING
    )
    # Outlines lie far out, as readers draw them.
    assert diameter_of(found.mask) == pytest.approx(diameter + 0.6, abs=1.0)
    middle = np.argwhere(found.mask).mean(axis=0) + found.start
    assert np.abs((middle - CENTER) * SPACING).max() < 0.7


def test_a_vessel_through_it_is_cut_off() -> None:
    hu = drawn((vessel(3), 40), (ball(12), 40))
    mask = outline(hu, np.ones(SHAPE, bool), CENTER, SPACING).mask
    assert diameter_of(mask) == pytest.approx(12.6, abs=1.2)


def test_a_wall_beside_it_is_left_out() -> None:
    wall = PLACES[..., 1] > CENTER[1] + 6
    hu = drawn((wall, 40), (ball(12), 40))
    mask = outline(hu, ~wall, CENTER, SPACING).mask
    assert diameter_of(mask) < 12.6


def test_at_a_corner_of_the_scan_and_in_nothing() -> None:
    corner = outline(
        drawn((ball(8, np.array([0, 0, 0])), 40)), np.ones(SHAPE, bool), np.zeros(3, int), SPACING
    )
    assert corner.mask.any()
    nothing = outline(np.full(SHAPE, -860.0), np.ones(SHAPE, bool), CENTER, SPACING)
    assert nothing.mask.sum() >= 1

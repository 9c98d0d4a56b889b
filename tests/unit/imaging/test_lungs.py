"""The lungs of whole chests and of parts are found, with what hangs on their walls."""

import numpy as np
import pytest

from luna.imaging.lungs import find_lungs

SPACING = np.array([2.5, 0.9, 0.9])


def chest(outside: float = -1000, lungs: float = -850) -> np.ndarray:
    """A body with two lungs, a bowel full of gas, and air around: (80, 140, 160) voxels."""
    middles = (40, 60, 80)
    lines = [
        (np.arange(n) - middle) * mm for n, middle, mm in zip((80, 140, 160), middles, SPACING, strict=True)
    ]
    z, y, x = np.meshgrid(*lines, indexing="ij")
    hu = np.full(z.shape, outside, dtype=np.int16)
    hu[(x / 66) ** 2 + (y / 50) ** 2 < 1] = 40
    for side in (-1, 1):
        hu[((x - side * 32) / 22) ** 2 + (y / 34) ** 2 + ((z - 10) / 75) ** 2 < 1] = lungs
    hu[(x / 8) ** 2 + ((y + 30) / 8) ** 2 + ((z + 85) / 12) ** 2 < 1] = -1000
    return hu


def test_both_lungs_and_nothing_else() -> None:
    hu = chest()
    found = find_lungs(hu, SPACING).voxels(hu.shape)
    assert found[hu == -850].mean() > 0.99
    assert not found[:12].any()
    assert not found[hu == -1000].any()
    # A little of the wall and what the closing fills, no more.
    assert found.sum() < 1.5 * (hu == -850).sum()


@pytest.mark.parametrize("diameter", [8, 20, 28])
def test_a_nodule_on_the_wall_is_inside(diameter: float) -> None:
    hu = chest()
    row = int(np.flatnonzero(hu[44, :, 115] == -850)[0])
    places = np.stack(np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij"), axis=-1)
    # A third of it is in the wall.
    center = np.array([44, row + diameter / 3 / SPACING[1], 115])
    hu[np.linalg.norm((places - center) * SPACING, axis=-1) < diameter / 2] = 30
    assert find_lungs(hu, SPACING).voxels(hu.shape)[tuple(center.astype(int))]


def test_lungs_that_the_field_of_view_cuts_off() -> None:
    hu = chest()[:, :, 35:]
    found = find_lungs(hu, SPACING).voxels(hu.shape)
    # The right lung reaches the side of the slices.
    assert (hu[:, :, 0] == -850).any()
    assert found[hu == -850].mean() > 0.99
    assert not found[hu == -1000].any()


@pytest.mark.parametrize("outside", [-1000, -900, -800])
def test_neither_what_is_around_the_body_nor_a_hollow_couch(outside: int) -> None:
    """Clothes, blankets and couches have the HU of lung."""
    hu = chest(outside)
    hu[:, 120:134, 20:140] = 100
    hu[:, 122:132, 22:138] = outside
    found = find_lungs(hu, SPACING).voxels(hu.shape)
    assert found[hu == -850].mean() > 0.99
    assert found.sum() < 1.5 * (hu == -850).sum()
    assert not found[:, 120:].any()


@pytest.mark.parametrize("hu", [np.zeros((20, 40, 40)), np.full((20, 40, 40), -1000.0)])
def test_no_lungs(hu: np.ndarray) -> None:
    assert not find_lungs(hu, SPACING).voxels(hu.shape).any()

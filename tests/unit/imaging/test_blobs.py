"""Blobs are found where they are, with their size, the most distinct first."""

import numpy as np
import pytest

from luna.imaging.blobs import find_blobs

SHAPE, SPACING = (60, 100, 100), np.array([1.25, 0.7, 0.7])


def lung_with(*balls: tuple[tuple[int, int, int], float, float]) -> np.ndarray:
    """Lung with balls: centre irc, diameter in mm, HU."""
    hu = np.full(SHAPE, -850.0)
    places = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    for center, diameter, value in balls:
        hu[np.linalg.norm((places - center) * SPACING, axis=-1) < diameter / 2] = value
    return hu


@pytest.mark.parametrize("diameter", [5.0, 9.0, 14.0, 20.0])
def test_place_and_size(diameter: float) -> None:
    center = (30, 47, 52)
    blobs = find_blobs(lung_with((center, diameter, 30)), np.ones(SHAPE, dtype=bool), SPACING)
    assert np.linalg.norm((blobs.irc[0] - center) * SPACING) < 1.5
    assert blobs.diameter_mm[0] == pytest.approx(diameter, rel=0.35)
    # One blob, not one for each voxel or scale.
    assert (np.linalg.norm((blobs.irc - center) * SPACING, axis=1) < diameter / 2).sum() == 1


def test_the_most_distinct_first_and_none_outside() -> None:
    hu = lung_with(((20, 30, 30), 8, 30), ((40, 70, 70), 8, -500), ((30, 80, 20), 8, 30))
    lungs = np.ones(SHAPE, dtype=bool)
    lungs[:, 65:, :40] = False
    blobs = find_blobs(hu, lungs, SPACING)
    assert np.abs(blobs.irc[0] - (20, 30, 30)).max() <= 1
    assert np.abs(blobs.irc[1] - (40, 70, 70)).max() <= 1
    assert (np.diff(blobs.response) <= 0).all()
    assert lungs[tuple(blobs.irc.T)].all()


def test_no_lungs_no_blobs() -> None:
    assert len(find_blobs(lung_with(), np.zeros(SHAPE, dtype=bool), SPACING).irc) == 0

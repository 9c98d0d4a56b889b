"""Findings: each nodule once, on its side, with its kind."""

import numpy as np
import pytest
from scipy import ndimage

from luna.imaging.ct import Ct
from luna.imaging.geometry import irc_to_xyz
from luna.imaging.lungs import Lungs
from luna.scans.findings import attenuation_of, measure, middle_of_chest
from luna.scans.propose import Proposals

from .series import STRAIGHT, grid

SHAPE = (40, 100, 160)
SPACING = np.array([1.25, 0.7, 0.7])
PLACES = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)


def two_lungs() -> Lungs:
    mask = np.zeros(SHAPE, bool)
    mask[:, 10:90, 10:70] = mask[:, 10:90, 90:150] = True
    return Lungs(mask[:, ::2, ::2], (1, 2, 2))


def ct_with(*balls: tuple[tuple[int, int, int], float, float], direction: np.ndarray = STRAIGHT) -> Ct:
    hu = np.full(SHAPE, -860, dtype=np.int16)
    for center, diameter, value in balls:
        hu[np.linalg.norm((PLACES - np.array(center)) * SPACING, axis=-1) < diameter / 2] = value
    return Ct("1.2.3", hu, grid(direction=direction))


def proposals(*rows: tuple[tuple[int, int, int], float]) -> Proposals:
    probability = np.array([each for _, each in rows])
    return Proposals(np.array([place for place, _ in rows]), probability, np.full(len(rows), 0.1))


def test_each_nodule_once_the_most_suspicious_first() -> None:
    ct = ct_with(((20, 40, 40), 10, 40), ((20, 60, 120), 8, 40))
    places = proposals(((20, 40, 40), 0.9), ((21, 42, 41), 0.8), ((20, 60, 120), 0.7), ((5, 50, 50), 0.05))
    found = measure(ct, two_lungs(), places, least=0.1, most=30)
    assert [(each.rank, each.probability, each.side) for each in found.findings] == [
        (1, 0.9, "right"),
        (2, 0.7, "left"),
    ]
    first = found.findings[0]
    assert (first.index, first.row, first.column) == (20, 40, 40)
    assert np.allclose([first.x, first.y, first.z], irc_to_xyz([[20, 40, 40]], ct.grid)[0], atol=0.5)
    assert first.diameter_mm == pytest.approx(10.5, abs=1)
    assert first.volume_mm3 == pytest.approx(np.pi / 6 * first.diameter_mm**3, rel=0.02)
    assert found.labels[20, 40, 40] == 1
    assert found.labels[20, 60, 120] == 2
    assert set(np.unique(found.labels)) == {0, 1, 2}


def test_what_an_earlier_finding_leaves_of_a_nodule_is_none() -> None:
    """A second place at the rim of a nodule, beyond the first outline, is no shell around it."""
    ct = ct_with(((20, 40, 40), 10, 40))
    for away in range(6, 13):
        places = proposals(((20, 40, 40), 0.9), ((20, 40, 40 + away), 0.8))
        assert len(measure(ct, two_lungs(), places, 0.1, 30).findings) == 1, away


def test_every_finding_is_in_one_piece() -> None:
    rng = np.random.default_rng(0)
    hu = ndimage.gaussian_filter(rng.normal(-600, 900, SHAPE), 1.5).clip(-1000, 400).astype(np.int16)
    ct = Ct("1.2.3", hu, grid())
    places = [tuple(rng.integers((5, 20, 20), (35, 80, 140)).tolist()) for _ in range(40)]
    found = measure(ct, two_lungs(), proposals(*((place, 0.9) for place in places)), 0.1, 100)
    assert len(found.findings) > 5
    for each in found.findings:
        assert ndimage.label(found.labels == each.rank)[1] == 1


def test_one_lung_alone_has_no_side() -> None:
    mask = two_lungs().mask.copy()
    mask[:, :, 40:] = False
    assert middle_of_chest(Lungs(mask, (1, 2, 2)), grid()) is None
    assert middle_of_chest(two_lungs(), grid()) == pytest.approx(-100 + 79.5 * 0.7, abs=5)


def test_no_more_than_asked_for() -> None:
    ct = ct_with(((20, 40, 40), 10, 40), ((20, 60, 120), 8, 40))
    places = proposals(((20, 40, 40), 0.9), ((20, 60, 120), 0.7))
    assert len(measure(ct, two_lungs(), places, least=0.1, most=1).findings) == 1


def test_sides_of_a_patient_on_the_belly() -> None:
    turned = np.diag([-1.0, -1.0, 1.0])
    ct = ct_with(((20, 40, 40), 10, 40), direction=turned)
    (only,) = measure(ct, two_lungs(), proposals(((20, 40, 40), 0.9)), 0.1, 30).findings
    assert only.side == "left"


def test_without_lungs_there_is_no_side() -> None:
    none = Lungs(np.zeros((40, 50, 80), bool), (1, 2, 2))
    assert middle_of_chest(none, grid()) is None
    ct = ct_with(((20, 40, 40), 10, 40))
    (only,) = measure(ct, none, proposals(((20, 40, 40), 0.9)), 0.1, 30).findings
    assert only.side is None
    assert only.diameter_mm == pytest.approx(10.5, abs=1)


@pytest.mark.parametrize(
    ("diameter", "value", "core", "kind"),
    [
        (14, 40, 40, "solid"),
        (14, -600, -600, "ground glass"),
        (16, -600, 40, "part-solid"),
        (4, 40, 40, None),
    ],
)
def test_attenuation(diameter: float, value: int, core: int, kind: str | None) -> None:
    distance = np.linalg.norm((PLACES - np.array([20, 50, 50])) * SPACING, axis=-1)
    mask = distance < diameter / 2
    hu = np.where(mask, value, -860)
    hu[distance < 0.66 * diameter / 2] = core
    assert attenuation_of(hu, mask, SPACING) == kind

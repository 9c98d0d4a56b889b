"""Numbers beside rings: legible where there is room, and in the picture."""

from itertools import combinations

import pytest

from luna.scans.labels import RING, Box, label_boxes

SIZE = (100.0, 80.0)


def overlap(one: Box, other: Box) -> float:
    return one.within(other).area()


def test_alone_it_stands_on_the_right() -> None:
    (box,) = label_boxes([(50, 40)], ["7"], SIZE)
    assert box.left > 50 + RING
    assert (box.top + box.bottom) / 2 == pytest.approx(40)


@pytest.mark.parametrize("center", [(98, 40), (2, 40), (50, 1), (50, 79), (99, 1), (99, 79)])
def test_it_stays_in_the_picture(center: tuple[float, float]) -> None:
    (box,) = label_boxes([center], ["12"], SIZE)
    assert overlap(box, Box(0, 0, *SIZE)) == pytest.approx(box.area())


@pytest.mark.parametrize("apart", [(5, 0), (9, 1), (0, 4), (0, 0), (6, 6)])
def test_near_findings_hide_no_number(apart: tuple[float, float]) -> None:
    centers = [(50 + n * apart[0], 40 + n * apart[1]) for n in range(3)]
    boxes = label_boxes(centers, ["8", "19", "20"], SIZE)
    rings = [Box(x - RING, y - RING, x + RING, y + RING) for x, y in centers]
    assert all(overlap(*pair) == 0 for pair in combinations(boxes, 2))
    assert all(overlap(box, ring) == 0 for box in boxes for ring in rings)


def test_none() -> None:
    assert label_boxes([], [], SIZE) == []

"""Where numbers stand beside rings in a picture, so that they hide one another as little as possible."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

RING = 3.2
"""Radius in pixels of the picture, like all lengths here."""
FONT_SIZE = 6.5
_GAP = 1.3
_DIGIT_WIDTH, _DIGIT_HEIGHT = 0.7 * FONT_SIZE, 0.75 * FONT_SIZE
"""Of bold digits, in most fonts."""


class Box(NamedTuple):
    """A rectangle; y runs down."""

    left: float
    top: float
    right: float
    bottom: float

    def area(self) -> float:
        """0 where right is left of left, or bottom above top."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def within(self, other: "Box") -> "Box":
        """The part that lies in the other."""
        return Box(
            max(self.left, other.left), max(self.top, other.top),
            min(self.right, other.right), min(self.bottom, other.bottom),
        )  # fmt: skip


def label_boxes(
    centers: Sequence[tuple[float, float]], texts: Sequence[str], size: tuple[float, float]
) -> list[Box]:
    """A box for each text beside the ring at its center (x, y), in a picture of this width and height.

    One after the other, each where it covers least of rings, of earlier boxes and of what is outside.
    """
    picture = Box(0, 0, *size)
    taken = [Box(x - RING, y - RING, x + RING, y + RING) for x, y in centers]
    boxes: list[Box] = []
    for center, text in zip(centers, texts, strict=True):

        def covered(box: Box) -> float:
            return sum(box.within(each).area() for each in taken) + box.area() - box.within(picture).area()

        best = min(_around(center, len(text) * _DIGIT_WIDTH), key=covered)
        boxes.append(best)
        taken.append(best)
    return boxes


def _around(center: tuple[float, float], width: float) -> Iterator[Box]:
    """Places for a text beside a ring, the easiest to read first: right, left, below, above, corners."""
    x, y = center
    across = {"right": x + RING + _GAP, "left": x - RING - _GAP - width, "middle": x - width / 2}
    down = {
        "below": y + RING + _GAP, "above": y - RING - _GAP - _DIGIT_HEIGHT, "middle": y - _DIGIT_HEIGHT / 2,
    }  # fmt: skip
    for side, level in (
        ("right", "middle"), ("left", "middle"), ("middle", "below"), ("middle", "above"),
        ("right", "below"), ("right", "above"), ("left", "below"), ("left", "above"),
    ):  # fmt: skip
        left, top = across[side], down[level]
        yield Box(left, top, left + width, top + _DIGIT_HEIGHT)

"""A page to look at a scan's findings: where they lie, and slices to scroll through. It opens offline."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from luna.base.arrays import FloatArray, Volume
from luna.imaging.ct import Ct
from luna.imaging.geometry import irc_to_xyz, xyz_to_continuous_irc
from luna.imaging.lungs import block_means
from luna.imaging.planes import LUNG_WINDOW_HU, in_window
from luna.pages.png import data_uri, png, tiled
from luna.pages.render import render, text_of
from luna.pages.security import content_security_policy
from luna.scans.findings import Finding
from luna.scans.labels import FONT_SIZE, RING, label_boxes

CUBE = 64
"""Voxels of 1 mm along each axis of what is shown around a finding."""
_TILES = 8
"""Slices of the cube side by side in its picture."""
_JPEG_QUALITY = 88
_OVERVIEW_MM = 2.0
"""Pixels of the overview."""
_OUTSIDE_HU = -1000.0


def findings_page(ct: Ct, findings: Sequence[Finding], facts: dict[str, Any]) -> str:
    """The page's HTML. facts: what the template says of scan and models."""
    overview = _Overview(ct)
    shown = [
        {
            "finding": each,
            "cube": _picture(_cube(ct, np.array([each.x, each.y, each.z]))),
        }
        for each in findings
    ]
    views = [
        ("from the front; the patient's right is on the left", overview.front, overview.front_place),
        ("from the patient's left; the front is on the left", overview.side, overview.side_place),
    ]
    script, style = text_of("viewer.js", "scan.js"), text_of("style.css", "viewer.css", "scan.css")
    values = facts | {
        "script": script, "style": style, "policy": content_security_policy([script], [style]),
        "shown": shown, "window": LUNG_WINDOW_HU, "ring": RING, "font_size": FONT_SIZE,
        "views": [(text, seen, _marks(findings, seen, place)) for text, seen, place in views],
        "cube": CUBE, "tiles": _TILES, "series_uid": ct.series_uid, "shape": ct.hu.shape,
        "spacing": ct.grid.spacing.tolist(),
    }  # fmt: skip
    return render("scan.html.j2", values)


def _cube(ct: Ct, center: FloatArray) -> npt.NDArray[np.uint8]:
    """Grey values around a point in mm, with axes z from the head down, y backwards and x to the left."""
    steps = np.arange(CUBE) - CUBE // 2
    return in_window(_sampled(ct.hu, ct, [center[2] - steps, center[1] + steps, center[0] + steps]))


def _sampled(volume: npt.NDArray[Any], ct: Ct, lines: Sequence[FloatArray], blocks: Any = (1, 1, 1)) -> Any:
    """HU of a volume, trilinear, at all points of lines of z, y and x in mm: (z, y, x).

    volume: (index, row, column) of the CT in blocks of so many voxels.
    """
    z, y, x = np.meshgrid(*lines, indexing="ij")
    irc = xyz_to_continuous_irc(np.stack([x, y, z], axis=-1).reshape(-1, 3), ct.grid)
    places = ((irc + 0.5) / np.array(blocks) - 0.5).T
    found = ndimage.map_coordinates(volume, places, np.float32, order=1, cval=_OUTSIDE_HU)
    return found.reshape(z.shape)


def _picture(cube: npt.NDArray[np.uint8]) -> str:
    """The cube's slices as tiles of one JPEG, as a data URI."""
    return data_uri(Image.fromarray(tiled(cube, _TILES)), "jpeg", quality=_JPEG_QUALITY)


class _Overview:
    """The whole scan from the front and from the patient's left, and where findings lie in these pictures.

    Places are shares of a picture's width and height.
    """

    def __init__(self, ct: Ct) -> None:
        blocks = tuple(max(1, int(_OVERVIEW_MM / step)) for step in ct.grid.spacing[::-1])
        coarse = block_means(np.clip(ct.hu, *LUNG_WINDOW_HU), blocks)
        last = np.array(ct.hu.shape) - 1
        corners = np.array(np.meshgrid(*[(0, size) for size in last])).reshape(3, -1).T
        xyz = irc_to_xyz(corners, ct.grid)
        self._low, self._high = xyz.min(axis=0), xyz.max(axis=0)
        x, y, z = (
            np.arange(low, high + _OVERVIEW_MM, _OVERVIEW_MM)
            for low, high in zip(self._low, self._high, strict=True)
        )
        # Plane by plane: places of a whole volume would take gigabytes.
        planes = [_sampled(coarse, ct, [np.array([level]), y, x], blocks)[0] for level in z[::-1]]
        self.front = _projection(np.stack([plane.mean(axis=0) for plane in planes]))
        self.side = _projection(np.stack([plane.mean(axis=1) for plane in planes]))

    def front_place(self, finding: Finding) -> tuple[float, float]:
        """Across, from the patient's right, and down from the head."""
        return self._share(finding.x, 0), 1 - self._share(finding.z, 2)

    def side_place(self, finding: Finding) -> tuple[float, float]:
        """Across, from the front, and down from the head."""
        return self._share(finding.y, 1), 1 - self._share(finding.z, 2)

    def _share(self, mm: float, axis: int) -> float:
        return float((mm - self._low[axis]) / max(self._high[axis] - self._low[axis], 1e-6))


class _Mark(NamedTuple):
    """A finding in an overview, in pixels: the middle of its ring, and where its rank begins (x, y)."""

    finding: Finding
    ring: tuple[float, float]
    text: tuple[float, float]


def _marks(
    findings: Sequence[Finding], seen: dict[str, Any], place: Callable[[Finding], tuple[float, float]]
) -> list[_Mark]:
    size = (seen["width"], seen["height"])
    rings = [(across * size[0], down * size[1]) for across, down in map(place, findings)]
    boxes = label_boxes(rings, [str(each.rank) for each in findings], size)
    return [
        _Mark(each, ring, (box.left, box.bottom))
        for each, ring, box in zip(findings, rings, boxes, strict=True)
    ]


def _projection(seen: Volume) -> dict[str, Any]:
    """A picture (height, width) like a radiograph of mean HU, with its size in pixels."""
    low, high = np.percentile(seen, [1, 99.5])
    grey = np.clip((seen - low) / max(high - low, 1.0) * 255, 0, 255).astype(np.uint8)
    return {"image": png(grey, scale=1), "width": grey.shape[1], "height": grey.shape[0]}

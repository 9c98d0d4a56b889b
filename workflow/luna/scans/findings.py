"""What a finding is, and how it is measured."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from luna.base.arrays import BoolArray, FloatArray
from luna.base.files import Record
from luna.imaging.ct import Ct
from luna.imaging.geometry import Grid, irc_to_xyz
from luna.imaging.lungs import Lungs
from luna.imaging.outline import Outline, outline
from luna.scans.propose import Proposals

Side = Literal["left", "right"]
Attenuation = Literal["solid", "part-solid", "ground glass"]

SOLID_HU = -300
"""Brighter voxels are solid."""
SOLID_SHARES = (0.3, 0.6)
"""Shares of solid voxels inside: ground glass up to the first, solid from the second on (tuned on LIDC)."""
_RIND_MM = 1.0
"""At a nodule's rim, voxels are a mixture of it and of lung."""
_LEAST_DIAMETER_MM = 6.0
"""In smaller ones too few voxels are free of lung to tell their kind."""
_LEAST_VOXELS = 8
_FEWEST_BINS, _VALLEY = 8, 0.6
"""Across both lungs, to find the middle; it holds at most this share of each lung's fullest bin."""
_OWN_SHARE = 0.5
"""A finding whose outline is less its own belongs to earlier ones."""


class Finding(Record):
    """A place that may be a nodule."""

    rank: int
    """1 is the most suspicious."""
    probability: float
    """Calibrated on the candidates that the models were validated on; mean of the models."""
    spread: float
    """Standard deviation of the models' probabilities."""
    x: float
    """Its middle in mm, from the patient's right to the left (DICOM's and LUNA16's axes)."""
    y: float
    """From front to back, in mm."""
    z: float
    """From the feet to the head, in mm."""
    index: int
    """Its voxel: slice, from 0 on; of a DICOM series, along the normal of its slices."""
    row: int
    """Row, from 0 on."""
    column: int
    """Column, from 0 on."""
    slice_number: int
    """What viewers call the slice: DICOM's InstanceNumber, else index + 1."""
    sop_instance_uid: str
    """The DICOM slice; empty for image files."""
    diameter_mm: float
    """Of a ball of the same volume."""
    volume_mm3: float
    """Of its outline."""
    side: Side | None
    """Which lung it is in; None where none was found."""
    attenuation: Attenuation | None
    """None where it is too small to tell."""


class Measured(NamedTuple):
    """Findings, and the voxels of each: 0 for none, else the finding's rank, uint16 (index, row, column)."""

    findings: list[Finding]
    labels: npt.NDArray[np.uint16]


def measure(ct: Ct, lungs: Lungs, proposals: Proposals, least: float, most: int) -> Measured:
    """The findings among proposals: at least as probable as `least`, at most so many, each nodule once.

    proposals: the most suspicious first. One that lies in the outline of an earlier one, or whose own outline
    is mostly in those of earlier ones, belongs to them.
    """
    spacing = ct.grid.spacing[::-1]
    inside = lungs.voxels(ct.hu.shape)
    middle = middle_of_chest(lungs, ct.grid)
    labels = np.zeros(ct.hu.shape, dtype=np.uint16)
    findings: list[Finding] = []
    for place, probability, spread in zip(*proposals, strict=True):
        if len(findings) == most or probability < least:
            break
        if labels[tuple(place)]:
            continue
        outlined = _not_taken(outline(ct.hu, inside, place, spacing), labels)
        if outlined is None:
            continue
        rank = len(findings) + 1
        labels[outlined.box][outlined.mask] = rank
        findings.append(_finding(ct, outlined, rank, float(probability), float(spread), middle))
    return Measured(findings, labels)


def _not_taken(outlined: Outline, labels: npt.NDArray[np.uint16]) -> Outline | None:
    """What earlier findings leave of an outline, in one piece; None where they have most of it."""
    pieces, _ = ndimage.label(outlined.mask & (labels[outlined.box] == 0))
    sizes = np.bincount(pieces.ravel(), minlength=2)
    sizes[0] = 0
    largest = int(sizes.argmax())
    if sizes[largest] < _OWN_SHARE * outlined.mask.sum():
        return None
    return outlined._replace(mask=pieces == largest)


def _finding(
    ct: Ct, outlined: Outline, rank: int, probability: float, spread: float, middle: float | None
) -> Finding:
    center = np.argwhere(outlined.mask).mean(axis=0) + outlined.start
    voxel = np.floor(center + 0.5).astype(int)
    ((x, y, z),) = irc_to_xyz([center], ct.grid).round(3).tolist()
    volume = float(outlined.mask.sum() * np.prod(ct.grid.spacing))
    diameter = (6 * volume / np.pi) ** (1 / 3)
    return Finding(
        rank=rank, probability=round(probability, 6), spread=round(spread, 6), x=x, y=y, z=z,
        index=int(voxel[0]), row=int(voxel[1]), column=int(voxel[2]), slice_number=int(voxel[0]) + 1,
        sop_instance_uid="", diameter_mm=round(diameter, 2), volume_mm3=round(volume, 1),
        side=None if middle is None else "left" if x > middle else "right",
        attenuation=attenuation_of(ct.hu[outlined.box], outlined.mask, ct.grid.spacing[::-1]),
    )  # fmt: skip


def attenuation_of(hu: npt.NDArray[np.generic], mask: BoolArray, spacing: FloatArray) -> Attenuation | None:
    """The kind of a nodule, by the share of solid voxels inside its rim; None for a small one."""
    volume = mask.sum() * np.prod(spacing)
    if volume < np.pi / 6 * _LEAST_DIAMETER_MM**3:
        return None
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    inner = mask & (depth > _RIND_MM)
    if inner.sum() < _LEAST_VOXELS:
        return None
    share = float((np.asarray(hu)[inner] > SOLID_HU).mean())
    ground_glass, solid = SOLID_SHARES
    return "ground glass" if share <= ground_glass else "solid" if share >= solid else "part-solid"


def middle_of_chest(lungs: Lungs, grid: Grid) -> float | None:
    """x in mm between the two lungs: where the fewest of their voxels are, in the middle half of them.

    None where there is no valley between two lungs, as in a CT that shows only one.
    """
    blocks = np.argwhere(lungs.mask)
    if not len(blocks):
        return None
    x = irc_to_xyz((blocks + 0.5) * lungs.blocks - 0.5, grid)[:, 0]
    width = 2 * float(np.max(grid.spacing[::-1][1:] * lungs.blocks[1:]))
    counts, edges = np.histogram(x, bins=max(_FEWEST_BINS, int(np.ptp(x) / width)))
    smooth = ndimage.uniform_filter1d(counts.astype(float), 3, mode="nearest")
    low, high = np.searchsorted(edges, np.percentile(x, [25, 75]))
    fewest = low + np.flatnonzero(smooth[low:high] == smooth[low:high].min())
    middle = int(fewest[len(fewest) // 2])
    if smooth[middle] > _VALLEY * min(smooth[:middle].max(initial=0), smooth[middle + 1 :].max(initial=0)):
        return None
    return float((edges[middle] + edges[middle + 1]) / 2)

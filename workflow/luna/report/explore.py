"""The candidates that a reader of the report looks through: their scores in every run, and their voxels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from luna.base.arrays import FloatArray, HuArray
from luna.base.files import Record
from luna.crops.sources import CropSource, crop_of
from luna.data.series import grid_of
from luna.data.tables import IRC, XYZ
from luna.pages.png import data_uri, tiled
from luna.report.results import Results
from luna.scoring.examples import shown_candidates

LOWEST_HU, HIGHEST_HU = -1000, 500
"""Black and white of the pictures; windows of the page lie within."""
TILES = 8
_QUALITY = 50
"""Of WebP: at 50 a crop takes 4.5 kB, and a voxel differs by 23 HU (root mean square; docs/report.md)."""
_SALIENCY_QUALITY = 40


class ShownCandidate(Record):
    """A candidate with its pictures (data URIs); saliency: by run."""

    id: int
    series: str
    nodule: int
    diameter: float
    """mm; 0 for what is no nodule."""
    xyz: list[float]
    """mm."""
    irc: list[int]
    mm: list[float]
    """Between voxels along index, row and column."""
    slices: str
    saliency: dict[str, str]


class ShownRun(Record):
    """A run's thresholds, and what is known at each that a reader can choose."""

    name: str
    chosen: list[float]
    """By the training, one of each fold."""
    guaranteed: list[float]
    """One of each fold; empty where a fold has none."""
    thresholds: list[float]
    at: dict[str, list[float | None]]
    """Counts and figures by name, one of each threshold."""


class Score(NamedTuple):
    """A run's answer for a candidate; run and candidate by their places in the lists."""

    run: int
    candidate: int
    fold: int
    probability: float | None
    calibrated: float | None


class Exploration(Record):
    """All that the page's script needs."""

    runs: list[ShownRun]
    shape: tuple[int, int, int]
    """Voxels of a crop (index, row, column)."""
    tiles: int
    """Slices in a row of a picture."""
    hu: tuple[int, int]
    """Black and white of the pictures."""
    candidates: list[ShownCandidate]
    scores: list[Score]


def exploration(results: Results, crops: CropSource, negatives: int) -> Exploration:
    """The candidates that can be looked at: all nodules, and of each run the highest others.

    negatives: how many others of each run.
    """
    tables = {run: results.predictions[run] for run in results.runs}
    shown = [shown_candidates(table, negatives)["id"] for table in tables.values()]
    ids = sorted({int(number) for each in shown for number in each})
    place = {number: index for index, number in enumerate(ids)}
    return Exploration(
        runs=[_run(run, results) for run in results.runs],
        shape=crops.settings.crop,
        tiles=TILES,
        hu=(LOWEST_HU, HIGHEST_HU),
        candidates=_candidates(ids, results, crops),
        scores=[
            Score(index, place[row.id], row.fold, _digits(row.probability), _digits(row.calibrated))
            for index, table in enumerate(tables.values())
            for row in table[table["id"].isin(place)].itertuples()
        ],
    )


def _candidates(ids: Sequence[int], results: Results, crops: CropSource) -> list[ShownCandidate]:
    grids = {row.seriesuid: grid_of(row) for row in results.series.itertuples()}
    candidates = []
    for number in ids:
        row = results.candidates.iloc[number]
        grid = grids[row["seriesuid"]]
        turned = turns(grid.direction)
        candidates.append(
            ShownCandidate(
                id=number,
                series=row["seriesuid"],
                nodule=int(row["class"]),
                diameter=round(float(row["diameter_mm"]), 1),
                xyz=[round(float(row[name]), 1) for name in XYZ],
                irc=[int(row[name]) for name in IRC],
                mm=[round(float(step), 3) for step in grid.spacing[::-1]],
                slices=slices_picture(crop_of(crops, number)[turned]),
                saliency={
                    run: saliency_picture(results.saliency[run].of(number)[turned])
                    for run in results.runs
                    if run in results.saliency and results.saliency[run].has(number)
                },
            )
        )
    return candidates


def turns(direction: FloatArray) -> tuple[slice, slice, slice]:
    """How a crop (index, row, column) is turned so that its axes run from the head, backwards, and left.

    direction: of the CT, (3, 3). LUNA16's axes are x to the left, y backwards, z to the head.
    """
    x, y, z = (1 if direction[axis, axis] >= 0 else -1 for axis in range(3))
    return slice(None, None, -z), slice(None, None, y), slice(None, None, x)


def slices_picture(hu: HuArray) -> str:
    """A crop's slices as tiles of one picture, the data URI of a WebP."""
    share = (hu.astype(np.float32) - LOWEST_HU) / (HIGHEST_HU - LOWEST_HU)
    return _webp(tiled((255 * np.clip(share, 0, 1)).astype(np.uint8), TILES), _QUALITY)


def saliency_picture(saliency: npt.NDArray[np.uint8]) -> str:
    """A map of half the crop's size along each axis, likewise."""
    return _webp(tiled(saliency, TILES), _SALIENCY_QUALITY)


def _webp(grey: npt.NDArray[np.uint8], quality: int) -> str:
    return data_uri(Image.fromarray(grey), "webp", quality=quality)


def _run(run: str, results: Results) -> ShownRun:
    summary = results.runs[run]
    guaranteed = [each.threshold for each in summary.guarantees if each.threshold is not None]
    names = ("true_positives", "false_positives", "false_negatives", "true_negatives",
             "precision", "recall", "f1", "sensitivity", "false_positives_per_scan")  # fmt: skip
    return ShownRun(
        name=run,
        chosen=summary.thresholds,
        guaranteed=guaranteed if len(guaranteed) == len(summary.guarantees) else [],
        thresholds=[each.threshold for each in summary.by_threshold],
        at={name: [_digits(getattr(each, name)) for each in summary.by_threshold] for name in names},
    )


def _digits(value: float | None) -> float | None:
    """Enough digits to be on the right side of every threshold."""
    return None if value is None else float(f"{value:.7g}")

"""A phantom data set in LUNA16's format."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.base.arrays import FloatArray, HuArray, IntArray
from luna.base.files import write_csv
from luna.base.progress import progress
from luna.base.randomness import rng
from luna.base.subsets import SUBSETS
from luna.config.phantom import PhantomSettings
from luna.imaging.geometry import Grid, irc_to_xyz
from luna.imaging.metaimage import write_mhd
from luna.phantom.body import draw_body
from luna.phantom.candidates import list_candidates
from luna.phantom.nodule_tissue import Lungs
from luna.phantom.nodules import Nodule, draw_nodules, draw_small_findings, nodule_places
from luna.phantom.scanner import scan
from luna.phantom.tissue import draw_tissue
from luna.phantom.uids import phantom_series_uid
from luna.phantom.vessels import draw_vessels
from luna.phantom.view import body_scale, choose_view, margin_of
from luna.runtime.cores import end_with_parent

TABLES = ("annotations", "annotations_excluded", "candidates")


class Series(NamedTuple):
    """One CT of the phantom: voxels, grid, nodules, findings that count neither way, candidates."""

    hu: HuArray
    grid: Grid
    nodules: list[Nodule]
    excluded: list[Nodule]
    candidates_irc: IntArray
    classes: IntArray


def make_phantom(folder: Path, settings: PhantomSettings, seed: int, processes: int = 1) -> None:
    """Write the data set below `folder`: subset0..9/UID.mhd + .raw and the tables annotations.csv,
    annotations_excluded.csv and candidates.csv.

    The same settings and seed give the same bytes, whatever the number of processes. Raises
    UserError when the disk is full.
    """
    numbers = range(settings.series)
    for subset in range(SUBSETS):
        (folder / f"subset{subset}").mkdir(parents=True, exist_ok=True)
    if processes == 1:
        made = [
            write_series(folder, settings, seed, number)
            for number in progress(numbers, "phantom", settings.series)
        ]
    else:
        with ProcessPoolExecutor(processes, initializer=end_with_parent) as pool:
            jobs = pool.map(write_series, *zip(*((folder, settings, seed, n) for n in numbers), strict=True))
            made = list(progress(jobs, "phantom", settings.series))
    for name, tables in zip(TABLES, zip(*made, strict=True), strict=True):
        write_csv(folder / f"{name}.csv", pd.concat(tables))


def draw_series(settings: PhantomSettings, seed: int, number: int) -> Series:
    """Draw one CT with its nodules and list its candidates."""
    generator = rng(seed, "phantom", number)
    body = draw_body(generator, body_scale(settings))
    axes, grid = choose_view(generator, settings, body)
    margin = margin_of(settings, axes)
    tissue = draw_tissue(generator, body, axes)
    vessels = draw_vessels(generator, body, axes, tissue.hu, tissue.depth)
    lungs = Lungs(axes, tissue.hu, tissue.depth, vessels, body.scale)
    places = nodule_places(lungs, margin)
    nodules = draw_nodules(generator, lungs, places, generator.poisson(settings.nodules))
    excluded = draw_small_findings(generator, lungs, places, nodules)
    hu = scan(generator, tissue.hu, float(axes.spacing[2]))
    candidates, classes = list_candidates(
        generator, hu, lungs, nodules, settings.candidates, margin, settings.hilum
    )
    return Series(hu, grid, nodules, excluded, candidates, classes)


def write_series(
    folder: Path, settings: PhantomSettings, seed: int, number: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Write one CT; return its rows of the tables, in the order of TABLES."""
    series, uid = draw_series(settings, seed, number), phantom_series_uid(seed, number)
    write_mhd(folder / f"subset{number % SUBSETS}" / f"{uid}.mhd", series.hu, series.grid)
    nodules, excluded = (
        _table(
            uid, np.array([each.center_irc for each in findings]), series.grid,
            "diameter_mm", np.array([each.diameter_mm for each in findings], dtype=np.float64),
        )
        for findings in (series.nodules, series.excluded)
    )  # fmt: skip
    return nodules, excluded, _table(uid, series.candidates_irc, series.grid, "class", series.classes)


def _table(
    uid: str, points_irc: FloatArray | IntArray, grid: Grid, name: str, values: npt.ArrayLike
) -> pd.DataFrame:
    xyz = np.round(irc_to_xyz(points_irc, grid), 6)
    return pd.DataFrame(
        {"seriesuid": uid, "coordX": xyz[:, 0], "coordY": xyz[:, 1], "coordZ": xyz[:, 2], name: values}
    )

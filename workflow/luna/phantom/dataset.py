"""A phantom data set in LUNA16's format."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.base.arrays import FloatArray
from luna.base.files import write_csv
from luna.base.progress import progress
from luna.base.randomness import rng
from luna.config.phantom import PhantomSettings
from luna.data.subsets import SUBSETS
from luna.imaging.geometry import Grid, irc_to_xyz
from luna.imaging.metaimage import write_mhd
from luna.phantom.chest import PADDING_HU, chest_from_ct, draw_chest
from luna.phantom.nodules import draw_nodule, list_candidates, place_nodules
from luna.phantom.uids import phantom_series_uid
from luna.runtime.cores import end_with_parent


def make_phantom(folder: Path, settings: PhantomSettings, seed: int, processes: int = 1) -> None:
    """Write the data set below `folder`: subset0..9/UID.mhd + .raw, annotations.csv, candidates.csv.

    The same settings and seed give the same bytes, whatever the number of processes. Raises
    UserError when the background CT has no lungs or the disk is full.
    """
    numbers = range(settings.series)
    for subset in range(SUBSETS):
        (folder / f"subset{subset}").mkdir(parents=True, exist_ok=True)
    if processes == 1:
        made = [
            make_series(folder, settings, seed, number)
            for number in progress(numbers, "phantom", settings.series)
        ]
    else:
        with ProcessPoolExecutor(processes, initializer=end_with_parent) as pool:
            jobs = pool.map(make_series, *zip(*((folder, settings, seed, n) for n in numbers), strict=True))
            made = list(progress(jobs, "phantom", settings.series))
    for name, tables in zip(("annotations", "candidates"), zip(*made, strict=True), strict=True):
        write_csv(folder / f"{name}.csv", pd.concat(tables))


def make_series(
    folder: Path, settings: PhantomSettings, seed: int, number: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write one CT; return its rows of annotations.csv and of candidates.csv."""
    generator = rng(seed, "phantom", number)
    uid = phantom_series_uid(seed, number)
    if not settings.background:
        anatomy = draw_chest(generator, settings)
    else:
        anatomy = chest_from_ct(generator, Path(settings.background))
    nodules = place_nodules(generator, anatomy)
    for nodule in nodules:
        draw_nodule(generator, anatomy, nodule)
    hu = np.rint(np.clip(anatomy.hu, PADDING_HU, 3071)).astype("<i2")
    write_mhd(folder / f"subset{number % SUBSETS}" / f"{uid}.mhd", hu, anatomy.grid)
    points, classes = list_candidates(generator, anatomy, nodules, settings.candidates)
    return (
        _table(
            uid, np.array([nodule.center_irc for nodule in nodules]), anatomy.grid,
            "diameter_mm", np.round([nodule.diameter_mm for nodule in nodules], 6),
        ),
        _table(uid, points, anatomy.grid, "class", classes),
    )  # fmt: skip


def _table(uid: str, points_irc: FloatArray, grid: Grid, name: str, values: npt.ArrayLike) -> pd.DataFrame:
    xyz = np.round(irc_to_xyz(points_irc, grid), 6)
    return pd.DataFrame(
        {"seriesuid": uid, "coordX": xyz[:, 0], "coordY": xyz[:, 1], "coordZ": xyz[:, 2], name: values}
    )

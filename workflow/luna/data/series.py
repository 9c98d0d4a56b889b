"""Points placed in the CTs of series.csv."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.data.tables import XYZ
from luna.imaging.geometry import Grid, xyz_to_irc


def locate(points: pd.DataFrame, series: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Voxels (n, 3) irc of points (seriesuid, xyz in mm) in their CTs; -1 where there is no CT."""
    irc = np.full((len(points), 3), -1, dtype=np.int64)
    grids = {row.seriesuid: grid_of(row) for row in series.itertuples()}
    xyz = points[XYZ].to_numpy(dtype=float)
    for uid, rows in points.groupby("seriesuid", sort=False).indices.items():
        if uid in grids:
            # A coordinate far beyond any CT would not fit into an integer.
            irc[rows] = xyz_to_irc(np.clip(xyz[rows], -1e9, 1e9), grids[uid])
    return irc


def outside_ct(
    irc: npt.NDArray[np.int64], points: pd.DataFrame, series: pd.DataFrame
) -> npt.NDArray[np.bool_]:
    """Which points have a CT and are outside it."""
    known = points["seriesuid"].isin(series["seriesuid"]).to_numpy()
    shape = series.set_index("seriesuid")[["slices", "rows", "columns"]]
    limits = shape.reindex(points["seriesuid"]).fillna(0).to_numpy()
    return known & ((irc < 0) | (irc >= limits)).any(axis=1)


def grid_of(row: Any) -> Grid:
    """The grid in a row of series.csv (see luna.data.verify)."""
    origin, spacing, direction = (
        np.array([float(word) for word in str(text).split()])
        for text in (row.origin, row.spacing, row.direction)
    )
    return Grid(origin, spacing, direction.reshape(3, 3))

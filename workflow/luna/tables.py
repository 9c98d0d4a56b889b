"""Read annotations and candidates, join them, and split them into folds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.geometry import Grid, xyz_to_irc
from luna.program import UserError

XYZ = ["coordX", "coordY", "coordZ"]
IRC = ["index", "row", "col"]
ANNOTATION_COLUMNS = ["seriesuid", *XYZ, "diameter_mm"]
CANDIDATE_COLUMNS = ["seriesuid", *XYZ, "class"]
SUBSETS = 10
_ROWS_NAMED = 5


def read_table(
    path: Path, columns: Sequence[str], may_repeat: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """Read a table with a `seriesuid` column and number columns; give its good rows and problems.

    Quoted fields, CRLF, a byte-order mark and blank lines are fine. Each problem names file, kind
    and lines. The frame keeps file order and its index is the line number in the file. A file that
    is no such table at all gives an empty frame and one problem. Rows that stand there twice are a
    problem and kept once, unless they `may_repeat`.
    """
    empty = pd.DataFrame({name: pd.Series(dtype=str if name == "seriesuid" else float) for name in columns})
    try:
        table = pd.read_csv(
            path, dtype={"seriesuid": str}, encoding="utf-8-sig", skip_blank_lines=False,
            skipinitialspace=True, low_memory=False,
        )  # fmt: skip
    except FileNotFoundError:
        return empty, [f"{path}: no such file"]
    except OSError as error:
        return empty, [f"{path}: cannot be read ({error.strerror})"]
    except pd.errors.EmptyDataError:
        return empty, [f"{path}: the file is empty"]
    except (ValueError, pd.errors.ParserError) as error:
        return empty, [f"{path}: not a CSV table ({' '.join(str(error).split())})"]
    missing = [name for name in columns if name not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns))
        return empty, [f"{path}: column {', '.join(missing)} is missing (the file has: {found})"]
    table = table[list(columns)]
    table.index = table.index + 2
    return _good_rows(path, table.dropna(how="all"), may_repeat)


def _good_rows(path: Path, table: pd.DataFrame, may_repeat: bool) -> tuple[pd.DataFrame, list[str]]:
    numbers = table.columns.drop("seriesuid")
    table = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in numbers})
    uid = table["seriesuid"].str.strip()
    finite = pd.Series(np.isfinite(table[numbers].to_numpy(dtype=float)).all(axis=1), table.index)
    no_uid = uid.isna() | (uid == "")
    repeated = table.duplicated(keep="first") & finite & ~no_uid & (not may_repeat)
    bad_class = pd.Series(False, table.index)
    if "class" in table:
        bad_class = finite & ~table["class"].isin([0, 1])
    problems = [
        f"{path}: {text} ({lines_text(table.index[rows])})"
        for text, rows in (
            ("rows with a number that is missing, not a number or not finite", ~finite),
            ("rows without a seriesuid", no_uid),
            ("rows whose class is neither 0 nor 1", bad_class),
            ("rows that stand in the table twice", repeated),
        )
        if rows.any()
    ]
    return table.assign(seriesuid=uid)[finite & ~no_uid & ~bad_class & ~repeated], problems


def lines_text(lines: Sequence[int] | pd.Index) -> str:
    """`lines 3, 7 and 12` of a file; a long list is cut short with its length."""
    shown = ", ".join(str(line) for line in list(lines)[:_ROWS_NAMED])
    more = f" and {len(lines) - _ROWS_NAMED} more" if len(lines) > _ROWS_NAMED else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"


def read_annotations(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Nodules: seriesuid, coordX, coordY, coordZ, diameter_mm (all mm), and the problems found.

    A diameter that is not positive is a problem and its row is left out.
    """
    table, problems = read_table(path, ANNOTATION_COLUMNS)
    wrong = table["diameter_mm"] <= 0
    if wrong.any():
        problems.append(f"{path}: rows whose diameter_mm is not positive ({lines_text(table.index[wrong])})")
    return table[~wrong], problems


def read_candidates(paths: Sequence[Path]) -> tuple[pd.DataFrame, list[str]]:
    """Candidates of one or more tables in file order: seriesuid, coordX, coordY, coordZ, class."""
    read = [read_table(path, CANDIDATE_COLUMNS) for path in paths]
    table = pd.concat([frame for frame, _ in read], ignore_index=True)
    return table.astype({"class": int}), [problem for _, problems in read for problem in problems]


def join_annotations(
    candidates: pd.DataFrame, annotations: pd.DataFrame
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Chapter 11's join. Gives for each candidate diameter_mm, annotation and class by distance.

    diameter_mm and annotation (row number in `annotations`, from 0) are those of the first
    annotation of the series whose centre is within diameter/4 on each axis; 0 and -1 without one.
    The class by distance is 1 where the candidate is nearer than diameter/2 to any annotation.
    """
    diameter = np.zeros(len(candidates))
    annotation = np.full(len(candidates), -1, dtype=np.int64)
    near = np.zeros(len(candidates), dtype=np.int64)
    points = candidates[XYZ].to_numpy(dtype=float)
    centers = annotations[XYZ].to_numpy(dtype=float)
    diameters = annotations["diameter_mm"].to_numpy(dtype=float)
    rows_of = candidates.groupby("seriesuid", sort=False).indices
    for uid, nodules in annotations.groupby("seriesuid", sort=False).indices.items():
        if uid not in rows_of:
            continue
        rows = rows_of[uid]
        delta = np.abs(points[rows, None, :] - centers[None, nodules, :])
        inside = (delta <= diameters[nodules, None] / 4).all(axis=2)
        first = inside.argmax(axis=1)
        found = inside.any(axis=1)
        diameter[rows[found]] = diameters[nodules[first[found]]]
        annotation[rows[found]] = nodules[first[found]]
        near[rows] = ((delta**2).sum(axis=2) < (diameters[nodules] / 2) ** 2).any(axis=1)
    return diameter, annotation, near


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
    """Which points have a CT and lie outside it."""
    known = points["seriesuid"].isin(series["seriesuid"]).to_numpy()
    shape = series.set_index("seriesuid")[["slices", "rows", "columns"]]
    limits = shape.reindex(points["seriesuid"]).fillna(0).to_numpy()
    return known & ((irc < 0) | (irc >= limits)).any(axis=1)


def grid_of(row: Any) -> Grid:
    """The grid in a row of series.csv (see luna.verify)."""
    origin, spacing, direction = (
        np.array([float(word) for word in str(text).split()])
        for text in (row.origin, row.spacing, row.direction)
    )
    return Grid(origin, spacing, direction.reshape(3, 3))


def fold_subsets(fold: int, present: Sequence[int]) -> dict[str, list[int]]:
    """Which subsets train ("trn"), choose ("val") and test ("tst") in a fold.

    Fold k tests on subset k; the next subset that is present, cyclically, chooses epoch and
    threshold: k + 1 modulo 10 when all are there. Raises UserError when a side would be empty.
    """
    present = sorted(set(present))
    if fold not in present:
        raise UserError(
            f"fold {fold} tests on subset {fold}, which has no usable series; set `folds` to one of {present}"
        )
    if len(present) < 3:
        raise UserError(f"three subsets are needed to train, choose and test; there are {present}")
    val = min((other for other in present if other != fold), key=lambda other: (other - fold) % SUBSETS)
    return {"trn": [n for n in present if n not in (fold, val)], "val": [val], "tst": [fold]}


def split_rows(
    candidates: pd.DataFrame, fold: int, method: str = "subset", stride: int = 10
) -> dict[str, npt.NDArray[np.int64]]:
    """Row numbers of candidates.csv for "trn", "val" and "tst" of a fold.

    `subset` splits by `fold_subsets`. `stride` is the chapter's: every `stride`-th candidate
    validates, the fold shifts which; there is no test set, so "tst" is empty.
    """
    if method == "stride":
        validates = np.arange(len(candidates)) % stride == fold % stride
        rows = np.arange(len(candidates), dtype=np.int64)
        return {"trn": rows[~validates], "val": rows[validates], "tst": rows[:0]}
    subset = candidates["subset"].to_numpy()
    sides = fold_subsets(fold, [int(n) for n in np.unique(subset)])
    return {side: np.flatnonzero(np.isin(subset, subsets)) for side, subsets in sides.items()}

"""The one list of candidates that the later stages work with."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.data.luna16 import facts
from luna.data.records import Listing, SubsetCount
from luna.data.series import locate, outside_ct
from luna.data.tables import IRC, XYZ, read_annotations, read_candidates, rows_of

COLUMNS = ["id", "seriesuid", "subset", *XYZ, *IRC, "class", "diameter_mm", "annotation"]
"""One row per candidate. xyz in mm, irc in voxels; diameter_mm and annotation (row number of the
annotation, from 0) are 0 and -1 where the candidate is at no nodule."""


def list_candidates(
    series: pd.DataFrame,
    annotations_file: Path,
    candidate_files: list[Path],
    keep_patients_together: bool = False,
) -> tuple[pd.DataFrame, Listing]:
    """The candidates of the usable series, in file order, with COLUMNS; and what the list holds.

    Rows that verification named as bad and points outside their CT are left out. With
    `keep_patients_together` a patient's series all go to the lowest of their subsets.
    """
    annotations = rows_of(read_annotations(annotations_file)).reset_index(drop=True)
    series = series.assign(subset=series["subset"].astype(int))
    if keep_patients_together:
        series = series.assign(subset=_subsets_by_patient(series))
    candidates, outside = place_candidates(rows_of(read_candidates(candidate_files)), series)
    diameter, annotation, near = join_annotations(candidates, annotations)
    table = pd.DataFrame(
        {
            "id": np.arange(len(candidates)),
            "seriesuid": candidates["seriesuid"],
            "subset": candidates["seriesuid"].map(series.set_index("seriesuid")["subset"]),
            **{name: candidates[name] for name in [*XYZ, *IRC]},
            "class": candidates["class"],
            "diameter_mm": diameter,
            "annotation": annotation,
        }
    )
    return table, _listing(table, annotations, series, near, outside)


def place_candidates(candidates: pd.DataFrame, series: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The candidates of these series in file order, with the voxels (IRC) they are in.

    Those outside their CT are left out: how many, is the second value.
    """
    candidates = candidates[candidates["seriesuid"].isin(series["seriesuid"])]
    irc = locate(candidates, series)
    inside = ~outside_ct(irc, candidates, series)
    placed = candidates[inside].reset_index(drop=True)
    return placed.assign(**dict(zip(IRC, irc[inside].T, strict=True))), int((~inside).sum())


def join_annotations(
    candidates: pd.DataFrame, annotations: pd.DataFrame
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Chapter 11's join: for each candidate its diameter_mm, its annotation and its class by distance.

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


def shared_patients(series: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Patients known to have several of these series, with each series' subset."""
    subset = dict(zip(series["seriesuid"], series["subset"], strict=True))
    found = {
        patient: {uid: int(subset[uid]) for uid in uids if uid in subset}
        for patient, uids in facts()["shared_patients"].items()
    }
    return {patient: uids for patient, uids in found.items() if len(uids) > 1}


def _subsets_by_patient(series: pd.DataFrame) -> pd.Series:
    moved = {uid: min(uids.values()) for uids in shared_patients(series).values() for uid in uids}
    return series["seriesuid"].map(moved).fillna(series["subset"]).astype(int)


def _listing(
    table: pd.DataFrame,
    annotations: pd.DataFrame,
    series: pd.DataFrame,
    near: np.ndarray,
    outside: int,
) -> Listing:
    """Counts per subset, nodules that no candidate hits, and classes that the distance contradicts."""
    here = annotations[annotations["seriesuid"].isin(series["seriesuid"])]
    hits = table[["seriesuid", *XYZ]].merge(
        here.reset_index(names="nodule"), on="seriesuid", suffixes=("", "_nodule")
    )
    squared = sum((hits[name] - hits[f"{name}_nodule"]) ** 2 for name in XYZ)
    hit = set(hits["nodule"][squared < (hits["diameter_mm"] / 2) ** 2])
    missed = here[~here.index.isin(hit)]
    differs = table[near != table["class"].to_numpy()]
    split = {
        patient: uids for patient, uids in shared_patients(series).items() if len(set(uids.values())) > 1
    }
    by_subset = table.groupby("subset")["class"].agg(["size", "sum"])
    return Listing(
        candidates=len(table),
        positive=int(table["class"].sum()),
        outside_ct=outside,
        nodules=len(here),
        nodules_without_candidate=missed.reset_index(names="annotation").to_dict("records"),
        class_differs_from_distance=differs["id"].tolist(),
        subsets={
            str(n): SubsetCount(
                series=int((series["subset"] == n).sum()),
                candidates=int(row["size"]),
                positive=int(row["sum"]),
            )
            for n, row in by_subset.iterrows()
        },
        patients_in_two_subsets=split,
    )

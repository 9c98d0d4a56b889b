"""From tables and usable series to the one list of candidates the later stages work with."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from luna.luna16 import facts
from luna.tables import (
    IRC,
    XYZ,
    join_annotations,
    locate,
    outside_ct,
    read_annotations,
    read_candidates,
)

COLUMNS = ["id", "seriesuid", "subset", *XYZ, *IRC, "class", "diameter_mm", "annotation"]
"""A row a candidate. xyz in mm, irc in voxels; diameter_mm and annotation (row number of the
annotation, from 0) are 0 and -1 where the candidate is at no nodule."""


def list_candidates(
    series: pd.DataFrame,
    annotations_file: Path,
    candidate_files: list[Path],
    keep_patients_together: bool = False,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The candidates of the usable series, in file order, with COLUMNS; and a report on them.

    Rows that verification named as bad and points outside their CT are left out. With
    `keep_patients_together` a patient's series all go to the lowest of their subsets.
    """
    annotations, _ = read_annotations(annotations_file)
    candidates, _ = read_candidates(candidate_files)
    annotations = annotations.reset_index(drop=True)
    series = series.assign(subset=series["subset"].astype(int))
    if keep_patients_together:
        series = series.assign(subset=_subsets_by_patient(series))
    candidates = candidates[candidates["seriesuid"].isin(series["seriesuid"])]
    irc = locate(candidates, series)
    inside = ~outside_ct(irc, candidates, series)
    candidates, irc = candidates[inside].reset_index(drop=True), irc[inside]
    diameter, annotation, near = join_annotations(candidates, annotations)
    table = pd.DataFrame(
        {
            "id": np.arange(len(candidates)),
            "seriesuid": candidates["seriesuid"],
            "subset": candidates["seriesuid"].map(series.set_index("seriesuid")["subset"]),
            **{name: candidates[name] for name in XYZ},
            **dict(zip(IRC, irc.T, strict=True)),
            "class": candidates["class"],
            "diameter_mm": diameter,
            "annotation": annotation,
        }
    )
    return table, _report(table, annotations, series, near, int((~inside).sum()))


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


def _report(
    table: pd.DataFrame,
    annotations: pd.DataFrame,
    series: pd.DataFrame,
    near: np.ndarray,
    outside: int,
) -> dict[str, Any]:
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
    return {
        "candidates": len(table),
        "positive": int(table["class"].sum()),
        "outside_ct": outside,
        "nodules": len(here),
        "nodules_without_candidate": missed.reset_index(names="annotation").to_dict("records"),
        "class_differs_from_distance": differs["id"].tolist(),
        "subsets": {
            str(n): {
                "series": int((series["subset"] == n).sum()),
                "candidates": int(row["size"]),
                "positive": int(row["sum"]),
            }
            for n, row in by_subset.iterrows()
        },
        "patients_in_two_subsets": split,
    }

"""The chapter's join, the split, and the listing of candidates."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Prepared
from luna.data.candidates import COLUMNS, join_annotations, list_candidates
from luna.data.luna16 import facts, subset_of
from luna.data.tables import XYZ


def join_slowly(
    candidates: pd.DataFrame, annotations: pd.DataFrame
) -> tuple[list[float], list[int], list[int]]:
    """The chapter's join, candidate by candidate."""
    diameters, indices, near = [], [], []
    for candidate in candidates.itertuples():
        found, index, close = 0.0, -1, 0
        for number, nodule in enumerate(annotations.itertuples()):
            if nodule.seriesuid != candidate.seriesuid:
                continue
            delta = [abs(getattr(candidate, name) - getattr(nodule, name)) for name in XYZ]
            if index < 0 and all(each <= nodule.diameter_mm / 4 for each in delta):
                found, index = nodule.diameter_mm, number
            close |= sum(each**2 for each in delta) < (nodule.diameter_mm / 2) ** 2
        diameters.append(found)
        indices.append(index)
        near.append(int(close))
    return diameters, indices, near


point = st.tuples(st.sampled_from("ab"), *[st.integers(-6, 6).map(float)] * 3)


@settings(max_examples=150, deadline=None)
@given(st.lists(point, max_size=12), st.lists(st.tuples(point, st.integers(1, 16)), max_size=8))
def test_join_is_the_chapters(points: list[tuple], nodules: list[tuple]) -> None:
    candidates = pd.DataFrame(points, columns=["seriesuid", *XYZ]).astype({"seriesuid": str})
    annotations = pd.DataFrame(
        [(*place, float(diameter)) for place, diameter in nodules],
        columns=["seriesuid", *XYZ, "diameter_mm"],
    ).astype({"seriesuid": str})
    fast = [each.tolist() for each in join_annotations(candidates, annotations)]
    assert fast == list(join_slowly(candidates, annotations))


def test_join_of_luna16_size(real_data: Path) -> None:
    """551,065 candidates against the 1,186 annotations; the time is printed, not judged."""
    annotations = pd.read_csv(real_data / "luna16" / "annotations.csv")
    rng = np.random.default_rng(0)
    uids = rng.choice(list(subset_of()), 551_065)
    candidates = pd.DataFrame(rng.uniform(-200, 200, (551_065, 3)), columns=XYZ).assign(seriesuid=uids)
    start = time.monotonic()
    diameter, annotation, near = join_annotations(candidates, annotations)
    print(f"joined in {time.monotonic() - start:.1f} s")
    assert ((diameter > 0) == (annotation >= 0)).all()
    assert near.sum() > 0


def test_voxels_agree_with_simpleitk(prepared: Prepared) -> None:
    images = {row.seriesuid: sitk.ReadImage(row.path) for row in prepared.series.itertuples()}
    for row in prepared.candidates.to_dict("records"):
        expected = images[row["seriesuid"]].TransformPhysicalPointToIndex([row[name] for name in XYZ])
        assert (row["col"], row["row"], row["index"]) == expected


def test_listing_of_the_phantom(prepared: Prepared) -> None:
    table = prepared.candidates
    assert list(table.columns) == COLUMNS
    assert table["id"].tolist() == list(range(len(table)))
    assert set(table["class"]) == {0, 1}
    nodules = pd.read_csv(prepared.annotations)
    matched = table[table["annotation"] >= 0]
    assert (nodules["diameter_mm"].to_numpy()[matched["annotation"]] == matched["diameter_mm"]).all()
    assert (table.loc[table["class"] == 0, "diameter_mm"] == 0).all()


def test_a_point_outside_its_ct_is_left_out_and_counted(prepared: Prepared, tmp_path: Path) -> None:
    table = pd.read_csv(prepared.root / "candidates.csv")
    table.loc[0, "coordX"] = 1e6
    table.to_csv(tmp_path / "candidates.csv", index=False)
    listed, listing = list_candidates(prepared.series, prepared.annotations, [tmp_path / "candidates.csv"])
    assert len(listed) == len(table) - 1
    assert listing.outside_ct == 1


def test_a_class_that_the_distance_contradicts_is_reported(prepared: Prepared, tmp_path: Path) -> None:
    table = pd.read_csv(prepared.root / "candidates.csv")
    wrong = table.index[table["class"] == 1][0]
    table.loc[wrong, "class"] = 0
    table.to_csv(tmp_path / "candidates.csv", index=False)
    _, listing = list_candidates(prepared.series, prepared.annotations, [tmp_path / "candidates.csv"])
    assert listing.class_differs_from_distance == [wrong]


def test_nodules_without_a_candidate_are_listed(prepared: Prepared, tmp_path: Path) -> None:
    table = pd.read_csv(prepared.root / "candidates.csv")
    table[table["class"] == 0].to_csv(tmp_path / "candidates.csv", index=False)
    _, listing = list_candidates(prepared.series, prepared.annotations, [tmp_path / "candidates.csv"])
    assert len(listing.nodules_without_candidate) == listing.nodules > 0


def test_the_known_patient_in_two_subsets(prepared: Prepared, tmp_path: Path) -> None:
    (first, second) = facts()["shared_patients"]["LIDC-IDRI-0332"]
    series = prepared.series.iloc[:2].assign(seriesuid=[first, second], subset=[2, 6])
    text = "seriesuid,coordX,coordY,coordZ,class\n"
    for row in series.itertuples():
        x, y, z = (float(word) + 1 for word in row.origin.split())
        sign = float(row.direction.split()[0])
        text += f"{row.seriesuid},{x if sign > 0 else x - 2},{y if sign > 0 else y - 2},{z},0\n"
    (tmp_path / "candidates.csv").write_text(text)
    files = (prepared.annotations, [tmp_path / "candidates.csv"])
    _, listing = list_candidates(series, *files)
    assert listing.patients_in_two_subsets == {"LIDC-IDRI-0332": {first: 2, second: 6}}
    table, listing = list_candidates(series, *files, keep_patients_together=True)
    assert listing.patients_in_two_subsets == {}
    assert set(table["subset"]) == {2}

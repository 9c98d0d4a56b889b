"""What the page's script is given: pictures as they lie in the patient, and charts that come out the same."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics

from luna.base.arrays import FloatArray
from luna.base.files import read_record, write_record
from luna.config.sweeps import SweepRuns
from luna.pages.png import tiled
from luna.report.charts import vega_bundle
from luna.report.explore import HIGHEST_HU, LOWEST_HU, TILES, slices_picture, turns
from luna.report.figures import learning, precision_recall_curve, roc_curve, swept, varied_keys
from luna.report.results import ResultFiles, read_results
from luna.scoring.examples import shown_candidates
from luna.scoring.ranking import Ranking
from luna.scoring.records import Summary


def test_axes_run_from_the_head_backwards_and_left() -> None:
    """LUNA16's index rises to the head; a CT with other directions is turned so that it looks the same."""
    block = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    usual = block[turns(np.eye(3))]
    assert usual[0, 0, 0] == block[1, 0, 0]
    flipped = block[::-1, ::-1, ::-1]
    assert np.array_equal(flipped[turns(-np.eye(3))], usual)


def test_pictures_keep_the_voxels() -> None:
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(0, 30, (9, 24, 24)), axis=2).astype(np.int16) - 500
    picture = Image.open(io.BytesIO(base64.b64decode(slices_picture(smooth).partition(",")[2]))).convert("L")
    assert picture.size == (TILES * 24, 2 * 24)
    grey = np.asarray(picture, dtype=float)
    tile = grey[24:, :24]  # the ninth slice begins the second row
    hu = LOWEST_HU + tile / 255 * (HIGHEST_HU - LOWEST_HU)
    expected = np.clip(smooth[8], LOWEST_HU, HIGHEST_HU)
    assert np.abs(hu - expected).mean() < 40
    assert np.corrcoef(hu.ravel(), expected.ravel())[0, 1] > 0.95


def test_tiles_fill_with_black() -> None:
    assert tiled(np.ones((3, 2, 2), np.uint8), 2).tolist() == [[1, 1, 1, 1]] * 2 + [[1, 1, 0, 0]] * 2


def test_all_nodules_and_the_highest_others_are_shown() -> None:
    table = pd.DataFrame(
        {"id": range(6), "class": [0, 1, 0, 0, 1, 0], "probability": [0.1, 0, 0.9, 0.5, 1, 0.5]}
    )
    assert shown_candidates(table, 2)["id"].tolist() == [1, 4, 2, 3]
    assert shown_candidates(table, 0)["id"].tolist() == [1, 4]


def test_a_chart_is_the_same_each_time_and_says_what_it_shows() -> None:
    history = pd.DataFrame(
        {"run": "a", "split": ["trn", "val"] * 2, "epoch": [1, 1, 2, 2], "loss/all": [0.5, 0.6, np.nan, 0.4]}
    )
    one, two = (learning(history, ["a"], "loss/all", {"a": 2}) for _ in range(2))
    assert one.svg == two.svg
    assert 'aria-label="loss/all by epoch"' in one.svg
    assert "currentColor" in one.svg
    assert [(row["epoch"], row["split"], row["kept"]) for row in one.rows] == [
        (1, "training", False), (1, "validation", False), (2, "validation", True),
    ]  # fmt: skip


def test_the_bundle_can_stand_in_a_page() -> None:
    bundle = vega_bundle().lower()
    assert not any(each in bundle for each in ("</script", "<!--", "\r"))


def test_a_sweep_has_a_table_and_a_chart_for_each_key_that_varies(report_page: Path, tmp_path: Path) -> None:
    """The page of two runs, taken for a sweep over the number of epochs and the seed's precision."""
    results = report_page.parent
    summary = read_record(results / "summary.json", Summary)
    longer = summary.runs["b"].recipe.model_copy(update={"epochs": 7})
    runs = summary.runs | {"b": summary.runs["b"].model_copy(update={"recipe": longer})}
    files = ResultFiles(
        verification=results / "verification.json", listing=results / "candidates.json",
        summary=tmp_path / "summary.json", metrics=results / "metrics.csv", benchmarks=[],
        candidates=results / "candidates.csv", series=results / "series.csv",
        folders=[results / "runs" / run / "fold0" for run in "ab"],
    )  # fmt: skip
    write_record(files.summary, summary.model_copy(update={"runs": runs}))
    sweep = {"long": SweepRuns(keys=["epochs", "precision"], runs=["a", "b"])}
    read = read_results(files, sweep)
    assert varied_keys(read) == [("long", "epochs")]
    drawn = swept(read, "long", "epochs")
    assert [(row["run"], row["value"]) for row in drawn.rows] == [("a", 2), ("b", 7)]
    assert all(row["lower"] <= row["cpm"] <= row["upper"] for row in drawn.rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), max_size=40))
def test_curves_are_those_of_scikit_learn(samples: list[tuple[int, int]]) -> None:
    """Fewer points, on the same lines."""
    labels, scores = (np.array(each) for each in zip((0, 3), (1, 9), *samples, strict=True))
    ranked = Ranking(labels, scores / 12)
    false, found, _ = metrics.roc_curve(labels, scores / 12, drop_intermediate=False)
    curve = roc_curve(ranked)
    points = set(zip(false, found, strict=True))
    assert points >= set(zip(curve["fpr"], curve["recall"], strict=True))
    assert len(curve["fpr"]) <= len(points)
    assert metrics.auc(curve["fpr"], curve["recall"]) == pytest.approx(metrics.auc(false, found))

    precision, recall, _ = metrics.precision_recall_curve(labels, scores / 12)
    curve = precision_recall_curve(ranked)
    assert ends_by_recall(curve["recall"], curve["precision"]) == ends_by_recall(
        recall[::-1], precision[::-1]
    )


def ends_by_recall(recall: FloatArray, precision: FloatArray) -> dict[float, list[float]]:
    """The first and last precision at each recall, as the threshold falls."""
    table = pd.DataFrame({"recall": recall, "precision": precision}).round(9)
    return {at: each.iloc[[0, -1]].tolist() for at, each in table.groupby("recall")["precision"]}

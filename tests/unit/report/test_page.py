"""From a model to metrics.csv and the page, where a figure is not defined, and the page in a browser."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import SMALL_CROP, Prepared, prepare
from luna.base.files import read_record
from luna.config.phantom import PhantomSettings
from luna.data.records import Listing
from luna.phantom.dataset import make_phantom
from luna.report.findings import findings
from luna.report.results import Results
from luna.scoring.records import Comparison, Summary
from unit.report.conftest import VERIFICATION, chain


def changed(phantom: Path, tmp_path: Path, kind: str) -> Prepared:
    """The phantom with tables that lack something a metric needs in the test subset."""
    root = tmp_path / "data"
    shutil.copytree(phantom, root)
    tested = [path.stem for path in (root / "subset0").glob("*.mhd")]
    for name in ("annotations", "candidates"):
        table = pd.read_csv(root / f"{name}.csv", dtype={"seriesuid": str})
        in_test = table["seriesuid"].isin(tested)
        if kind == "no nodules":
            table = table[~in_test | (name == "candidates")]
        if name == "candidates" and kind in ("no nodules", "no positives"):
            table = table[~in_test | (table["class"] == 0)]
        if name == "candidates" and kind == "no negatives":
            table = table[~in_test | (table["class"] == 1)]
        table.to_csv(root / f"{name}.csv", index=False)
    return prepare(root, tmp_path / "results", SMALL_CROP)


@pytest.mark.parametrize("kind", ["no nodules", "no positives", "no negatives", "constant scores"])
def test_undefined_figures_are_empty_and_explained(phantom: Path, tmp_path: Path, kind: str) -> None:
    """Never NaN in a table or on the page; a reason instead."""
    epochs = 0 if kind == "constant scores" else 1
    results = chain(changed(phantom, tmp_path, kind), epochs)
    for name in ("metrics.csv", "summary.csv", "runs/a/fold0/predictions.csv"):
        text = (results / name).read_text()
        assert "nan" not in text.lower()
        assert "inf" not in text.lower()
    page = (results / "report.html").read_text(encoding="utf-8")
    markup = r"<svg.*?</svg>|<img[^>]*>|<style>.*?</style>|<script.*?</script>"
    assert "nan" not in re.sub(markup, "", page, flags=re.S).lower()
    embedded = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.S)
    assert len(embedded) == 9
    for each in embedded:
        json.loads(each, parse_constant=pytest.fail)
    why = json.loads((results / "runs/a/fold0/evaluation.json").read_text())["why_undefined"]
    assert bool(why) == (kind != "constant scores")
    for reason in why:
        assert reason in page
    summary = pd.read_csv(results / "summary.csv")
    assert summary["auc"].isna().all() == (kind != "constant scores")
    assert summary["cpm"].isna().all() == (kind == "no nodules")


def test_a_single_series_in_the_test(tmp_path: Path) -> None:
    make_phantom(tmp_path / "data", PhantomSettings(series=3, size=64, slices=24, candidates=16), seed=0)
    results = chain(prepare(tmp_path / "data", tmp_path / "results", SMALL_CROP), 1)
    assert pd.read_csv(results / "summary.csv")["scans"].tolist() == [1, 1]


def test_the_page_needs_nothing_from_outside(report_page: Path) -> None:
    text = report_page.read_text(encoding="utf-8")
    text = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    sources = re.findall(r"""(?:src|href|xlink:href)=["']([^"']*)["']""", text)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    ids = set(re.findall(r"id=\"([^\"]+)\"", text))
    assert all(source[1:] in ids for source in sources if source.startswith("#") and len(source) > 1)


def test_plain_sentences_stand_on_the_page(report_page: Path) -> None:
    text = report_page.read_text(encoding="utf-8")
    assert "cannot be distinguished" in text or "is better than" in text
    assert "no threshold can promise that series miss on average at most 10 %" in text
    assert "of the test\u0026#39;s candidates are nodules" in text


def test_what_stands_out_is_said(report_page: Path) -> None:
    """A run that never predicts a nodule, a leak, a validation curve that turns, a shared patient."""
    results = report_page.parent
    summary = read_record(results / "summary.json", Summary)
    first, second = summary.runs["a"], summary.runs["b"]
    nothing = first.at_threshold["half"].model_copy(update={"true_positives": 0, "false_positives": 0})
    second = second.model_copy(
        update={"at_threshold": {"half": nothing.model_copy(update={"true_positives": 1})}}
    )
    first = first.model_copy(update={"leaks": True, "at_threshold": first.at_threshold | {"half": nothing}})
    shared = {"patients_in_two_subsets": {"P": {"1.2": 2, "1.3": 6}}}
    rows = [
        {"run": "a", "fold": 0, "epoch": epoch, "split": split, "loss/all": loss}
        for split, losses in (("trn", [3, 2, 1, 0.5, 0.4]), ("val", [3, 1, 1.4, 1.5, 1.6]))
        for epoch, loss in enumerate(losses, start=1)
    ]
    changed = Results(
        verification=VERIFICATION,
        listing=read_record(results / "candidates.json", Listing).model_copy(update=shared),
        summary=summary.model_copy(update={"runs": {"a": first, "b": second}}),
        metrics=pd.DataFrame(rows),
        candidates=pd.DataFrame(), series=pd.DataFrame(),
        predictions={}, saliency={}, stages=[], sweeps={},
    )  # fmt: skip
    said = "\n".join(text for _, text in findings(changed))
    assert "a predicts 'not a nodule' for everything" in said
    assert "b predicts" not in said
    assert "stride puts the same CT, even the same nodule, on both sides" in said
    assert "patient P has series in subsets 2 and 6" in said
    assert "lowest in epoch 2 and rose afterwards" in said


def compared(*pairs: tuple[str, str, float, float]) -> list[Comparison]:
    """Comparisons: first and second run, difference, p corrected."""
    return [
        Comparison(first=a, second=b, difference=d, lower=d - 1, upper=d + 1, won=0.5, p=p, p_holm=p)
        for a, b, d, p in pairs
    ]


def test_many_runs_have_one_sentence(report_page: Path) -> None:
    """How the best compares with the others; and a warning where no p-value can be small enough."""
    results = report_page.parent
    summary = read_record(results / "summary.json", Summary)
    one = summary.runs["a"]
    pairs = compared(
        ("a", "b", 0.3, 0.01), ("a", "c", 0.1, 0.2), ("a", "d", 0.4, 0.02), ("b", "c", -0.1, 0.9),
        ("b", "d", 0.1, 0.9), ("c", "d", 0.1, 0.01),
    )  # fmt: skip
    read = Results(
        verification=VERIFICATION, listing=read_record(results / "candidates.json", Listing),
        summary=Summary(bootstrap=100, runs=dict.fromkeys("abcd", one), comparisons=pairs),
        metrics=pd.read_csv(results / "metrics.csv"), candidates=pd.DataFrame(), series=pd.DataFrame(),
        predictions={}, saliency={}, stages=[], sweeps={},
    )  # fmt: skip
    said = [text for _, text in findings(read)]
    assert (
        "a has the highest CPM; it is better than b, d; it cannot be distinguished from c"
        " (p corrected for 6 comparisons)."
    ) in said
    assert not any("is better than c" in text for text in said)
    assert any(text.startswith("6 comparisons need at least 240 resamples") for text in said)


def test_predictions_are_a_submission(report_page: Path) -> None:
    table = pd.read_csv(report_page.parent / "runs" / "a" / "fold0" / "predictions.csv")
    assert list(table.columns[:5]) == ["seriesuid", "coordX", "coordY", "coordZ", "probability"]
    assert {"class", "diameter_mm"} <= set(table.columns)
    assert np.isfinite(table["probability"]).all()

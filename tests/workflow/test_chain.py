"""The whole chain, run as a user runs it."""

import functools
import json
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from snakemake.utils import update_config

from conftest import PROJECT
from luna.config.phantom import PhantomSettings
from luna.model.file import ModelFile
from luna.phantom.dataset import make_phantom
from luna.scoring.metrics import NAMES

from .conftest import Workflow


def test_phantom_chain(done: Workflow) -> None:
    """Every file is there and right, and nothing is left to do."""
    metrics = pd.read_csv(done.result("metrics.csv"))
    assert set(NAMES) <= set(metrics.columns)
    assert metrics[["run", "fold", "epoch", "split"]].to_numpy().tolist() == [
        [run, 0, 1, split] for run in ("first", "second") for split in ("trn", "val", "tst")
    ]
    first_trn = metrics[(metrics["run"] == "first") & (metrics["split"] == "trn")].iloc[0]
    listed = pd.read_csv(done.result("candidates.csv"))
    assert first_trn["samples"] == (~listed["subset"].isin([0, 1])).sum()
    assert metrics[(metrics["run"] == "second")]["samples"].iloc[0] == 32
    summary = pd.read_csv(done.result("summary.csv"))
    assert summary["run"].tolist() == ["first", "second"]
    predictions = pd.read_csv(done.result("runs/first/fold0/predictions.csv"))
    assert set(predictions["seriesuid"]) == set(listed["seriesuid"][listed["subset"] == 0])
    model = ModelFile.load(done.result("runs/first/fold0/model.pt"))
    assert (model.run, model.crop, model.clip) == ("first", (16, 16, 16), (-1000, 1000))
    page = done.result("report.html").read_text(encoding="utf-8")
    assert "What stands out" in page
    assert "first" in page
    assert any(done.result("tensorboard").rglob("events.*"))
    assert done.planned() == []


def test_programs_read_only_what_their_rules_name(finished: Workflow) -> None:
    """What programs open is compared with the inputs that Snakemake has recorded for their rules."""
    inputs: dict[str, set[str]] = {}
    for path in (finished.folder / ".snakemake" / "metadata").rglob("*"):
        record = json.loads(path.read_text()) if path.is_file() else {"rule": "", "input": []}
        inputs.setdefault(f"{record['rule']}.py", set()).update(record["input"])
    read: dict[str, set[str]] = {}
    for path in (finished.folder / "opened").iterdir():
        read.setdefault(path.name.rpartition("-")[0], set()).update(path.read_text().splitlines())
    assert set(read) >= {
        f"{rule}.py"
        for rule in (
            "verify_subset",
            "verify",
            "candidates",
            "cache_subset",
            "verify_voxels",
            "train",
            "evaluate",
            "metrics",
            "report",
        )
    }
    for program, opened in read.items():
        data = {name for name in opened if name.startswith("results/") and not name.startswith(NOT_INPUTS)}
        assert program == "phantom.py" or data, program
        assert data <= inputs[program], program


NOT_INPUTS = (
    "results/cache/crops/",  # of which the input, results/cache/subset*.json, holds the digests
    "results/benchmarks/",  # times, which the report shows and no result depends on
)


def test_mistakes_in_the_config_stop_before_anything_runs(workflow: Workflow) -> None:
    workflow.config["cache"]["codec"] = "zip"
    workflow.config["sed"] = 1
    done = workflow.run(check=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "cache.codec" in text
    assert "sed: unknown key" in text
    assert "Traceback" not in text
    assert not workflow.result("phantom").exists()


def test_missing_data_is_named(workflow: Workflow) -> None:
    workflow.config["data"] = {"source": "files", "root": "nowhere"}
    done = workflow.run(check=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "nowhere" in text
    assert "Traceback" not in text


def test_a_failing_job_shows_its_message(workflow: Workflow) -> None:
    workflow.config["folds"] = [0]
    workflow.config["phantom"]["series"] = 2
    done = workflow.run(check=False)
    assert "three subsets are needed" in done.stdout + done.stderr


def test_real_slabs(real_data: Path, workflow: Workflow) -> None:
    """Three real LUNA16 slabs, fewer slices than a crop has, with paths given in the config only."""
    workflow.config["data"] = {
        "source": "files",
        "root": str(real_data / "slabs"),
        "annotations": str(real_data / "luna16" / "annotations.csv"),
        "excluded": str(real_data / "luna16" / "annotations_excluded.csv"),
        "candidates": [str(real_data / "slabs" / "candidates.csv")],
    }
    workflow.config |= {"folds": [1], "cache": {}, "phantom": {}}
    workflow.config["runs"] = {"first": {"epochs": 1, "model": {"channels": [2, 4, 8, 16]}}}
    workflow.run()
    verification = json.loads(workflow.result("verification.json").read_text())
    assert verification["problems"] == []
    series = pd.read_csv(workflow.result("series.csv")).set_index("seriesuid")
    assert len(series) == 3
    listed = pd.read_csv(workflow.result("candidates.csv"))
    assert len(listed) == 23
    for row in listed.to_dict("records"):
        image = sitk.ReadImage(series.loc[row["seriesuid"], "path"])
        voxel = image.TransformPhysicalPointToIndex([row["coordX"], row["coordY"], row["coordZ"]])
        assert voxel == (row["col"], row["row"], row["index"])
    metrics = pd.read_csv(workflow.result("metrics.csv"))
    assert metrics["split"].tolist() == ["trn", "val", "tst"]
    assert np.isfinite(metrics["loss/all"]).all()
    assert workflow.planned() == []


def test_without_a_cache(with_files: Workflow) -> None:
    """Crops cut straight from the CTs give the same results as cached ones."""
    names = ["metrics.csv", "runs/second/fold0/predictions.csv"]
    before = {name: with_files.result(name).read_bytes() for name in names}
    with_files.config["cache"]["source"] = "none"
    shutil.rmtree(with_files.result("cache/crops"))
    times = with_files.result("benchmarks")
    shutil.copy(times / "train_second_fold0.tsv", times / "train_removed_fold0.tsv")
    with_files.run()
    page = with_files.result("report.html").read_text(encoding="utf-8")
    assert "train_second_fold0" in page
    assert "train_removed_fold0" not in page, "a run that the config no longer has"
    for name in names:
        assert with_files.result(name).read_bytes() == before[name]
    # The voxels were checked, nothing was cut.
    assert {path.suffix for path in with_files.result("cache/crops").iterdir()} == {".json"}


def test_download_then_verify(workflow: Workflow, tmp_path: Path) -> None:
    """Where no data is, the download's target works; afterwards the plain command finds the data."""
    root = tmp_path / "data"
    make_phantom(root, PhantomSettings(series=4, size=64, slices=24, candidates=24), seed=0)
    served = tmp_path / "served"
    served.mkdir()
    shutil.make_archive(str(served / "subset_all"), "zip", root)
    entry = {"key": "subset_all.zip", "links": {"self": "subset_all.zip"}}
    entry["size"] = (served / "subset_all.zip").stat().st_size
    (served / "record").write_text(json.dumps({"files": [entry]}))
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        workflow.config["data"] = {
            "source": "files", "root": str(tmp_path / "got"), "files": ["subset*"],
            "records": [f"http://127.0.0.1:{server.server_address[1]}/record"],
        }  # fmt: skip
        failed = workflow.run(check=False)
        assert "`snakemake results/download.json`" in failed.stdout + failed.stderr
        workflow.run("--", "results/download.json")
        server.shutdown()
    workflow.run("--", "results/series.csv")
    assert len(pd.read_csv(workflow.result("series.csv"))) == 4


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("data.excluded", {"data": {"excluded": "typo.csv"}}),
        ("data.annotations", {"data": {"annotations": "typo.csv"}}),
        ("data.candidates", {"data": {"candidates": ["data/candidates.csv", "typo.csv"]}}),
        ("runs.second.init_weights", {"runs": {"second": {"init_weights": "typo.csv"}}}),
    ],
)
def test_a_file_that_the_config_names_must_be_there(
    with_files: Workflow, key: str, values: dict[str, Any]
) -> None:
    """Or finished results would pass for those of the new config."""
    update_config(with_files.config, values)
    failed = with_files.run(check=False)
    assert failed.returncode != 0
    text = failed.stdout + failed.stderr
    assert f"{key}: " in text
    assert "typo.csv: no such file" in text


def test_from_another_folder_the_recipes_are_the_same(workflow: Workflow, tmp_path: Path) -> None:
    workflow.planned()
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--printshellcmds", "--cores", "2"]
    here, elsewhere = (
        subprocess.run(
            [*command, "-s", str(workflow.folder / "Snakefile")],
            cwd=folder, capture_output=True, text=True, check=True,
        ).stdout
        for folder in (workflow.folder, tmp_path)
    )  # fmt: skip
    trainings = [[line for line in text.splitlines() if "train.py" in line] for text in (here, elsewhere)]
    assert len(trainings[0]) == 2
    assert trainings[0] == trainings[1]


def test_a_mistyped_run_in_a_target(done: Workflow) -> None:
    failed = done.run("--", "results/runs/typo/fold0/model.pt", check=False)
    assert failed.returncode != 0
    assert "no run is called 'typo'; the config has first, second" in failed.stdout + failed.stderr


def test_more_gpus_than_snakemake_may_use(workflow: Workflow) -> None:
    workflow.config["runs"]["second"]["gpus"] = 4
    failed = workflow.run("--dry-run", check=False)
    assert failed.returncode != 0
    assert "runs.second.gpus is 4, but Snakemake may use 1" in failed.stdout + failed.stderr


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"folds": [0, 5, 7]}, ["fold 5 tests on subset 5", "fold 7 tests on subset 7", "phantom.series"]),
        ({"phantom": {"series": 2}}, ["three subsets are needed"]),
    ],
)
def test_folds_that_cannot_be_trained(workflow: Workflow, values: dict[str, Any], words: list[str]) -> None:
    """All are named when the workflow is planned, not after hours of work."""
    update_config(workflow.config, values)
    failed = workflow.run("--dry-run", check=False)
    assert failed.returncode != 0
    for word in words:
        assert word in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr


def test_candidates_for_a_data_set_without_a_table(workflow: Workflow) -> None:
    """`propose` puts the models that come with the project in the place of the table of candidates."""
    shutil.copytree(PROJECT / "weights", workflow.folder / "weights")
    workflow.config["data"] |= {"candidates": "propose", "proposals": 5}
    workflow.config["phantom"] |= {"view": "chest", "size": 64}
    assert "propose_subset 0" in workflow.planned()
    workflow.run("--", "results/proposals/subset0.csv")
    table = pd.read_csv(workflow.result("proposals/subset0.csv"))
    assert list(table.columns) == ["seriesuid", "coordX", "coordY", "coordZ", "class"]
    assert 0 < len(table) <= 5

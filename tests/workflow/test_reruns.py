"""The rerun contract: what a change makes run again, and that the results are those of a run from scratch."""

import json
import os
import shutil
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
import yaml

from luna.model.file import load_tensors
from luna.scoring.saliency import Saliency
from unit.imaging.images import write_dicom

from .conftest import Workflow, jobs_in

AFTER = ["metrics", "report"]
MODELS = ["runs/first/fold0/model.pt", "runs/second/fold0/model.pt"]


def edit(workflow: Workflow, file: str, old: str, new: str) -> None:
    path = workflow.folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def touch_everything(workflow: Workflow) -> None:
    for path in workflow.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            path.touch()


def comment_in_code(workflow: Workflow) -> None:
    edit(workflow, "workflow/luna/model/luna.py", "import math", "# why not\n\nimport math")
    edit(workflow, "workflow/luna/data/tables.py", '"""Read tables', '"""Reads tables')


def reversed_keys(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: reversed_keys(each) for key, each in reversed(value.items())}


def move_a_key(workflow: Workflow) -> None:
    """All keys but those of `runs`, whose order is that of the report."""
    before = (workflow.folder / "config" / "config.yaml").read_text()
    runs = workflow.config["runs"]
    workflow.config = reversed_keys(workflow.config)
    workflow.config["runs"] = {run: reversed_keys(recipe) for run, recipe in runs.items()}
    assert yaml.safe_dump(workflow.config, sort_keys=False) != before
    assert yaml.safe_load(before) == workflow.config


def say_a_default(workflow: Workflow) -> None:
    workflow.config["training"] = {"momentum": 0.99}
    workflow.config["phantom"]["view"] = "part"
    workflow.config["data"]["on_problem"] = "stop"


def machine_options(workflow: Workflow) -> None:
    workflow.config["training"] = {
        "device": "cpu", "num_workers": 1, "loader": "workers", "tensorboard_prefix": "p", "comment": "c",
        "tensorboard_writers": "one", "checkpoint_minutes": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change", [touch_everything, comment_in_code, move_a_key, say_a_default, machine_options]
)
def test_nothing_runs(done: Workflow, change: Callable[[Workflow], None]) -> None:
    change(done)
    assert done.planned() == []


def model_code(workflow: Workflow) -> None:
    edit(workflow, "workflow/luna/model/luna.py", "self.relu2(self.maxpool(", "self.relu2(2 * self.maxpool(")


def froc_code(workflow: Workflow) -> None:
    edit(
        workflow,
        "workflow/luna/scoring/froc.py",
        "_UNKNOWN_DIAMETER_MM = 10.0",
        "_UNKNOWN_DIAMETER_MM = 11.0",
    )


def evaluation_settings(workflow: Workflow) -> None:
    workflow.config["evaluation"]["bootstrap"] = 60


def report_code(workflow: Workflow) -> None:
    edit(workflow, "workflow/luna/report/figures.py", "_WIDE = 8", "_WIDE = 9")


def new_module_of_the_report(workflow: Workflow) -> None:
    (workflow.folder / "workflow/luna/report/extra.py").write_text("VALUE = 1\n")
    edit(
        workflow,
        "workflow/luna/report/page.py",
        "import numpy as np",
        "import luna.report.extra\nimport numpy as np",
    )


def epochs_of_one_run(workflow: Workflow) -> None:
    workflow.config["runs"]["second"]["epochs"] = 2


def new_run(workflow: Workflow) -> None:
    workflow.config["runs"]["third"] = {"epochs": 1, "model": {"channels": [2, 4]}}


def new_value_of_a_sweep(workflow: Workflow) -> None:
    """To a sweep that was not there before: its runs are those of the values."""
    workflow.config["sweeps"] = {"rate": {"run": "first", "values": {"learning_rate": [0.01]}}}


def new_fold(workflow: Workflow) -> None:
    workflow.config["folds"] = [0, 2]


def of_runs(*runs: str, fold: int = 0) -> list[str]:
    return [f"{rule} {run} {fold}" for rule in ("evaluate", "train") for run in runs]


def evaluated(*runs: str) -> list[str]:
    return [f"evaluate {run} 0" for run in runs]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (new_module_of_the_report, ["report"]),
        (report_code, ["report"]),
        (new_fold, [*of_runs("first", "second", fold=2), *AFTER]),
        (new_run, [*of_runs("third"), *AFTER]),
        (new_value_of_a_sweep, [*of_runs("rate_learning_rate-0.01"), *AFTER]),
        (model_code, [*of_runs("first", "second"), *AFTER]),
        (froc_code, [*evaluated("first", "second"), *AFTER]),
    ],
)
def test_only_what_depends_on_the_change_runs(
    done: Workflow, change: Callable[[Workflow], None], expected: list[str]
) -> None:
    change(done)
    assert done.planned() == sorted(expected)


def from_verification_on(*subsets: int) -> list[str]:
    """What follows verification when CTs or candidates of some subsets have changed."""
    return [
        "verify", *(f"cache_subset {n}" for n in subsets), "verify_voxels", "candidates",
        *of_runs("second"), *AFTER,
    ]  # fmt: skip


def crop_files(workflow: Workflow) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in workflow.result("cache/crops").glob("*.crops")}


def assert_as_from_scratch(workflow: Workflow) -> None:
    """The results are those of the same config and data without anything made before."""
    scratch = workflow.folder.parent / "scratch"
    shutil.copytree(workflow.folder, scratch, ignore=shutil.ignore_patterns("results", ".snakemake"))
    fresh = Workflow(scratch, workflow.config)
    fresh.run()
    assert fresh.contents() == workflow.contents()


def test_changes_one_after_another_end_as_from_scratch(done: Workflow) -> None:
    """Earlier stages first: so no later change hides what an earlier one failed to make anew, and what
    one left undone would run with the next."""
    runs = ["first", "second", "third"]
    for changes, expected in (
        ([model_code, new_run], of_runs(*runs)),
        ([epochs_of_one_run], of_runs("second")),
        ([froc_code, evaluation_settings, report_code], evaluated(*runs)),
    ):
        for change in changes:
            change(done)
        assert jobs_in(done.run()) == sorted([*expected, *AFTER]), changes
    assert done.planned() == []
    assert_as_from_scratch(done)


def test_a_changed_ct_and_an_added_candidate_rebuild_their_own_cache(with_files: Workflow) -> None:
    raw = next((with_files.folder / "data" / "subset3").glob("*.raw"))
    hu = np.fromfile(raw, dtype="<i2")
    hu[len(hu) // 3 : len(hu) // 2] += 100
    hu.tofile(raw)
    before = crop_files(with_files)
    assert jobs_in(with_files.run()) == sorted(["verify_subset 3", *from_verification_on(3)])
    after = crop_files(with_files)
    assert [name for name in before if before[name] != after[name]] == [f"{raw.stem}.crops"]

    path = with_files.folder / "data" / "candidates.csv"
    table = pd.read_csv(path, dtype={"seriesuid": str})
    added = table.iloc[[5]].assign(coordX=table["coordX"][5] + 1, **{"class": 0})
    pd.concat([table, added]).to_csv(path, index=False)
    before = crop_files(with_files)
    (subset,) = {int(file.parent.name[-1]) for file in path.parent.glob(f"*/{table['seriesuid'][5]}.mhd")}
    assert jobs_in(with_files.run()) == sorted(from_verification_on(subset))
    after = crop_files(with_files)
    assert [name for name in before if before[name] != after[name]] == [f"{table['seriesuid'][5]}.crops"]
    assert len(pd.read_csv(with_files.result("candidates.csv"))) == len(table) + 1
    assert_as_from_scratch(with_files)


def test_a_ct_that_is_only_touched(with_files: Workflow) -> None:
    """It is read again by its own job; what is made of it is the same, so nothing else runs."""
    raw = next((with_files.folder / "data" / "subset3").glob("*.raw"))
    os.utime(raw)
    before = with_files.contents(), crop_files(with_files)
    ran = jobs_in(with_files.run())
    assert ran == sorted(["verify_subset 3", "verify", "cache_subset 3", "verify_voxels"])
    assert "1 series read, 0 as before" in with_files.result("logs/cache_subset3.log").read_text()
    assert (with_files.contents(), crop_files(with_files)) == before
    assert with_files.planned() == []


def test_a_ct_put_back_with_an_older_time(with_files: Workflow) -> None:
    """Copies that keep their times, as of rsync, are noticed."""
    raw = next((with_files.folder / "data" / "subset3").glob("*.raw"))
    hu = np.fromfile(raw, dtype="<i2")
    (hu + 1).tofile(raw)
    os.utime(raw, (1, 1))
    assert "verify_subset 3" in with_files.planned()


def test_a_deleted_model_comes_back(done: Workflow) -> None:
    before = done.contents()
    done.result(MODELS[0]).unlink()
    assert done.planned() == sorted([*of_runs("first"), *AFTER])
    done.run()
    assert done.contents() == before
    assert done.planned() == []


def test_a_cache_deleted_to_save_space_comes_back_when_needed(done: Workflow) -> None:
    before = {name: done.result(name).read_bytes() for name in MODELS}
    shutil.rmtree(done.result("cache"))
    for name in MODELS:
        shutil.rmtree(done.result(name).parent / "state")
    assert done.planned() == []
    new_run(done)
    ran = jobs_in(done.run())
    assert [job for job in ran if job.startswith("train")] == ["train third 0"]
    assert len(crop_files(done)) == 4
    for name, content in before.items():
        assert done.result(name).read_bytes() == content, name
    assert done.planned() == []


def test_a_changed_slice_of_a_dicom_series_is_read_again(with_files: Workflow) -> None:
    path = next((with_files.folder / "data" / "subset3").glob("*.mhd"))
    write_dicom(sitk.ReadImage(str(path)), path.with_suffix(""))
    for suffix in (".mhd", ".raw"):
        path.with_suffix(suffix).unlink()
    target = "results/verify/subset3.csv"
    with_files.run("--", target)
    assert with_files.planned("--", target) == []
    file = sorted(path.with_suffix("").iterdir())[3]
    file.write_bytes(file.read_bytes()[:-2] + b"xy")
    assert with_files.planned("--", target) == ["verify_subset 3"]


def test_a_table_from_the_future_is_named_before_work_starts(with_files: Workflow) -> None:
    """Snakemake would stop after the first job that reads it."""
    table = with_files.folder / "data" / "annotations.csv"
    tomorrow = time.time() + 86_400
    os.utime(table, (tomorrow, tomorrow))
    failed = with_files.run("--dry-run", check=False)
    assert failed.returncode != 0
    assert "data/annotations.csv: dated in the future" in (failed.stdout + failed.stderr)
    os.utime(table)
    assert with_files.planned() == []


def test_another_calibration_trains_nothing(done: Workflow) -> None:
    """Neither the run nor one that starts from its weights: their jobs keep what is there."""
    done.config["runs"]["third"] = {"model": {"channels": [2, 4]}, "init_weights": "run:second"}
    target = "results/runs/third/fold0/model.pt"
    done.run("--", target)
    done.config["runs"]["second"]["calibration"] = "isotonic"
    models = [done.result(f"runs/{run}/fold0/model.pt") for run in ("second", "third")]
    before = [load_tensors(path) for path in models]
    assert jobs_in(done.run("--", target)) == ["train second 0", "train third 0"]
    after = [load_tensors(path) for path in models]
    for run in ("second", "third"):
        assert "it is kept" in done.result(f"logs/train_{run}_fold0.log").read_text()
    assert [each["calibration"]["kind"] for each in (before[0], *after)] == ["scaling", "isotonic", "scaling"]
    assert [each["choices"] for each in after] == [1, 1]
    for one, other in zip(before, after, strict=True):
        assert all(torch.equal(one["weights"][name], other["weights"][name]) for name in one["weights"])
    assert done.planned("--", target) == []


def test_saliency_is_computed_when_the_report_wants_it(done: Workflow) -> None:
    """The other tests go without it, for speed."""
    done.config["report"] = {"negatives": 5}
    done.run("--", "results/runs/first/fold0/saliency.npz")
    found = Saliency.load(done.result("runs/first/fold0/saliency.npz"))
    tested = pd.read_csv(done.result("runs/first/fold0/predictions.csv"))
    assert len(found.ids) == min(5, (tested["class"] == 0).sum()) + (tested["class"] == 1).sum()
    assert done.planned() == ["explain second 0", "report"]
    done.config["report"] = {"negatives": 4}
    assert done.planned() == ["explain first 0", "explain second 0", "report"]


def test_a_tracking_server_that_is_down_fails_nothing(done: Workflow) -> None:
    """Every start tries again, and nothing else runs."""
    done.config["tracking"] = {"mlflow": "http://127.0.0.1:9"}
    target = "results/runs/first/fold0/tracked.json"
    for _ in range(2):
        ran = done.run("--", target)
        assert jobs_in(ran) == ["track first 0"]
        assert "was not sent to http://127.0.0.1:9" in ran.stdout + ran.stderr
        assert json.loads((done.folder / target).read_text())["sent"] is False
    assert done.planned() == ["track first 0", "track second 0"]
    del done.config["tracking"]
    assert done.planned() == []


def test_a_run_that_starts_from_another(done: Workflow) -> None:
    """It trains alone where that run is finished, else after it."""
    done.config["runs"]["third"] = {"model": {"channels": [2, 4]}, "init_weights": "run:second"}
    target = "results/runs/third/fold0/model.pt"
    assert done.planned("--", target) == ["train third 0"]
    done.result("runs/second/fold0/model.pt").unlink()
    assert done.planned("--", target) == ["train second 0", "train third 0"]


def test_a_run_that_starts_from_the_shipped_weights(done: Workflow) -> None:
    shipped = done.folder / "weights" / "fold0.pt"
    shipped.parent.mkdir(exist_ok=True)
    shutil.copy(done.result("runs/first/fold0/model.pt"), shipped)
    done.config["runs"]["third"] = {"epochs": 0, "model": {"channels": [2, 4]}, "init_weights": "shipped"}
    target = "results/runs/third/fold0/model.pt"
    assert done.planned("--", target) == ["train third 0"]
    done.run("--", target)
    trained = done.result("runs/third/fold0/model.pt")
    before, after = (load_tensors(path)["weights"] for path in (shipped, trained))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert done.planned("--", target) == []
    shutil.copy(done.result("runs/second/fold0/model.pt"), shipped)
    assert done.planned("--", target) == ["train third 0"]

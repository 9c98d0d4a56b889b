"""Runs the real workflow in a copy of the project, as a user does in a clone."""

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from conftest import PROJECT

from .environment import make_environment, note_opened_files

TINY_CONFIG: dict[str, Any] = {
    "data": {"source": "phantom"},
    "phantom": {"series": 4, "size": 64, "slices": 24, "candidates": 24},
    "cache": {"crop": [16, 16, 16], "margin": [1, 1, 1]},
    "evaluation": {"bootstrap": 50},
    "report": {"saliency": False},
    "runs": {
        "first": {"epochs": 1, "model": {"channels": [2, 4]}},
        "second": {"epochs": 1, "balance": 1, "samples_per_epoch": 32, "model": {"channels": [2, 4]}},
    },
}

TABLES = ("metrics.csv", "summary.csv", "candidates.csv", "series.csv")
RUN_FILES = ("model.pt", "predictions.csv")


@dataclass
class Workflow:
    """A copy of the project with a config of its own, in which `snakemake` is run."""

    folder: Path
    config: dict[str, Any]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Start snakemake as a user does."""
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        done = subprocess.run(
            [
                sys.executable, "-m", "snakemake", "--cores", "2", "--resources", "gpu=1", *arguments,
            ],
            cwd=self.folder, capture_output=True, encoding="utf-8", check=False,
            env=os.environ | {"COLUMNS": "200"},
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def planned(self, *arguments: str) -> list[str]:
        """The jobs a dry run would start, as `rule` or `rule wildcards`, sorted, without `all`."""
        return jobs_in(self.run("--dry-run", *arguments))

    def result(self, name: str) -> Path:
        return self.folder / "results" / name

    def contents(self) -> dict[str, bytes]:
        """What a user takes away: the tables, and each run's model and predictions of fold 0."""
        files = [f"runs/{run}/fold0/{name}" for run in self.config["runs"] for name in RUN_FILES]
        return {name: self.result(name).read_bytes() for name in (*TABLES, *files)}


def jobs_in(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Jobs that a (dry) run's output names."""
    jobs: list[str] = []
    for line in (done.stdout + done.stderr).splitlines():
        text = line.strip()
        if text.startswith(("rule ", "localrule ")):
            jobs.append(text.split()[1].rstrip(":"))
        elif text.startswith("wildcards:") and jobs:
            values = [pair.split("=")[1] for pair in text.removeprefix("wildcards: ").split(", ")]
            jobs[-1] += " " + " ".join(values)
        elif text.startswith("Job ") and ": " in text:
            jobs.append(_job_of_message(text.split(": ", 1)[1]))
    return sorted(job for job in jobs if job != "all")


_MESSAGES = {
    "Making the phantom data set": "phantom",
    "Verifying headers and tables": "verify",
    "Verifying the data set": "verify_voxels",
    "Listing the candidates": "candidates",
    "Summarising results": "metrics",
    "Writing the report": "report",
}


def _job_of_message(message: str) -> str:
    """With a message Snakemake prints only that: translate it back."""
    if message in _MESSAGES:
        return _MESSAGES[message]
    words = message.replace(",", "").split()
    subsets = {"Verifying": "verify_subset", "Proposing": "propose_subset", "Reading": "cache_subset"}
    for start, rule in subsets.items():
        if words[0] == start:
            return f"{rule} {words[-1]}"
    rule = {"Training": "train", "Testing": "evaluate", "Explaining": "explain", "Sending": "track"}[words[0]]
    return f"{rule} {words[1]} {words[-1]}"


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """A tiny workflow that has not run yet."""
    return new_workflow(tmp_path / "clone")


def new_workflow(folder: Path, config: dict[str, Any] = TINY_CONFIG) -> Workflow:
    """A copy of the project with this config."""
    folder.mkdir()
    shutil.copy(PROJECT / "Snakefile", folder)
    for name in ("workflow", "profiles", "envs", "config"):
        shutil.copytree(PROJECT / name, folder / name)
    return Workflow(folder, copy.deepcopy(config))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A tiny workflow that has run; only to be copied.

    Its programs ran as with `--sdm conda`: in an environment that holds what envs/luna.yaml lists.
    """
    return run_once("finished", tmp_path_factory, TINY_CONFIG, in_rules_environment=True)


@pytest.fixture
def done(finished: Workflow, tmp_path: Path) -> Workflow:
    """A copy of a finished workflow, to change something in."""
    return copy_of(finished, tmp_path)


@pytest.fixture(scope="session")
def finished_with_files(finished: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The phantom's files as a user's own data in the folder `data`, one run; only to be copied."""
    config = TINY_CONFIG | {"data": {"source": "files", "root": "data"}}
    config["runs"] = {"second": TINY_CONFIG["runs"]["second"]}
    return run_once("with_files", tmp_path_factory, config, finished.result("phantom"))


def run_once(
    name: str,
    factory: pytest.TempPathFactory,
    config: dict[str, Any],
    data: Path | None = None,
    in_rules_environment: bool = False,
) -> Workflow:
    """A finished workflow, with a copy of `data` of its own; the first test process that needs it runs it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"workflow-{name}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            workflow = new_workflow(folder.with_name(f"{folder.name}-unfinished"), config)
            if data:
                shutil.copytree(data, workflow.folder / "data")
            rules = workflow.folder / "workflow" / "rules" / "common.smk"
            as_shipped = rules.read_text()
            if in_rules_environment:
                python = make_environment(PROJECT / "envs" / "luna.yaml", base / "environment")
                assert "else sys.executable" in as_shipped
                note_opened_files(python, workflow.folder / "opened")
                rules.write_text(as_shipped.replace("else sys.executable", f"else {str(python)!r}"))
            workflow.run()
            rules.write_text(as_shipped)
            workflow.folder.rename(folder)
    return Workflow(folder, copy.deepcopy(config))


@pytest.fixture
def with_files(finished_with_files: Workflow, tmp_path: Path) -> Workflow:
    """A copy of a finished workflow with data of its own, to change something in."""
    return copy_of(finished_with_files, tmp_path)


def copy_of(workflow: Workflow, folder: Path) -> Workflow:
    """The same files and config in another folder."""
    shutil.copytree(workflow.folder, folder / "clone", symlinks=True)
    return Workflow(folder / "clone", copy.deepcopy(workflow.config))

"""Folders with odd names: of the clone, of the data and of the results."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from luna.config.phantom import PhantomSettings
from luna.phantom.dataset import make_phantom

from .conftest import TINY_CONFIG, Workflow, new_workflow

ODD = '- o\'ne; touch $nothing "x" #é & '


def snakemake(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_clone_reached_by_a_link_with_data_and_results_elsewhere(
    tmp_path: Path, finished_with_files: Workflow
) -> None:
    """The same results as in a plain folder; nothing is left to do from another place."""
    workflow = new_workflow(tmp_path / f"clone{ODD}")
    link, results, root = tmp_path / "link", tmp_path / f"results{ODD}", tmp_path / f"-data{ODD}"
    link.symlink_to(workflow.folder)
    results.mkdir()
    shutil.copytree(finished_with_files.folder / "data", root)
    (root / "excluded.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")
    data = {"source": "files", "root": str(root), "excluded": "excluded.csv"}
    config = finished_with_files.config | {"data": data}
    (link / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake(tmp_path, "-s", "link/Snakefile", "--directory", str(results))
    of_plain = finished_with_files.result("runs/second/fold0/predictions.csv")
    assert (results / "results/runs/second/fold0/predictions.csv").read_bytes() == of_plain.read_bytes()
    assert "report.html" in {path.name for path in (results / "results").iterdir()}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [workflow.folder.name, link.name, results.name, root.name]
    )
    assert not (workflow.folder / "results").exists()
    again = snakemake(results, "-s", str(link / "Snakefile"), "--dry-run", "--directory", str(results))
    assert "Nothing to be done" in again


THEIRS = """
configfile: "config.yaml"

module luna:
    snakefile: "{}"
    config: config
    prefix: "below here"

use rule * from luna

use rule candidates from luna as candidates with:
    log: "my_candidates.log"

rule mine:
    input: "below here/results/candidates.csv", "below here/results/report.html"
    output: "count.txt"
    shell: "wc -l < {{input[0]:q}} > {{output}}"
"""


def test_a_workflow_built_on_this_one(workflow: Workflow, tmp_path: Path) -> None:
    """All that its programs write is below the module's prefix."""
    folder = tmp_path / f"theirs{ODD}"
    folder.mkdir()
    runs = {"second": TINY_CONFIG["runs"]["second"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(TINY_CONFIG | {"runs": runs}))
    (folder / "Snakefile").write_text(THEIRS.format(workflow.folder / "Snakefile"))
    snakemake(folder, "count.txt")
    assert int((folder / "count.txt").read_text()) > 1
    # Snakemake puts no prefix before a log that is given anew.
    kept = {".snakemake", "Snakefile", "below here", "config.yaml", "count.txt", "my_candidates.log"}
    assert {path.name for path in folder.iterdir()} == kept
    made = folder / "below here" / "results"
    for name in ("cache/crops", "runs/second/fold0/state", "tensorboard", "verify/problems.txt"):
        assert (made / name).exists(), name
    assert "train_second_fold0" in (made / "report.html").read_text(encoding="utf-8")
    assert not (workflow.folder / "results").exists()


def test_a_module_s_prefix_is_not_put_before_data(workflow: Workflow, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    make_phantom(folder / "data", PhantomSettings(series=4, size=64, slices=16, candidates=8), 0)
    config = TINY_CONFIG | {"data": {"source": "files", "root": "data"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "Snakefile").write_text(THEIRS.format(workflow.folder / "Snakefile"))
    snakemake(folder, "count.txt", "--dry-run")


@pytest.mark.parametrize("where", ["clone", "data"])
def test_braces_are_refused(workflow: Workflow, where: str) -> None:
    """Snakemake takes what stands in them for a wildcard."""
    if where == "clone":
        workflow.folder = workflow.folder.rename(workflow.folder.with_name("clone {run}"))
    else:
        workflow.config["data"] = {"source": "files", "root": "of {run}"}
    failed = workflow.run("--dry-run", check=False)
    assert failed.returncode != 0
    assert "takes what stands in braces for a wildcard" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr


def test_the_luna16_config_needs_only_a_root(workflow: Workflow, tmp_path: Path) -> None:
    root = tmp_path / "luna16"
    make_phantom(root, PhantomSettings(series=10, size=64, slices=16, candidates=8), 0)
    excluded = root / "evaluationScript" / "annotations" / "annotations_excluded.csv"
    excluded.parent.mkdir(parents=True)
    excluded.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")
    arguments = ["--configfile", "config/luna16.yaml", "--config", f"data={{root: {root}}}"]
    planned = workflow.planned(*arguments)
    assert planned.count("verify") == 1
    assert sum(job.startswith("train first") for job in planned) == 10


def test_a_program_s_options_are_no_commands(workflow: Workflow) -> None:
    workflow.config["runs"]["first"]["init_weights"] = "a.pt;touch x;"
    failed = workflow.run(check=False)
    assert failed.returncode != 0
    assert "a.pt;touch x;" in failed.stdout + failed.stderr
    assert not (workflow.folder / "x").exists()

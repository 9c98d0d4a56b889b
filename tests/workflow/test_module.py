"""The workflow as a module of someone else's: their Snakefile takes its rules and changes one."""

import subprocess
import sys
from pathlib import Path

import yaml

from .conftest import TINY_CONFIG, Workflow

THEIRS = """
configfile: "config.yaml"

module luna:
    snakefile: "{}"
    config: config

use rule * from luna

use rule candidates from luna as candidates with:
    log: "my_candidates.log"

rule mine:
    input: "results/candidates.csv"
    output: "count.txt"
    shell: "wc -l < {{input}} > {{output}}"
"""


def test_a_workflow_built_on_this_one(workflow: Workflow, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(TINY_CONFIG))
    (folder / "Snakefile").write_text(THEIRS.format(workflow.folder / "Snakefile"))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "count.txt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int((folder / "count.txt").read_text()) > 1
    assert (folder / "my_candidates.log").is_file()
    assert not (workflow.folder / "results").exists()

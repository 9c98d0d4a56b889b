"""The guide's changes, made in a copy of the project as the guide says, work together."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from conftest import PROJECT, Prepared, training_outputs

BLOCK = re.compile(r"```\w+ file=(\S+) (new|before|replace)(?:=(.*))?\n((?:.*\n)*?)```")


def follow_the_guide(folder: Path) -> list[str]:
    """Make every change of the guide in a copy of the project; the files that were new or edited."""
    changes = BLOCK.findall((PROJECT / "docs" / "change-one-thing.md").read_text(encoding="utf-8"))
    for file, how, anchor, lines in changes:
        path = folder / file
        if how == "new":
            assert not path.exists()
            path.write_text(lines, encoding="utf-8")
            continue
        old = path.read_text(encoding="utf-8").splitlines(keepends=True)
        places = [number for number, line in enumerate(old) if line.startswith(anchor)]
        assert len(places) == 1, f"{file}: {anchor!r} was found {len(places)} times"
        place = places[0]
        path.write_text("".join([*old[:place], lines, *old[place + (how == "replace") :]]), encoding="utf-8")
    return [file for file, *_ in changes]


def run(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide(prepared: Prepared, tmp_path: Path) -> None:
    for name in ("workflow", "config", "profiles"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    shutil.copy(PROJECT / "Snakefile", tmp_path)
    assert len(follow_the_guide(tmp_path)) == 11
    models = []
    for gradient in (0, 50):
        out = tmp_path / f"out{gradient}"
        recipe = ["--model.name=linear", f"--augmentation.gradient={gradient}", "--device=cpu"]
        run(tmp_path, "workflow/scripts/train.py", *prepared.options(), *training_outputs(out), *recipe)
        history = pd.read_csv(out / "history.csv")
        mean = (history["correct/neg"] + history["correct/pos"]) / 2
        pd.testing.assert_series_equal(history["correct/balanced"], mean, check_names=False)
        models.append((out / "model.pt").read_bytes())
    assert models[0] != models[1], "the augmentation has an effect"
    table = ["--candidates", f"{prepared.folder}/candidates.csv", "--out", f"{tmp_path}/diameters.csv"]
    run(tmp_path, "workflow/scripts/diameters.py", *table)
    assert pd.read_csv(tmp_path / "diameters.csv")["candidates"].sum() == prepared.candidates["class"].sum()
    run(tmp_path, "-m", "snakemake", "--dry-run", "--cores", "1", "results/diameters.csv")

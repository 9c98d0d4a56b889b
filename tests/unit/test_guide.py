"""The guide's changes, made as it says in a copy of the project, work together."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from conftest import PROJECT, Prepared

BLOCK = re.compile(r"```\w+ file=(\S+) (before|replace)=(.*)\n((?:.*\n)*?)```")


def follow_the_guide(folder: Path) -> int:
    """Make every change of the guide in a copy of the project; how many there were."""
    changes = BLOCK.findall((PROJECT / "docs" / "change-one-thing.md").read_text(encoding="utf-8"))
    for file, how, anchor, lines in changes:
        path = folder / file
        old = path.read_text(encoding="utf-8").splitlines(keepends=True)
        places = [number for number, line in enumerate(old) if line.startswith(anchor)]
        assert len(places) == 1, f"{file}: {anchor!r} is there {len(places)} times"
        place = places[0]
        path.write_text("".join([*old[:place], lines, *old[place + (how == "replace") :]]), encoding="utf-8")
    return len(changes)


def test_the_guide(prepared: Prepared, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "workflow", tmp_path / "workflow")
    assert follow_the_guide(tmp_path) == 8
    models = []
    for brightness in (0, 50):
        recipe = {"model": {"name": "linear"}, "augmentation": {"brightness": brightness}}
        out = tmp_path / f"out{brightness}"
        done = subprocess.run(
            [sys.executable, str(tmp_path / "workflow" / "scripts" / "train.py"), "--out", str(out),
             "--series", f"{prepared.folder}/series.csv", "--candidates", f"{prepared.folder}/candidates.csv",
             "--crops", str(prepared.crops), "--cache", '{"crop": [16, 16, 16], "margin": [1, 2, 2]}',
             "--recipe", json.dumps(recipe), "--device", "cpu", "--threads", "1"],
            capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": ""},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        history = pd.read_csv(out / "history.csv")
        mean = (history["correct/neg"] + history["correct/pos"]) / 2
        pd.testing.assert_series_equal(history["correct/balanced"], mean, check_names=False)
        models.append((out / "model.pt").read_bytes())
    assert models[0] != models[1], "the augmentation has an effect"

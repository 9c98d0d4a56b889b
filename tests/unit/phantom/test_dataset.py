"""The phantom data set: the same every time, and no process outlives its program."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from conftest import PROJECT
from luna.config.phantom import PhantomSettings
from luna.imaging.checks import hu_problems
from luna.imaging.lungs import find_lungs
from luna.phantom.dataset import draw_series, make_phantom


def test_phantom_is_the_same_every_time(tmp_path: Path) -> None:
    settings = PhantomSettings(series=3, size=64, slices=16, candidates=10)
    make_phantom(tmp_path / "a", settings, seed=0)
    make_phantom(tmp_path / "b", settings, seed=0, processes=2)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 9
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    "settings", [PhantomSettings(), PhantomSettings(view="chest", size=96, slices=48)], ids=["part", "chest"]
)
def test_every_ct_is_sound_and_its_tables_tell_the_truth(settings: PhantomSettings) -> None:
    series = [draw_series(settings, 0, number) for number in range(4)]
    for each in series:
        assert each.hu.dtype == np.int16
        assert list(hu_problems(Path("x"), each.hu)) == []
        for place, label in zip(each.candidates_irc, each.classes, strict=True):
            away = [
                (
                    np.linalg.norm((place - nodule.center_irc) * each.grid.spacing[::-1]),
                    nodule.diameter_mm / 2,
                )
                for nodule in each.nodules
            ]
            assert any(distance < radius for distance, radius in away) == bool(label)
    nodules = sum(len(each.nodules) for each in series)
    assert nodules >= 4
    assert sum(int(each.classes.sum()) for each in series) >= nodules / 2
    assert sum(len(each.classes) for each in series) > 4 * settings.candidates / 2


def test_part_of_a_chest_keeps_half_a_crop_free() -> None:
    for number in range(4):
        each = draw_series(PhantomSettings(), 0, number)
        places = [*each.candidates_irc, *(nodule.center_irc.round() for nodule in each.nodules)]
        low, high = np.min(places, axis=0), np.array(each.hu.shape) - np.max(places, axis=0)
        assert (low >= (16, 24, 24)).all()
        assert (high >= (16, 24, 24)).all()


def test_lungs_of_a_whole_chest_can_be_segmented() -> None:
    each = draw_series(PhantomSettings(view="chest", size=96, slices=48), 0, 1)
    lungs = find_lungs(each.hu, each.grid.spacing[::-1]).voxels(each.hu.shape)
    assert 0.05 < lungs.mean() < 0.5
    centers = np.array([nodule.center_irc.round() for nodule in each.nodules], dtype=int)
    assert lungs[tuple(centers.T)].mean() > 0.5


def test_candidates_at_the_hilum() -> None:
    """In the midst of tissue there are some with `hilum` only."""

    def in_tissue(hilum: bool) -> int:
        settings = PhantomSettings(view="chest", size=96, slices=48, candidates=400, hilum=hilum)
        each = draw_series(settings, 0, 0)
        around = ndimage.uniform_filter(each.hu.astype(np.float32), 9)
        return int((around[tuple(each.candidates_irc[each.classes == 0].T)] > -300).sum())

    assert in_tissue(hilum=True) > 10 * max(1, in_tissue(hilum=False))


def test_chests_of_few_thick_slices() -> None:
    """A nodule may then lie in a single slice."""
    for number in range(3):
        each = draw_series(PhantomSettings(view="chest", size=64, slices=16, nodules=10), 0, number)
        assert np.isfinite(each.hu).all()


def test_small_findings_count_neither_way(tmp_path: Path) -> None:
    make_phantom(tmp_path, PhantomSettings(series=12, size=64, slices=32), seed=0)
    excluded, nodules = (pd.read_csv(tmp_path / f"annotations{end}.csv") for end in ("_excluded", ""))
    assert 0 < len(excluded) < len(nodules)
    assert excluded["diameter_mm"].max() <= 3 <= nodules["diameter_mm"].min()


MAKE_MANY = """
import sys
from pathlib import Path
from luna.config.phantom import PhantomSettings
from luna.phantom.dataset import make_phantom
make_phantom(Path(sys.argv[1]), PhantomSettings(series=400), 0, processes=2)
"""


def test_a_killed_program_leaves_no_processes(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "workflow")}
    program = subprocess.Popen([sys.executable, "-c", MAKE_MANY, str(tmp_path)], env=environment)
    while len(processes_with(str(tmp_path))) < 3:
        assert program.poll() is None
        time.sleep(0.05)
    program.kill()
    program.wait()
    deadline = time.monotonic() + 20
    while left := processes_with(str(tmp_path)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def processes_with(word: str) -> list[int]:
    """Processes that have this word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found

"""Fixtures: a tiny phantom data set, prepared up to the crop cache, and where real data lies."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from luna.base.files import write_csv, write_record
from luna.cli.options import option_words
from luna.config.cache import CropSettings
from luna.config.phantom import PhantomSettings
from luna.crops.cache import CropCache
from luna.data.candidates import list_candidates
from luna.data.verify import verify_dataset, verify_subset, with_voxels
from luna.phantom.dataset import make_phantom
from luna.storage.dataset import subset_source

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # A core for each worker: tests that compete for cores are several times slower.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

PROJECT = Path(__file__).parents[1]
TINY = PhantomSettings(series=10, size=64, slices=24, candidates=16)
TINY_SEED = 7
SMALL_CROP = CropSettings(crop=(16, 16, 16), margin=(1, 2, 2))


@dataclass(frozen=True)
class Prepared:
    """A data set with its tables and crop cache, as the workflow leaves it."""

    root: Path
    folder: Path
    series: pd.DataFrame
    candidates: pd.DataFrame
    settings: CropSettings

    @property
    def crops(self) -> Path:
        return self.folder / "cache" / "crops"

    @property
    def annotations(self) -> Path:
        return self.root / "annotations.csv"

    def options(self) -> list[str]:
        """The programs' options that say where candidates and crops are."""
        return [
            "--series", f"{self.folder}/series.csv", "--candidates", f"{self.folder}/candidates.csv",
            "--crops", str(self.crops), *option_words(self.settings, "cache."),
        ]  # fmt: skip


def training_outputs(folder: Path) -> list[str]:
    """The options of train.py that put everything into one folder."""
    return [
        "--model",
        f"{folder}/model.pt",
        "--history",
        f"{folder}/history.csv",
        "--validation",
        f"{folder}/validation.csv",
        "--state",
        f"{folder}/state",
    ]


def evaluation_outputs(folder: Path) -> list[str]:
    """The options of evaluate.py that put everything into one folder."""
    return ["--predictions", f"{folder}/predictions.csv", "--evaluation", f"{folder}/evaluation.json"]


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tiny phantom data set; do not change it."""
    root = tmp_path_factory.mktemp("phantom")
    make_phantom(root, TINY, TINY_SEED)
    return root


@pytest.fixture(scope="session")
def prepared(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The tiny phantom, verified, listed and cached with small crops; do not change it."""
    return prepare(phantom, tmp_path_factory.mktemp("prepared"), SMALL_CROP)


def prepare(root: Path, folder: Path, settings: CropSettings) -> Prepared:
    """Do what the workflow's stages do before training."""
    checked = checked_headers(root)
    tables = (root / "annotations.csv", [root / "candidates.csv"])
    sound, _ = verify_dataset(checked, *tables)
    placed, _ = list_candidates(sound, *tables)
    cached, _ = CropCache(folder / "cache" / "crops", settings).update(sound, placed)
    series, _ = verify_dataset(with_voxels(checked, cached), *tables)
    candidates, listing = list_candidates(series, *tables)
    write_csv(folder / "series.csv", series)
    write_csv(folder / "candidates.csv", candidates)
    write_record(folder / "candidates.json", listing)
    return Prepared(root, folder, series, candidates, settings)


def checked_headers(root: Path) -> pd.DataFrame:
    """The rows of verify_subset for all subsets of a folder."""
    return pd.concat([verify_subset(subset_source(root, n), n) for n in range(10)])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets; skips where there is none."""
    folder = Path(os.environ.get("LUNA_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "slabs").is_dir():
        pytest.skip(f"no real data at {folder}; set LUNA_REAL_DATA")
    return folder

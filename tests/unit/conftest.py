"""A trained model and damaged caches, shared by the tests of several packages."""

import shutil
from pathlib import Path

import pytest
import train

from conftest import Prepared, training_outputs
from luna.crops.cache import crop_file
from unit.browser import browser, open_page  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def model(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.pt of a small network, trained for an epoch; do not change it."""
    out = tmp_path_factory.mktemp("model")
    options = ["--model.channels", "2", "4", "--precision=fp32"]
    train.main([*prepared.options(), *training_outputs(out), *options])
    return out / "model.pt"


@pytest.fixture
def damaged(prepared: Prepared, tmp_path: Path) -> Prepared:
    """A copy of the prepared data whose cache may be damaged."""
    shutil.copytree(prepared.crops, tmp_path / "cache" / "crops")
    return Prepared(prepared.root, tmp_path, prepared.series, prepared.candidates, prepared.settings)


def first_file(data: Prepared) -> Path:
    """The cache file of the first candidate's series."""
    return crop_file(data.crops, data.candidates["seriesuid"][0])

"""A whole phantom chest, as an image file and as DICOM, and models that no training had to make."""

from pathlib import Path

import pytest

from luna.config.phantom import PhantomSettings
from luna.imaging.ct import read_ct
from luna.phantom.dataset import make_phantom
from unit.deploy.conftest import write_model

from .series import slices_of, write


@pytest.fixture(scope="session")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .mhd file of a small chest."""
    folder = tmp_path_factory.mktemp("chest")
    make_phantom(folder, PhantomSettings(series=1, view="chest", size=128, slices=60), seed=3)
    return next((folder / "subset0").glob("*.mhd"))


@pytest.fixture(scope="session")
def chest_series(chest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a DICOM series."""
    ct = read_ct(chest)
    return write(slices_of(ct.hu, ct.grid, ct.series_uid), tmp_path_factory.mktemp("series") / "ct")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.pt with initial weights, for small crops."""
    path = tmp_path_factory.mktemp("model") / "model.pt"
    write_model(path, (16, 16, 16))
    return path

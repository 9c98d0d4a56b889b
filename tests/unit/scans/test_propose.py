"""Proposals: in the lungs, the most suspicious first; and as a table for a data set that has none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from luna.data.tables import CANDIDATE_COLUMNS, XYZ
from luna.imaging.ct import Ct, read_ct
from luna.imaging.lungs import find_lungs
from luna.imaging.problem import BadCtError
from luna.scans.dataset import propose_candidates
from luna.scans.models import LoadedModel, Models
from luna.scans.propose import propose
from luna.storage.source import LocalFiles

NO_NODULES = pd.DataFrame({"seriesuid": [], **{name: [] for name in XYZ}, "diameter_mm": []})


@pytest.fixture(scope="module")
def loaded(model: Path) -> LoadedModel:
    return LoadedModel.load(model, torch.device("cpu"))


def test_in_the_lungs_the_most_suspicious_first(chest: Path, loaded: LoadedModel) -> None:
    ct = read_ct(chest)
    lungs = find_lungs(ct.hu, ct.grid.spacing[::-1]).voxels(ct.hu.shape)
    found = propose(ct, lungs, Models([loaded, loaded], loaded), 25)
    assert found.irc.shape == (25, 3)
    assert lungs[tuple(found.irc.T)].all()
    assert (np.diff(found.probability) <= 0).all()
    assert len(np.unique(found.irc, axis=0)) == 25
    np.testing.assert_array_equal(found.probability, loaded.probabilities(ct, found.irc))


@pytest.mark.parametrize("hu", [40, -1000])
def test_without_lungs(chest: Path, loaded: LoadedModel, hu: int) -> None:
    ct = read_ct(chest)
    nothing = Ct("1.2", np.full_like(ct.hu, hu), ct.grid)
    lungs = find_lungs(nothing.hu, ct.grid.spacing[::-1]).voxels(ct.hu.shape)
    with pytest.raises(BadCtError, match="no lungs were found"):
        propose(nothing, lungs, Models([loaded], loaded), 10)


def test_candidates_of_a_data_set(chest: Path, loaded: LoadedModel, tmp_path: Path) -> None:
    models = Models([loaded], loaded)
    (tmp_path / "broken.mha").write_bytes(b"nothing")
    source, paths = LocalFiles(tmp_path), [str(chest), str(tmp_path / "broken.mha")]
    found = propose_candidates(source, paths, NO_NODULES, models, 20)
    assert list(found.columns) == CANDIDATE_COLUMNS
    assert len(found) == 20
    assert (found["class"] == 0).all()
    place = found[XYZ].to_numpy(dtype=float)[4]
    nodule = pd.DataFrame([[chest.stem, *place + 0.5, 30.0]], columns=["seriesuid", *XYZ, "diameter_mm"])
    again = propose_candidates(source, [str(chest)], nodule, models, 20)
    away = np.linalg.norm(again[XYZ].to_numpy(dtype=float) - (place + 0.5), axis=1)
    np.testing.assert_array_equal(again["class"] == 1, away < 15)
    assert again["class"].sum() >= 1

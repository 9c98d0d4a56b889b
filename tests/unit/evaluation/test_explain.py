"""Saliency: it accounts for the evidence, depends on the weights, and lies where the crop does."""

from pathlib import Path

import explain as program
import numpy as np
import pandas as pd
import pytest
import torch

from conftest import SMALL_CROP, Prepared, evaluation_outputs
from luna.base.errors import UserError
from luna.batches.dataset import LunaDataset
from luna.crops.sources import CachedCrops
from luna.evaluation import explain
from luna.evaluation.explain import as_grey, attributions, halved, placed, randomised, rank_correlation
from luna.model.file import ModelFile
from luna.scoring.saliency import Saliency

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(prepared: Prepared) -> LunaDataset:
    source = CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP)
    return LunaDataset(prepared.candidates, source, np.arange(6))


def test_maps_account_for_the_evidence(
    model: Path, dataset: LunaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times the crop less air they sum to its evidence less that of air (completeness)."""
    monkeypatch.setattr(explain, "STEPS", 300)
    network = ModelFile.load(model).network(CPU)
    crops = np.stack([dataset.crop(n) for n in range(len(dataset))]).astype(np.float32)
    maps = attributions(network, dataset, CPU)
    assert maps.shape == crops.shape

    def evidence(each: np.ndarray) -> np.ndarray:
        logits = network(torch.from_numpy(each)[:, None])[0].detach().numpy()
        return logits[:, 1] - logits[:, 0]

    air = np.full_like(crops, SMALL_CROP.clip[0])
    expected = evidence(crops) - evidence(air)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose((maps * (crops - air)).sum(axis=(1, 2, 3)), expected, rtol=0.05, atol=0.1)


def test_random_weights_have_other_maps(model: Path, dataset: LunaDataset) -> None:
    """And a map that only shows the crop, whatever the weights, is found out."""
    trained = ModelFile.load(model)
    maps, others = (
        [as_grey(each) for each in attributions(network, dataset, CPU)]
        for network in (trained.network(CPU), randomised(trained, CPU))
    )
    assert rank_correlation(maps, others) < 0.5
    edges = [as_grey(np.abs(np.gradient(dataset.crop(n).astype(np.float32))[0])) for n in range(6)]
    assert rank_correlation(edges, edges) == pytest.approx(1)


def test_the_program(prepared: Prepared, model: Path, tmp_path: Path) -> None:
    """A map for every nodule and for the highest negatives of the test, the same each time."""
    import evaluate

    options = [*prepared.options(), "--device=cpu", "--model", str(model)]
    truth = ["--annotations", str(prepared.annotations), "--bootstrap=10"]
    evaluate.main([*options, *truth, *evaluation_outputs(tmp_path)])
    for name in ("one", "two"):
        program.main(
            [*options, "--predictions", f"{tmp_path}/predictions.csv", "--report.negatives=3",
             "--saliency", f"{tmp_path}/{name}.npz"]
        )  # fmt: skip
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    found = Saliency.load(tmp_path / "one.npz")
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    negatives = predictions[predictions["class"] == 0].nlargest(3, "probability")["id"]
    assert set(found.ids) == set(predictions[predictions["class"] == 1]["id"]) | set(negatives)
    assert found.maps.shape == (len(found.ids), 8, 8, 8)
    assert found.maps.max() > 100
    assert -1 <= found.agreement <= 1


def test_a_small_field_of_view_is_placed_in_the_middle() -> None:
    whole = placed(np.full((2, 4, 4), 200, np.uint8), (4, 8, 8))
    assert whole.sum() == 200 * 32
    assert whole[1:3, 2:6, 2:6].min() == 200


def test_halves_of_odd_sizes() -> None:
    grey = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    half = halved(grey)
    assert half.shape == (2, 2, 2)
    assert half[0, 0, 0] == int(grey[:2, :2, :2].mean())
    assert half[1, 1, 1] == 26


def test_nothing_speaks_for_a_nodule() -> None:
    assert as_grey(np.full((4, 4, 4), -1, np.float32)).max() == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saliency.npz").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        Saliency.load(tmp_path / "saliency.npz")
    with pytest.raises(UserError, match="no such file"):
        Saliency.load(tmp_path / "other.npz")

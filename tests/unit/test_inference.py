"""Predictions: averaged over mirror images, whatever the batch; the loader timing tool."""

from itertools import product
from pathlib import Path

import evaluate
import numpy as np
import pytest
import time_loader
import torch
import train

from conftest import SMALL_CROP, Prepared
from luna.crops import CachedCrops
from luna.dataset import LunaDataset
from luna.inference import predict
from luna.loader import make_loader
from luna.model import build_model
from luna.program import UserError

CPU = torch.device("cpu")
CACHE = '{"crop": [16, 16, 16], "margin": [1, 2, 2]}'


def test_flips_are_the_mean_over_eight_mirror_images(prepared: Prepared) -> None:
    dataset = LunaDataset(
        prepared.candidates, CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP), np.arange(20)
    )
    torch.manual_seed(0)
    model = build_model({"name": "luna", "channels": [2, 4]}, SMALL_CROP.crop).eval()
    loader = make_loader(dataset, CPU, "threads", 1)
    crops = torch.stack([torch.from_numpy(dataset.crop(index).copy()) for index in range(20)])[
        :, None
    ].float()
    with torch.inference_mode():
        each = [
            model(crops.flip([axis + 2 for axis in range(3) if mirrored[axis]]))[1][:, 1]
            for mirrored in product((False, True), repeat=3)
        ]
    averaged = predict(model, loader, CPU, "fp32", batch_size=7, flips=True)
    np.testing.assert_allclose(averaged.probabilities, torch.stack(each).mean(0).numpy(), atol=1e-6)
    plain = predict(model, loader, CPU, "fp32", batch_size=20)
    np.testing.assert_allclose(plain.probabilities, each[0].numpy(), atol=1e-6)
    labels = dataset.labels
    right = np.where(labels == 1, plain.probabilities, 1 - plain.probabilities)
    np.testing.assert_allclose(np.exp(-plain.losses), right, atol=1e-6)


@pytest.fixture(scope="module")
def model(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model")
    train.main([*tables(prepared), "--out", str(out), "--recipe", '{"model": {"channels": [2, 4]}}'])
    return out / "model.pt"


def tables(prepared: Prepared) -> list[str]:
    return [
        "--series", f"{prepared.folder}/series.csv", "--candidates", f"{prepared.folder}/candidates.csv",
        "--crops", str(prepared.crops), "--cache", CACHE,
    ]  # fmt: skip


def test_evaluation_with_flips_chooses_its_own_threshold(
    prepared: Prepared, model: Path, tmp_path: Path
) -> None:
    arguments = [*tables(prepared), "--model", str(model), "--annotations", str(prepared.annotations)]
    for name, flips in (("plain", []), ("flips", ["--flips"])):
        evaluate.main([*arguments, "--out", str(tmp_path / name), "--bootstrap", "10", *flips])
    written = [(tmp_path / name / "predictions.csv").read_text() for name in ("plain", "flips")]
    assert written[0] != written[1]


def test_a_model_for_other_crops_is_refused(prepared: Prepared, model: Path, tmp_path: Path) -> None:
    other = CACHE.replace("16, 16, 16", "16, 16, 24")
    arguments = [each.replace(CACHE, other) for each in tables(prepared)]
    with pytest.raises(UserError, match=r"made for crops of|was made with another crop"):
        evaluate.main([*arguments, "--model", str(model), "--annotations", str(prepared.annotations)])


def test_the_loader_timing_tool(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    time_loader.main(
        [*tables(prepared), "--loader", "threads", "workers", "--num-workers", "0", "1", "--batch-size", "16"]
    )
    out = capsys.readouterr().out
    assert out.count("threads") >= 2
    assert "fastest: training: {loader: " in out

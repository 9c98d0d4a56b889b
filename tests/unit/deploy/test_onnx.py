"""ONNX gives the same probabilities as torch, on phantom and real crops."""

import json
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from conftest import Prepared, prepare
from luna.base.errors import UserError
from luna.batches.dataset import LunaDataset
from luna.config.cache import CropSettings
from luna.crops.sources import CachedCrops
from luna.deploy.onnx import compare, export_onnx, onnx_probabilities
from luna.model.file import ModelFile
from unit.deploy.conftest import write_model


@pytest.mark.parametrize("name", ["luna", "residual"])
def test_onnx(prepared: Prepared, tmp_path: Path, name: str) -> None:
    """Any number of crops at once; values outside the clip range as within; metadata inside."""
    model = write_model(tmp_path / "model.pt", (16, 16, 16), name=name)
    export_onnx(model, tmp_path / "model.onnx")
    rng = np.random.default_rng(0)
    crops = rng.uniform(-3000, 3000, (21, 1, 16, 16, 16)).astype(np.float32)
    network = ModelFile.load(model).network(torch.device("cpu"))
    with torch.inference_mode():
        _, expected = network(torch.from_numpy(crops).clamp(-1000, 1000))
    for count in (1, 21):
        answers = onnx_probabilities(tmp_path / "model.onnx", crops[:count])
        np.testing.assert_allclose(answers, expected[:count, 1].numpy(), atol=1e-4)
    metadata = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(metadata["crop"]) == [16, 16, 16]
    assert metadata["threshold"] == "0.25"
    assert json.loads(metadata["key"])["data"] == "da7a"
    assert "no medical device" in metadata["notice"]


def test_another_model_is_noticed(prepared: Prepared, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.pt", (16, 16, 16))
    export_onnx(model, tmp_path / "model.onnx")
    changed = ModelFile.load(model)
    changed.weights["head_linear.weight"].zero_()
    changed.save(model)
    dataset = LunaDataset(
        prepared.candidates, CachedCrops(prepared.candidates, prepared.crops, prepared.settings)
    )
    with pytest.raises(UserError, match="differs from the model"):
        compare(model, tmp_path / "model.onnx", dataset)


def test_real_crops(real_data: Path, tmp_path: Path) -> None:
    """The chapter's network on 23 marks of a detector in three real slabs."""
    root = tmp_path / "data"
    root.mkdir()
    for folder in (real_data / "slabs").glob("subset*"):
        (root / folder.name).symlink_to(folder)
    (root / "candidates.csv").symlink_to(real_data / "slabs" / "candidates.csv")
    known = pd.read_csv(real_data / "luna16" / "annotations.csv")
    names = [path.stem for path in root.glob("subset*/*.mhd")]
    known[known["seriesuid"].isin(names)].to_csv(root / "annotations.csv", index=False)
    prepared = prepare(root, tmp_path / "prepared", CropSettings(margin=(0, 0, 0)))
    model = write_model(tmp_path / "model.pt", (32, 48, 48), channels=(8, 16, 32, 64))
    export_onnx(model, tmp_path / "model.onnx")
    crops = CachedCrops(prepared.candidates, prepared.crops, prepared.settings)
    assert compare(model, tmp_path / "model.onnx", LunaDataset(prepared.candidates, crops)) < 1e-4

"""ONNX answers as torch does, on phantom and real crops; the card tells what the files say."""

import json
from pathlib import Path
from typing import Any

import export_model
import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from conftest import Prepared, prepare
from luna.crops import CachedCrops, CropSettings
from luna.dataset import LunaDataset
from luna.export import compare, onnx_probabilities
from luna.fileio import write_json
from luna.inference import load_model_file, model_from_file, save_model
from luna.model import build_model
from luna.program import UserError

MODEL = {"name": "luna", "channels": [2, 4], "init": "chapter"}


def model_file(path: Path, crop: tuple[int, int, int], **changes: Any) -> Path:
    """A model.pt as training writes it, with weights as they begin."""
    torch.manual_seed(0)
    model = MODEL | changes
    weights = build_model(model, crop).state_dict()
    values: dict[str, Any] = {
        "weights": weights, "model": model, "crop": list(crop), "clip": [-1000, 1000],
        "class_names": ["not a nodule", "nodule"], "threshold": 0.25, "epoch": 3, "run": "mine", "fold": 0,
        "recipe": {"epochs": 3}, "split": {"method": "subset"}, "seed": 5, "code": "c0de", "data": "da7a",
    }  # fmt: skip
    save_model(path, values)
    return path


def arguments(prepared: Prepared, model: Path, cache: dict[str, Any]) -> list[str]:
    return [
        "--model", str(model), "--onnx", str(model.with_suffix(".onnx")), "--cache", json.dumps(cache),
        "--series", f"{prepared.folder}/series.csv", "--candidates", f"{prepared.folder}/candidates.csv",
        "--crops", str(prepared.crops), "--check", "20",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["luna", "residual"])
def test_onnx(prepared: Prepared, tmp_path: Path, name: str) -> None:
    """Any number of crops at once; values outside the clip range as within; metadata inside."""
    model = model_file(tmp_path / "model.pt", (16, 16, 16), name=name)
    export_model.main(arguments(prepared, model, {"crop": [16, 16, 16], "margin": [1, 2, 2]}))
    rng = np.random.default_rng(0)
    crops = rng.uniform(-3000, 3000, (21, 1, 16, 16, 16)).astype(np.float32)
    network = model_from_file(load_model_file(model), torch.device("cpu"))
    with torch.inference_mode():
        _, expected = network(torch.from_numpy(crops).clamp(-1000, 1000))
    for count in (1, 21):
        answers = onnx_probabilities(tmp_path / "model.onnx", crops[:count])
        np.testing.assert_allclose(answers, expected[:count, 1].numpy(), atol=1e-4)
    metadata = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(metadata["crop"]) == [16, 16, 16]
    assert (metadata["threshold"], metadata["data"]) == ("0.25", "da7a")
    assert "no medical device" in metadata["notice"]


def test_another_model_is_noticed(prepared: Prepared, tmp_path: Path) -> None:
    model = model_file(tmp_path / "model.pt", (16, 16, 16))
    export_model.main(arguments(prepared, model, {"crop": [16, 16, 16], "margin": [1, 2, 2]}))
    changed = load_model_file(model)
    changed["weights"]["head_linear.weight"].zero_()
    save_model(model, changed)
    dataset = LunaDataset(
        prepared.candidates, CachedCrops(prepared.candidates, prepared.crops, prepared.settings)
    )
    with pytest.raises(UserError, match="differs from the model"):
        compare(model, tmp_path / "model.onnx", dataset, 20)


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
    prepared = prepare(root, tmp_path / "prepared", CropSettings())
    model = model_file(tmp_path / "model.pt", (32, 48, 48), channels=[8, 16, 32, 64])
    export_model.main(arguments(prepared, model, {"margin": [0, 0, 0]}))


def test_card(prepared: Prepared, tmp_path: Path) -> None:
    model = model_file(tmp_path / "model.pt", (16, 16, 16))
    measures = ("auc", "average_precision", "recall", "precision", "f1", "brier")
    none = {name: [None, None] for name in measures}
    judged = {
        "leaks": False, "series_uids": ["1.2", "1.3"], "threshold": 0.25, "brier": 0.125, "intervals": none,
        "figures": {"auc": 0.75, "average_precision": None},
        "froc": {"cpm": 0.5, "cpm_lower": 0.25, "cpm_upper": 0.625, "nodules": 7},
        "at_threshold": {"chosen": {"recall": 1.0, "precision": 0.2}},
        "by_size": [{"band": "under 6 mm", "nodules": 7, "found": 4}],
    }  # fmt: skip
    counts = {"found": 3, "usable": 2, "listed": 9, "positive": 1}
    write_json(tmp_path / "evaluation.json", judged)
    write_json(tmp_path / "verification.json", dict.fromkeys(("series", "nodules", "candidates"), counts))
    card = tmp_path / "card.md"
    export_model.main(
        [*arguments(prepared, model, {}), "--check", "0", "--card", str(card),
         "--verification", f"{tmp_path}/verification.json"]
    )  # fmt: skip
    text = card.read_text(encoding="utf-8")
    for words in (
        "# Model card: mine, fold 0", "It is no medical device", "| CPM | 0.5 | 0.25 to 0.625 |",
        "| average precision | not defined |", "2 of 3 series were usable", "7 nodules in 2 series",
        '"epochs": 3',
    ):  # fmt: skip
        assert words in text

"""A model file that no training had to make."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from conftest import Prepared
from luna.base.files import write_csv
from luna.config.recipe import NetworkSettings, Recipe
from luna.config.split import SplitSettings
from luna.model.build import build_model
from luna.model.file import ModelFile
from luna.model.key import TrainingKey
from luna.scoring.calibration import Scaling
from luna.scoring.predictions import PREDICTION_COLUMNS

KEY = TrainingKey(
    recipe="re", seed="5", code="c0de", data="da7a", weights="", device="cpu", arithmetic="fp32", torch="2"
)


def write_model(path: Path, crop: tuple[int, int, int], **network: Any) -> Path:
    """A model.pt as training writes it, with initial weights; validation.csv beside it is empty."""
    torch.manual_seed(0)
    settings = NetworkSettings(**({"channels": (2, 4)} | network))
    weights = build_model(settings, crop).state_dict()
    ModelFile(
        weights=weights, crop=crop, clip=(-1000, 1000), threshold=0.25,
        calibration=Scaling(slope=0.5, offset=-1), choices=3, epoch=3, run="mine", fold=0,
        recipe=Recipe(epochs=3, model=settings), split=SplitSettings(), seed=5, key=KEY,
    ).save(path)  # fmt: skip
    write_csv(path.with_name("validation.csv"), pd.DataFrame(columns=PREDICTION_COLUMNS))
    return path


def export_options(prepared: Prepared, model: Path) -> list[str]:
    """Options of export.py for files beside the model."""
    folder = model.parent
    return [
        "--model", str(model), "--onnx", f"{folder}/model.onnx", "--card", f"{folder}/card.md",
        "--evaluation", f"{folder}/evaluation.json", "--verification", f"{folder}/verification.json",
        "--check", "20", *prepared.options(),
    ]  # fmt: skip

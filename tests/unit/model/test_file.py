"""The networks: names, shapes, initial weights, published weights."""

from pathlib import Path

import pytest
import torch

from luna.base.errors import UserError
from luna.model.file import load_weights
from luna.model.luna import LunaModel
from unit.model.conftest import PUBLISHED


def test_published_weights_load(tmp_path: Path) -> None:
    weights = {name: torch.full(shape, 0.5) for name, shape in PUBLISHED.items()}
    for wrapped in (weights, {"model_state": weights}):
        torch.save(wrapped, tmp_path / "weights.pt")
        model = LunaModel()
        load_weights(model, tmp_path / "weights.pt")
        assert (model.head_linear.weight == 0.5).all()


def test_weights_that_do_not_fit_are_listed_by_name(tmp_path: Path) -> None:
    weights = {name: torch.zeros(shape) for name, shape in PUBLISHED.items()}
    del weights["block2.conv1.bias"]
    weights["block9.conv1.bias"] = torch.zeros(1)
    weights["head_linear.weight"] = torch.zeros(2, 7)
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(UserError) as caught:
        load_weights(LunaModel(), tmp_path / "weights.pt")
    text = str(caught.value)
    for words in (
        "missing: block2.conv1.bias",
        "unknown: block9.conv1.bias",
        "head_linear.weight: shape (2, 7)",
    ):
        assert words in text

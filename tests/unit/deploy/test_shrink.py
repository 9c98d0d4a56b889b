"""A shrunk model is half as large and says the same."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from luna.base.errors import UserError
from luna.deploy.shrink import shrink
from luna.model.file import ModelFile
from unit.deploy.conftest import write_model


def test_half_the_bytes_and_nearly_the_same_probabilities(tmp_path: Path) -> None:
    """Large running variances, as those of HU, stay as they are."""
    model, small = write_model(tmp_path / "model.pt", (16, 16, 16), channels=(16, 32)), tmp_path / "small.pt"
    trained = ModelFile.load(model)
    variance = next(name for name in trained.weights if name.endswith("running_var"))
    wide = {variance: torch.full_like(trained.weights[variance], 90_000.1)}
    replace(trained, weights=trained.weights | wide).save(model)

    shrink(model, small)
    assert small.stat().st_size < 0.6 * model.stat().st_size
    before, after = ModelFile.load(model), ModelFile.load(small)
    assert torch.equal(after.weights[variance], before.weights[variance])
    crops = torch.randn(8, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)) * 300
    with torch.inference_mode():
        expected, found = (each.network(torch.device("cpu"))(crops)[1] for each in (before, after))
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert replace(after, weights={}) == replace(before, weights={})


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        shrink(tmp_path / "model.pt", tmp_path / "small.pt")
    assert not (tmp_path / "small.pt").exists()

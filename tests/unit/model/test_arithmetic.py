"""bf16 on this machine: every layer of every network against float64, with memory that is not clean."""

import pytest
import torch
from torch import nn

from luna.base.errors import UserError
from luna.config.recipe import NetworkSettings
from luna.model import layers
from luna.model.arithmetic import check_arithmetic, layer_errors
from luna.model.build import build_model
from luna.runtime.cores import keep_freed_memory
from unit.model.conftest import NETWORKS

CROPS = [(32, 48, 48), (16, 32, 32), (16, 16, 16), (32, 16, 64)]
CPU = torch.device("cpu")


def network(name: str, crop: tuple[int, ...]) -> nn.Module:
    torch.manual_seed(0)
    return build_model(NetworkSettings(name=name), crop).to(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_in_bf16(name: str, crop: tuple[int, int, int]) -> None:
    keep_freed_memory()
    model = network(name, crop)
    errors = layer_errors(model, crop, CPU, torch.float64)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv3d)]
    assert len({each.layer for each in errors}) == len(convolutions), "torch's own Conv3d is not checked"
    assert [each for each in errors if not each.error < 0.02] == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_check_passes_and_leaves_no_trace(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    model = build_model(NetworkSettings(name=name), (16, 32, 32))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    random = torch.get_rng_state()
    check_arithmetic(model, (16, 32, 32), CPU, "bf16")
    assert torch.equal(torch.get_rng_state(), random)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(weights.grad is None for weights in model.parameters())


def test_a_training_is_refused_where_bf16_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = layers.Conv3d.convolve

    def wrong(self: layers.Conv3d, batch: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        result = right(self, batch, kernel)
        if kernel.shape[0] == 32 and torch.is_autocast_enabled("cpu"):
            result.register_hook(lambda gradient: 2 * gradient)
        return result

    monkeypatch.setattr(layers.Conv3d, "convolve", wrong)
    model = network("luna", (16, 16, 16))
    with pytest.raises(UserError, match="computes wrongly in bf16") as raised:
        check_arithmetic(model, (16, 16, 16), CPU, "bf16")
    for layer in ("block3.conv1", "block3.conv2"):
        assert f"{layer}: its weight gradient is off by 100 %" in str(raised.value)
    assert "block2" not in str(raised.value)
    check_arithmetic(model, (16, 16, 16), CPU, "fp32")

"""bf16 on this machine: every layer of every network against float64, with memory that is not clean."""

from typing import get_args

import pytest
import torch
from torch import nn

from luna.base.errors import UserError
from luna.config.recipe import NetworkSettings
from luna.model.arithmetic import check_arithmetic, dirty_memory, relative_error
from luna.model.build import build_model
from luna.model.layers import Conv3d, Scaled
from luna.runtime.cores import keep_freed_memory

NETWORKS = get_args(NetworkSettings.model_fields["name"].annotation)
CROPS = [(32, 48, 48), (16, 32, 32), (16, 16, 16), (32, 16, 64)]
CPU = torch.device("cpu")
ROUNDING = 0.02
"""bf16 has 8 bits: sums of a layer are within half a per cent."""


def convolutions(network: str, crop: tuple[int, int, int]) -> dict[str, tuple[Conv3d, torch.Tensor]]:
    """Each convolution of a network, and its input of a training step, float32."""
    torch.manual_seed(0)
    model = build_model(NetworkSettings(name=network), crop).to(memory_format=torch.channels_last_3d)
    inputs: dict[str, tuple[Conv3d, torch.Tensor]] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv3d):
            assert isinstance(layer, Conv3d), f"{name} is torch's own"

            def keep(layer: Conv3d, arguments: tuple, name: str = name) -> None:
                batch = arguments[0]
                batch = batch.scale * batch.values + batch.shift if isinstance(batch, Scaled) else batch
                inputs[name] = (layer, batch.detach().clone())

            layer.register_forward_pre_hook(keep)
    model(torch.randn(2, 1, *crop) * 400 - 400)
    return inputs


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_convolution_in_bf16(network: str, crop: tuple[int, int, int]) -> None:
    """Output, input gradient and weight gradient."""
    keep_freed_memory()
    wrong = []
    for name, (layer, batch) in convolutions(network, crop).items():
        exact = nn.functional.conv3d
        inputs = batch.double().requires_grad_()
        weight = layer.weight.detach().double().requires_grad_()
        bias = None if layer.bias is None else layer.bias.detach().double()
        expected = exact(inputs, weight, bias, layer.stride, layer.padding)
        outer = torch.randn(expected.shape)
        expected.backward(outer.double())
        batch = batch.contiguous(memory_format=torch.channels_last_3d).requires_grad_()
        layer.zero_grad()
        dirty_memory(CPU)
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(batch)
        dirty_memory(CPU)
        found.backward(outer.to(found.dtype))
        for what, value, reference in (
            ("output", found, expected), ("input gradient", batch.grad, inputs.grad),
            ("weight gradient", layer.weight.grad, weight.grad),
        ):  # fmt: skip
            error = relative_error(value.detach(), reference.detach())
            if not error < ROUNDING:
                wrong.append(f"{name}: {what} of input {tuple(batch.shape)} is off by {error:.2g}")
    assert not wrong, "\n".join(wrong)


class Wrong(nn.Module):
    """A network whose gradient is wrong in bf16."""

    def __init__(self) -> None:
        super().__init__()
        self.good, self.bad = nn.Linear(64, 2), nn.Linear(64, 2)

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, None]:
        features = crops.flatten(1)
        other = self.bad(features)
        factor = 1e6 if torch.is_autocast_enabled("cpu") else 1.0
        other.register_hook(lambda gradient: gradient * factor)
        return self.good(features) + other, None


def test_a_training_is_refused_where_bf16_is_wrong() -> None:
    with pytest.raises(UserError, match="wrong gradients in bf16") as raised:
        check_arithmetic(Wrong(), (4, 4, 4), CPU, "bf16")
    assert "bad.weight" in str(raised.value)
    assert "good" not in str(raised.value)
    check_arithmetic(Wrong(), (4, 4, 4), CPU, "fp32")


@pytest.mark.parametrize("network", NETWORKS)
def test_the_check_passes_and_leaves_no_trace(network: str) -> None:
    torch.manual_seed(1)
    model = build_model(NetworkSettings(name=network), (32, 48, 48))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    check_arithmetic(model, (32, 48, 48), CPU, "bf16")
    assert torch.equal(torch.get_rng_state(), random)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(weights.grad is None for weights in model.parameters())

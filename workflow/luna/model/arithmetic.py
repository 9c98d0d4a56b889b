"""Whether this machine computes a network's convolutions rightly in bf16."""

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from luna.base.errors import UserError
from luna.model.layers import Conv3d, Scaled
from luna.runtime.device import autocast, uses_bf16

_LARGEST_ERROR = 0.2
"""bf16 has 8 bits: what a layer sums is right to a hundredth. Unwritten memory is off by 0.8 and more."""


class LayerError(NamedTuple):
    """How far off a convolution is: its name, what of it, and the error relative to the norm."""

    layer: str
    what: str
    error: float


def check_arithmetic(model: nn.Module, crop: Sequence[int], device: torch.device, precision: str) -> None:
    """Compare each convolution in bf16 with float32, on random crops and after dirtying the memory.

    Raises UserError that names what is wrong. Changes neither the model nor torch's random numbers.
    Returns at once where the precision is not bf16.
    """
    if not uses_bf16(device, precision):
        return
    wrong = [
        f"{each.layer}: its {each.what} is off by {100 * each.error:.3g} %"
        for each in layer_errors(model, crop, device)
        if not each.error < _LARGEST_ERROR
    ]
    if wrong:
        raise UserError(
            f"this machine computes wrongly in bf16 (torch {torch.__version__}, {device.type});"
            " set precision to fp32", wrong,
        )  # fmt: skip


def layer_errors(
    model: nn.Module, crop: Sequence[int], device: torch.device, reference: torch.dtype = torch.float32
) -> list[LayerError]:
    """The errors in bf16 of every convolution of a network: output, input gradient, weight gradient."""
    generator = torch.Generator().manual_seed(0)
    crops = torch.randn((2, 1, *crop), generator=generator).mul(400).sub(400).to(device)
    return [
        error
        for name, layer, batch in _inputs_of_convolutions(copy.deepcopy(model).train(), crops)
        for error in _errors(name, layer, batch, reference, generator)
    ]


def _inputs_of_convolutions(model: nn.Module, crops: Tensor) -> list[tuple[str, Conv3d, Tensor | Scaled]]:
    inputs: list[tuple[str, Conv3d, Tensor | Scaled]] = []
    hooks = []
    for name, layer in model.named_modules():
        if isinstance(layer, Conv3d):

            def keep(layer: Conv3d, arguments: tuple[Tensor | Scaled], name: str = name) -> None:
                batch = arguments[0]
                if isinstance(batch, Tensor):
                    # What comes next may change it in place.
                    batch = batch.detach().clone()
                inputs.append((name, layer, batch))

            hooks.append(layer.register_forward_pre_hook(keep))
    model(crops.contiguous(memory_format=torch.channels_last_3d))
    for hook in hooks:
        hook.remove()
    return inputs


def _errors(
    name: str, layer: Conv3d, batch: Tensor | Scaled, reference: torch.dtype, generator: torch.Generator
) -> Iterator[LayerError]:
    values = batch.values * batch.scale + batch.shift if isinstance(batch, Scaled) else batch
    exact_input = values.detach().to(reference).requires_grad_()
    exact_weight = layer.weight.detach().to(reference).requires_grad_()
    bias = None if layer.bias is None else layer.bias.detach().to(reference)
    exact = functional.conv3d(exact_input, exact_weight, bias, layer.stride, layer.padding)
    gradient = torch.randn(exact.shape, generator=generator).to(exact)
    exact.backward(gradient)
    if isinstance(batch, Tensor):
        batch.requires_grad_()
    layer.zero_grad()
    dirty_memory(values.device)
    with autocast(values.device, "bf16"):
        output = layer(batch)
    dirty_memory(values.device)
    output.backward(gradient.to(output.dtype))
    yield LayerError(name, "output", relative_error(output, exact))
    yield LayerError(name, "weight gradient", relative_error(layer.weight.grad, exact_weight.grad))
    if isinstance(batch, Tensor):
        yield LayerError(name, "input gradient", relative_error(batch.grad, exact_input.grad))


def dirty_memory(device: torch.device) -> None:
    """Fill memory with huge numbers and free it, so that reading memory that nobody wrote shows."""
    sizes = [1 << power for power in range(8, 23)]
    for dtype in (torch.float32, torch.bfloat16):
        blocks = [torch.full((size,), 3e38, dtype=dtype, device=device) for size in sizes]
        del blocks


def relative_error(found: Tensor | None, exact: Tensor | None) -> float:
    """The norm of the difference over the norm of what is exact; NaN where a number is not finite."""
    if found is None or exact is None:
        return float("nan")
    exact = exact.detach().double()
    return float((found.detach().double() - exact).norm() / exact.norm().clamp(min=1e-30))

"""Whether this machine computes a network's layers rightly in bf16."""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from luna.base.errors import UserError
from luna.runtime.device import autocast, uses_bf16

_LARGEST_ERROR = 0.5
"""Relative. A whole network in bf16 stays within a tenth; gradients from unwritten memory exceed 0.8."""


def check_arithmetic(model: nn.Module, crop: Sequence[int], device: torch.device, precision: str) -> None:
    """Compare gradients in bf16 with those in float32, on two random crops, after dirtying the memory.

    Raises UserError that names the layers which are wrong. Changes neither the model nor torch's random
    numbers. Returns at once where the precision is not bf16.
    """
    if not uses_bf16(device, precision):
        return
    generator = torch.Generator().manual_seed(0)
    crops = torch.randn((2, 1, *crop), generator=generator).mul(400).sub(400).to(device)
    exact = gradients(model, crops, device, "fp32")
    found = gradients(model, crops, device, "bf16")
    wrong = [name for name in exact if not relative_error(found[name], exact[name]) < _LARGEST_ERROR]
    if wrong:
        raise UserError(
            f"this machine computes wrong gradients in bf16 (torch {torch.__version__}, {device.type});"
            " set precision to fp32. Wrong for:", wrong,
        )  # fmt: skip


def gradients(model: nn.Module, crops: Tensor, device: torch.device, precision: str) -> dict[str, Tensor]:
    """Each parameter's gradient for crops (n, 1, index, row, column), every other a nodule."""
    trained = copy.deepcopy(model).train()
    labels = torch.arange(len(crops), device=device) % 2
    dirty_memory(device)
    with autocast(device, precision):
        logits = trained(crops.contiguous(memory_format=torch.channels_last_3d))[0]
    loss = functional.cross_entropy(logits.float(), labels)
    dirty_memory(device)
    loss.backward()
    return {name: weights.grad for name, weights in trained.named_parameters() if weights.grad is not None}


def dirty_memory(device: torch.device) -> None:
    """Fill memory with huge numbers and free it, so that reading memory that nobody wrote shows."""
    sizes = [1 << power for power in range(8, 23)]
    for dtype in (torch.float32, torch.bfloat16):
        blocks = [torch.full((size,), 3e38, dtype=dtype, device=device) for size in sizes]
        del blocks


def relative_error(found: Tensor, exact: Tensor) -> float:
    """The norm of the difference over the norm of what is exact; NaN where a number is not finite."""
    exact = exact.double()
    return float((found.double() - exact).norm() / exact.norm().clamp(min=1e-30))

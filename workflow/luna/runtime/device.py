"""The device that computes, and the arithmetic it is fastest with."""

import contextlib
import os
from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn

from luna.base.errors import UserError
from luna.runtime.cores import keep_freed_memory
from luna.runtime.gpus import claimed_gpu
from luna.runtime.team import team_size_here


@contextlib.contextmanager
def prepared_device(wanted: str, threads: int) -> Iterator[torch.device]:
    """The device for `auto`, `cpu` or `cuda`, set up: threads, allocator, determinism.

    A GPU is claimed until the context ends, see luna.runtime.gpus; CUDA_VISIBLE_DEVICES limits which.
    Raises UserError when `cuda` is wanted and there is no usable GPU, or fewer than processes of a team.
    """
    kind = device_kind(wanted)
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    if kind == "cpu":
        keep_freed_memory()
        yield torch.device("cpu")
        return
    if torch.cuda.device_count() < team_size_here():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise UserError(
            f"{team_size_here()} processes were started to train on a GPU each, but torch sees"
            f" {torch.cuda.device_count()} here (CUDA_VISIBLE_DEVICES is {visible}); lower gpus"
        )
    names = [
        str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())
    ]
    with claimed_gpu(names) as number:
        torch.cuda.set_device(number)
        try:
            yield torch.device("cuda", number)
        finally:
            # A notebook lives on; the next job needs the memory.
            torch.cuda.empty_cache()


def device_kind(wanted: str) -> Literal["cpu", "cuda"]:
    """What `auto`, `cpu` or `cuda` means here. Raises UserError for `cuda` without a usable GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but torch sees no GPU; set training.device to auto or cpu")
    return "cpu" if wanted == "cpu" or not torch.cuda.is_available() else "cuda"


def uses_bf16(device: torch.device, precision: str) -> bool:
    """Whether layers compute in bf16: as `precision` says, with `auto` where hardware gains by it."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu = torch.cpu.get_capabilities()
    # On Intel's cores without AMX the bf16 instructions are half as fast as float32's (measured: a matrix
    # product 200 against 350 GFLOP/s, a training step 60 against 94 samples/s); AMD's are twice as fast.
    has_fast_avx512 = cpu.get("avx512_bf16", False) and "Intel" not in cpu.get("cpu_name", "")
    return bool(cpu.get("amx_bf16", False) or has_fast_avx512)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[None]:
    """A context in which layers compute in the recipe's precision; weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(device, precision))


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on the device, in the memory format 3-D convolutions are fastest with."""
    return model.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

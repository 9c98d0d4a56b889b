"""Training steps: each option on and off, and a whole epoch with its data."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from luna.base.arrays import IntArray
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import Batch, Loader
from luna.config.cache import CropSettings
from luna.config.machine import Logs, Machine
from luna.config.recipe import NetworkSettings, Recipe
from luna.config.split import SplitSettings
from luna.crops.sources import CachedCrops
from luna.model.build import build_model
from luna.model.luna import LunaModel
from luna.runtime.cores import keep_freed_memory
from luna.runtime.device import prepared_device, uses_bf16
from luna.runtime.team import ALONE
from luna.training.job import TrainingJob
from luna.training.loop import fit
from luna.training.setup import set_up, training_key
from measure import Row, Scan, build_cache, in_a_process

BATCH = 32
BOOK_SAMPLES_PER_SECOND = 22.9
"""The book's own program on 2 such cores, data included."""
AUGMENTED: dict[str, Any] = {
    "balance": 1,
    "augmentation": {"flip": 0.5, "shift": 1, "scale": 0.05, "rotate": 30, "noise": 15},
}
FAST = {"channels_last": True, "allocator": True}
OPTIONS = (
    ("plain: fp32, contiguous, the chapter's layers", {"chapter": True}),
    ("channels_last_3d", {"chapter": True, "channels_last": True}),
    ("bf16 autocast", {"chapter": True, "bf16": True}),
    ("channels_last_3d, bf16", {"chapter": True, "channels_last": True, "bf16": True}),
    ("channels_last_3d, freed memory kept", {"chapter": True, **FAST}),
    ("channels_last_3d, bf16, freed memory kept", {"chapter": True, "bf16": True, **FAST}),
    ("our layers, channels_last_3d, freed memory kept", FAST),
    ("our layers, channels_last_3d, bf16, freed memory kept", {"bf16": True, **FAST}),
)  # fmt: skip
GPU_BATCHES = (32, 128, 512, 2048)
ALL_CANDIDATES = 551_065


def default_options() -> dict[str, bool]:
    """What training uses on this machine."""
    return FAST | {"bf16": uses_bf16(_device(), "auto")}


def steps(small: bool) -> Iterator[Row]:
    """Training steps on one batch in memory."""
    on_gpu = _device().type == "cuda"
    defaults = default_options()
    variants = [
        ("the default here, without the fused optimizer", defaults | {"fused": False}),
        ("the default here, with torch.compile", defaults | {"compiled": True}),
        ("the default here, with cuDNN's autotuning", defaults | {"autotune": True}),
    ]
    if small:
        variants = variants[:1]
    elif not on_gpu:
        variants = variants[:2]
    yield from _limits()
    plain = 0.0
    # How freed memory is kept matters on a CPU only.
    known = [each for each in OPTIONS if not on_gpu or "chapter" not in each[1] or "allocator" not in each[1]]
    for name, options in (*known, *variants):
        speed = in_a_process(_step_speed, options, 3 if small else 20)[0]
        plain = plain or speed
        default = ", the default here" if {"bf16": False} | options == defaults else ""
        yield Row(
            f"training step, {name}{default}", f"{speed:.0f} samples/s",
            f"{speed / plain:.2f} times the plain step",
        )  # fmt: skip


def _limits() -> Iterator[Row]:
    """What the device's arithmetic allows: a step whose every operation ran as fast as a matrix product."""
    flops = _flops_of_a_sample()
    for dtype in (torch.float32, torch.bfloat16):
        speed = in_a_process(_matrix_speed, dtype)[0]
        yield Row(
            f"limit: a matrix product in {str(dtype).removeprefix('torch.')}", f"{speed / 1e9:,.0f} GFLOP/s",
            f"{speed / flops:,.0f} samples/s at {flops / 1e9:.2f} GFLOP a sample, forward and backward",
        )  # fmt: skip


def _flops_of_a_sample() -> float:
    model = _chapter_model()
    with FlopCounterMode(display=False) as counter:
        _chapter_layers(model, torch.zeros(2, 1, 32, 48, 48)).sum().backward()
    return counter.get_total_flops() / 2


def _matrix_speed(dtype: torch.dtype) -> float:
    """Floating-point operations per second; a multiplication and an addition are two."""
    left, right = (torch.ones(size, 1024, dtype=dtype, device=_device()) for size in (4096, 1024))
    count = 20
    return 2 * 4096 * 1024 * 1024 * count / _time_of(lambda: left @ right.T, count)


def gpu(small: bool) -> Iterator[Row]:
    """On a GPU only: batch sizes, and an epoch as long as LUNA16's, with crops made up on the device."""
    if _device().type != "cuda":
        return
    speeds = {}
    for batch in GPU_BATCHES[:1] if small else GPU_BATCHES:
        speeds[batch] = in_a_process(_step_speed, default_options(), 3 if small else 20, batch)[0]
        yield Row(f"training step, batch of {batch}", f"{speeds[batch]:,.0f} samples/s")
    batch = max(speeds, key=lambda size: speeds[size])
    samples = batch * 4 if small else ALL_CANDIDATES
    seconds = in_a_process(_long_epoch, default_options(), batch, samples)[0]
    yield Row(
        f"epoch of {samples:,} synthetic crops in batches of {batch}", f"{seconds:.0f} s",
        f"{samples / speeds[batch]:.0f} s expected from the step alone",
    )  # fmt: skip


def epoch(scan: Scan, small: bool) -> Iterator[Row]:
    """A whole epoch, data included, by the workflow's own training."""
    build_cache(scan, "train", CropSettings())
    for name, recipe in (("chapter 11's recipe", {}), ("with balance and augmentation", AUGMENTED)):
        samples = 96 if small else 620
        (speed, waiting), _, peak = in_a_process(_epoch_speed, scan, recipe, samples)
        yield Row(
            f"whole epoch, {name}", f"{speed:.0f} samples/s, {peak:.0f} MB",
            f"{speed / BOOK_SAMPLES_PER_SECOND:.1f} times the book's {BOOK_SAMPLES_PER_SECOND}/s;"
            f" waits {100 * waiting:.1f} % of its time for data",
        )  # fmt: skip


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _chapter_model() -> LunaModel:
    model = build_model(NetworkSettings(), (32, 48, 48))
    assert isinstance(model, LunaModel)
    return model


def _chapter_layers(model: LunaModel, crops: Tensor) -> Tensor:
    """The logits, computed layer by layer as the book does."""
    features = functional.batch_norm(
        crops, None, None, model.tail_batchnorm.weight, model.tail_batchnorm.bias, training=True
    )
    for block in model.blocks:
        features = block.maxpool(block.relu2(block.conv2(block.relu1(block.conv1(features)))))
    return model.head_linear(features.reshape(len(crops), -1))


def _stepper(options: dict[str, bool]) -> Callable[[Tensor, Tensor], None]:
    """A training step with these options, to be called with crops (n, 1, d, h, w) and labels (n,)."""
    torch.manual_seed(0)
    device = _device()
    if options.get("allocator"):
        keep_freed_memory()
    torch.backends.cudnn.benchmark = options.get("autotune", False)
    layout = torch.channels_last_3d if options.get("channels_last") else torch.contiguous_format
    model = _chapter_model().to(device)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.99, fused=options.get("fused", True))
    forward = torch.compile(model) if options.get("compiled") else model

    def step(crops: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=options.get("bf16", False)):
            crops = crops.contiguous(memory_format=layout)
            logits = _chapter_layers(model, crops) if options.get("chapter") else forward(crops)[0]
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def _made_up(count: int) -> tuple[Tensor, Tensor]:
    crops = torch.randint(-1000, 1000, (count, 1, 32, 48, 48), device=_device(), dtype=torch.int16)
    return crops, torch.zeros(count, dtype=torch.int64, device=_device())


def _step_speed(options: dict[str, bool], count: int, batch: int = BATCH) -> float:
    step, (crops, labels) = _stepper(options), _made_up(batch)
    inputs = crops.float()
    return batch * count / _time_of(lambda: step(inputs, labels), count)


def _long_epoch(options: dict[str, bool], batch: int, samples: int) -> float:
    """Seconds for so many samples, each batch chosen and converted on the device as training does."""
    step, (crops, labels) = _stepper(options), _made_up(20_000)
    order = torch.randint(len(crops), (samples,), device=_device())
    parts = order.split(batch)
    for part in parts[:3]:
        step(crops[part].float(), labels[part])
    torch.cuda.synchronize()
    start = time.perf_counter()
    for part in parts:
        step(crops[part].float(), labels[part])
    torch.cuda.synchronize()
    return time.perf_counter() - start


def _time_of(step: Callable[[], Any], count: int) -> float:
    for _ in range(3):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _epoch_speed(scan: Scan, recipe: dict[str, Any], samples: int) -> tuple[float, float]:
    """Samples a second of an epoch, and the share of its time in which the model waits for data."""
    source = CachedCrops(scan.candidates, scan.folder / "train", CropSettings())
    dataset = LunaDataset(scan.candidates, source)
    out = scan.folder / "out"
    two_epochs = Recipe.model_validate(recipe | {"samples_per_epoch": samples, "epochs": 2})
    job = TrainingJob(
        "benchmark", 0, two_epochs, SplitSettings(), 0, "",
        out / "model.pt", out / "history.csv", out / "validation.csv", out / "state",
    )  # fmt: skip
    shutil.rmtree(job.state_folder, ignore_errors=True)
    few = LunaDataset(scan.candidates, source, np.arange(2))
    with prepared_device("auto", two_epochs.threads) as device:
        key = training_key(job, device.type, dataset, few)
        setup = set_up(job, key, Machine(), Logs(), device, ALONE, dataset, few)
        setup.training = watched = _WatchedLoader(setup.training)
        fit(setup)
    took = watched.took[-1]
    return samples / took, watched.waited[-1] / took


class _WatchedLoader:
    """A loader that times each pass, and how long its user waits for batches in it, in seconds."""

    def __init__(self, loader: Loader) -> None:
        self.dataset, self._loader = loader.dataset, loader
        self.took: list[float] = []
        self.waited: list[float] = []

    def load(self, batches: Sequence[IntArray]) -> Iterator[Batch]:
        loaded, waited, began = self._loader.load(batches), 0.0, time.perf_counter()
        while True:
            start = time.perf_counter()
            batch = next(loaded, None)
            waited += time.perf_counter() - start
            if batch is None:
                self.took.append(time.perf_counter() - began)
                self.waited.append(waited)
                return
            yield batch

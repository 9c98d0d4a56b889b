"""Training steps: each option on and off, and a whole epoch with its data."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as functional

from luna.config import complete_recipe, default_section
from luna.crops import CachedCrops, CropSettings
from luna.dataset import IntArray, LunaDataset
from luna.device import prepare_device
from luna.loader import Batch, Loader
from luna.machine import keep_freed_memory
from luna.model import build_model
from luna.training import Machine, Training, TrainingJob
from measure import Row, Scan, build_cache, in_a_process

BATCH = 32
BOOK_SAMPLES_PER_SECOND = 22.9
"""The book's own program on 2 such cores, data included."""
AUGMENTED = {
    "balance": 1,
    "augmentation": {"flip": 0.5, "shift": 1, "scale": 0.05, "rotate": 30, "noise": 15},
}
OPTIONS = (
    ("plain: fp32, contiguous", {}),
    ("channels_last_3d", {"channels_last": True}),
    ("bf16 autocast", {"bf16": True}),
    ("channels_last_3d, bf16", {"channels_last": True, "bf16": True}),
    ("channels_last_3d, bf16, freed memory kept", {"channels_last": True, "bf16": True, "allocator": True}),
    ("the same without the fused optimizer",
     {"channels_last": True, "bf16": True, "allocator": True, "fused": False}),
)  # fmt: skip
COMPILED = ("the same with torch.compile", OPTIONS[4][1] | {"compiled": True})


def steps(small: bool) -> Iterator[Row]:
    """Training steps on one batch in memory."""
    plain = 0.0
    for name, options in OPTIONS if small else (*OPTIONS, COMPILED):
        speed = in_a_process(_step_speed, options, 3 if small else 20)[0]
        plain = plain or speed
        yield Row(
            f"training step, {name}", f"{speed:.0f} samples/s", f"{speed / plain:.2f} times the plain step"
        )


def epoch(scan: Scan, small: bool) -> Iterator[Row]:
    """A whole epoch, data included, by the workflow's own training."""
    build_cache(scan, "train", CropSettings.from_config(default_section("cache")))
    for name, recipe in (("chapter 11's recipe", {}), ("with balance and augmentation", AUGMENTED)):
        samples = 96 if small else 620
        (speed, waiting), _, peak = in_a_process(_epoch_speed, scan, recipe, samples)
        yield Row(
            f"whole epoch, {name}", f"{speed:.0f} samples/s, {peak:.0f} MB",
            f"{speed / BOOK_SAMPLES_PER_SECOND:.1f} times the book's {BOOK_SAMPLES_PER_SECOND}/s;"
            f" waits {100 * waiting:.1f} % of its time for data",
        )  # fmt: skip


def _step_speed(options: dict[str, bool], count: int) -> float:
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.get("allocator"):
        keep_freed_memory()
    layout = torch.channels_last_3d if options.get("channels_last") else torch.contiguous_format
    model = build_model(complete_recipe({})["model"], (32, 48, 48)).to(device, memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.99, fused=options.get("fused", True))
    forward = torch.compile(model) if options.get("compiled") else model
    crops = torch.randint(-1000, 1000, (BATCH, 1, 32, 48, 48), device=device).float()
    crops = crops.contiguous(memory_format=layout)
    labels = torch.zeros(BATCH, dtype=torch.int64, device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=options.get("bf16", False)):
            logits, _ = forward(crops)
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return BATCH * count / _time_of(step, count)


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


def _epoch_speed(scan: Scan, recipe: dict[str, object], samples: int) -> tuple[float, float]:
    """Samples a second of an epoch, and the share of its time in which the model waits for data."""
    device = prepare_device("auto", 64)
    settings = CropSettings.from_config(default_section("cache"))
    source = CachedCrops(scan.candidates, scan.folder / "train", settings)
    dataset = LunaDataset(scan.candidates, source)
    out = scan.folder / "out"
    job = TrainingJob(
        "benchmark", 0, complete_recipe(recipe | {"samples_per_epoch": samples}), {}, 0, "", out / "model.pt",
        out / "history.csv", out / "state",
    )  # fmt: skip
    training = Training(job, Machine(), device, dataset, dataset)
    training.train_epoch(1)
    training.loader = watched = _WatchedLoader(training.loader)
    start = time.perf_counter()
    training.train_epoch(2)
    took = time.perf_counter() - start
    return samples / took, watched.waited / took


class _WatchedLoader:
    """A loader that adds up the time its user waits for a batch."""

    def __init__(self, loader: Loader) -> None:
        self.dataset, self._loader, self.waited = loader.dataset, loader, 0.0

    def load(self, batches: Sequence[IntArray]) -> Iterator[Batch]:
        loaded = self._loader.load(batches)
        while True:
            start = time.perf_counter()
            batch = next(loaded, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch

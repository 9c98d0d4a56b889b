"""Datasets, the order of an epoch, and loaders that all give the same batches."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import PROJECT, SMALL_CROP, prepare
from luna.base.errors import UserError
from luna.batches.dataset import LunaDataset
from luna.batches.epoch import epoch_order
from luna.batches.loaders import DeviceLoader, batches_of, make_loader
from luna.crops.cache import crop_file
from luna.crops.sources import CachedCrops

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        ("threads", 0),
        ("threads", 1),
        ("threads", 2),
        ("workers", 0),
        ("workers", 2),
        ("device", 2),
        ("auto", 2),
    ],
)
def test_every_loader_gives_the_exact_crops(
    dataset: LunaDataset, exact: np.ndarray, kind: str, workers: int
) -> None:
    """In the order asked for, twice over, an incomplete last batch included."""
    loader = make_loader(dataset, CPU, kind, workers)
    for epoch in (1, 2):
        order = epoch_order(dataset.labels, 0, epoch, balance=1, samples=50)
        loaded = list(loader.load(batches_of(order, 16)))
        assert [len(batch.labels) for batch in loaded] == [16, 16, 16, 2]
        assert torch.cat([batch.crops for batch in loaded]).numpy().tobytes() == exact[order].tobytes()
        assert (torch.cat([batch.labels for batch in loaded]).numpy() == dataset.labels[order]).all()
    assert list(loader.load([])) == []


@pytest.fixture
def damaged(phantom: Path, tmp_path: Path) -> LunaDataset:
    """A dataset with a byte flipped in its last crop file."""
    data = prepare(phantom, tmp_path, SMALL_CROP)
    dataset = LunaDataset(data.candidates, CachedCrops(data.candidates, data.crops, SMALL_CROP))
    path = crop_file(data.crops, data.candidates["seriesuid"].iloc[-1])
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    return dataset


@pytest.mark.parametrize("kind", ["threads", "workers", "device"])
def test_a_damaged_crop_is_named_by_every_loader(damaged: LunaDataset, kind: str) -> None:
    with pytest.raises(UserError, match="is damaged at crop") as caught:
        list(make_loader(damaged, CPU, kind, 2).load(batches_of(np.arange(len(damaged)), 16)))
    assert str(caught.value).startswith(str(Path(str(caught.value).split(":")[0])))
    assert "Traceback" not in str(caught.value)


KILLS_A_WORKER = """
import os, pickle, signal, sys, numpy, torch
from luna.batches.loaders import batches_of
from luna.batches.loaders import WorkerLoader, explain_dead_workers
dataset = pickle.load(sys.stdin.buffer)
with explain_dead_workers():
    loader = WorkerLoader(dataset, torch.device("cpu"), 1)
    batches = loader.load(batches_of(numpy.arange(len(dataset)), 4))
    next(batches)
    os.kill(loader._loader._iterator._workers[0].pid, signal.SIGKILL)
    list(batches)
"""


def test_a_worker_that_dies_is_reported(dataset: LunaDataset) -> None:
    """In a process of its own: torch raises at whatever the main thread does just then."""
    done = subprocess.run(
        [sys.executable, "-c", KILLS_A_WORKER], input=pickle.dumps(dataset), capture_output=True, check=False,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "workflow")},
    )  # fmt: skip
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("luna.base.errors.UserError: a loader's worker")


LOADS_WITH_WORKERS = """
import pickle, sys, numpy, torch
from luna.batches.loaders import batches_of
from luna.batches.loaders import WorkerLoader, explain_dead_workers
dataset = pickle.load(sys.stdin.buffer)
with explain_dead_workers():
    list(WorkerLoader(dataset, torch.device("cpu"), 1).load(batches_of(numpy.arange(len(dataset)), 16)))
"""


@pytest.mark.parametrize("size", ["16k", "160k"])
def test_too_little_shared_memory_is_reported(dataset: LunaDataset, size: str) -> None:
    """With a /dev/shm of its own that does not even hold the workers' locks, or them but no batch."""
    mounting = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    small = ["unshare", "--mount", "sh", "-c", mounting, "sh"]
    if subprocess.run([*small, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small /dev/shm cannot be mounted here")
    done = subprocess.run(
        [*small, sys.executable, "-c", LOADS_WITH_WORKERS], input=pickle.dumps(dataset), capture_output=True,
        check=False, timeout=60, env=os.environ | {"PYTHONPATH": str(PROJECT / "workflow")},
    )  # fmt: skip
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("luna.base.errors.UserError: a loader's worker"), done.stderr.decode()
    assert "set training.loader to threads" in last


def test_crops_too_many_for_the_gpu_are_refused(
    dataset: LunaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU: what torch tells of its memory is made up."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 1000))
    with pytest.raises(UserError, match="do not fit"):
        DeviceLoader(dataset, torch.device("cuda"), 1)
    assert make_loader(dataset, torch.device("cuda"), "auto", 1).__class__.__name__ == "ThreadLoader"

"""Datasets, the order of an epoch, and loaders that all give the same batches."""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from conftest import PROJECT, SMALL_CROP, Prepared, prepare
from luna.crops import CachedCrops, crop_file, cut_block
from luna.ct import read_ct
from luna.dataset import LunaDataset, batches_of, epoch_order
from luna.loader import DeviceLoader, make_loader
from luna.program import UserError
from luna.tables import IRC

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(prepared: Prepared) -> LunaDataset:
    source = CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP)
    return LunaDataset(prepared.candidates, source)


@pytest.fixture(scope="module")
def exact(prepared: Prepared) -> np.ndarray:
    """Every candidate's crop, cut straight from its CT."""
    cts = {
        uid: read_ct(Path(path))
        for uid, path in zip(prepared.series["seriesuid"], prepared.series["path"], strict=True)
    }
    rows = prepared.candidates.to_dict("records")
    return np.stack(
        [cut_block(cts[row["seriesuid"]], [row[name] for name in IRC], SMALL_CROP) for row in rows]
    )


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


def test_torch_s_own_loader_works_with_the_dataset(dataset: LunaDataset, exact: np.ndarray) -> None:
    crops, labels, uids, centers = next(iter(DataLoader(dataset, batch_size=8)))
    assert crops.dtype == torch.int16
    assert (crops[:, 0].numpy() == exact[:8]).all()
    assert (labels.numpy() == dataset.labels[:8]).all()
    assert list(uids) == list(dataset.series_uids[:8])
    assert (centers.numpy() == dataset.centers_irc[:8]).all()


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
from luna.dataset import batches_of
from luna.loader import WorkerLoader, dead_workers_told
dataset = pickle.load(sys.stdin.buffer)
with dead_workers_told():
    loader = WorkerLoader(dataset, torch.device("cpu"), 1)
    batches = loader.load(batches_of(numpy.arange(len(dataset)), 4))
    next(batches)
    os.kill(loader._loader._iterator._workers[0].pid, signal.SIGKILL)
    list(batches)
"""


def test_a_worker_that_dies_is_told(dataset: LunaDataset) -> None:
    """In a process of its own: torch raises at whatever the main thread does just then."""
    done = subprocess.run(
        [sys.executable, "-c", KILLS_A_WORKER], input=pickle.dumps(dataset), capture_output=True, check=False,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "workflow")},
    )  # fmt: skip
    assert done.stderr.decode().splitlines()[-1].startswith("luna.program.UserError: a loader's worker")


LOADS_WITH_WORKERS = """
import pickle, sys, numpy, torch
from luna.dataset import batches_of
from luna.loader import WorkerLoader, dead_workers_told
dataset = pickle.load(sys.stdin.buffer)
with dead_workers_told():
    list(WorkerLoader(dataset, torch.device("cpu"), 1).load(batches_of(numpy.arange(len(dataset)), 16)))
"""


@pytest.mark.parametrize("size", ["16k", "160k"])
def test_too_little_shared_memory_is_told(dataset: LunaDataset, size: str) -> None:
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
    assert last.startswith("luna.program.UserError: a loader's worker"), done.stderr.decode()
    assert "set training.loader to threads" in last


def test_crops_too_many_for_the_gpu_are_refused(
    dataset: LunaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU: what torch tells of its memory is made up."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 1000))
    with pytest.raises(UserError, match="do not fit"):
        DeviceLoader(dataset, torch.device("cuda"), 1)
    assert make_loader(dataset, torch.device("cuda"), "auto", 1).__class__.__name__ == "ThreadLoader"


def test_dataset_options(prepared: Prepared, dataset: LunaDataset) -> None:
    candidates, source = prepared.candidates, dataset.source
    uid = candidates["seriesuid"][0]
    assert set(LunaDataset(candidates, source, series_uid=uid).series_uids) == {uid}
    validation = LunaDataset(candidates, source, val_stride=5, isValSet_bool=True)
    training = LunaDataset(candidates, source, val_stride=5, isValSet_bool=False)
    assert validation.rows.tolist() == list(range(0, len(candidates), 5))
    assert sorted([*validation.rows, *training.rows]) == list(range(len(candidates)))
    by_size = LunaDataset(candidates, source, sortby_str="label_and_size")
    positives = int(by_size.labels.sum())
    assert by_size.labels[:positives].all()
    diameters = candidates["diameter_mm"].to_numpy()[by_size.rows[:positives]]
    assert (np.diff(diameters) <= 0).all()
    by_uid = LunaDataset(candidates, source, sortby_str="series_uid")
    assert list(by_uid.series_uids) == sorted(candidates["seriesuid"])
    shuffled = [LunaDataset(candidates, source, sortby_str="random", seed=seed).rows for seed in (1, 1, 2)]
    assert (shuffled[0] == shuffled[1]).all()
    assert (shuffled[0] != shuffled[2]).any()
    for wrong in ({"series_uid": "1.2"}, {"sortby_str": "size"}, {"isValSet_bool": True}):
        with pytest.raises(UserError):
            LunaDataset(candidates, source, **wrong)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=60),
    st.integers(0, 1000), st.floats(0, 5), st.integers(0, 200),
)  # fmt: skip
def test_an_epoch_uses_all_before_it_repeats(
    labels: Sequence[int], seed: int, balance: float, samples: int
) -> None:
    of_sample = np.array(labels)
    order = epoch_order(of_sample, seed, 1, balance, samples)
    assert len(order) == (samples or len(labels))
    assert (order == epoch_order(of_sample, seed, 1, balance, samples)).all()
    groups = [of_sample >= 0] if balance == 0 or len(set(labels)) == 1 else [of_sample == 1, of_sample == 0]
    for group in groups:
        counts = np.bincount(order[group[order]], minlength=len(labels))[group]
        assert counts.max() - counts.min() <= 1


def test_every_batch_of_a_balanced_epoch_has_the_ratio() -> None:
    labels = (np.arange(300) < 10).astype(np.int64)
    for batch in batches_of(epoch_order(labels, 0, 1, balance=3, samples=400), 40):
        assert labels[batch].sum() == 10


def test_epochs_differ() -> None:
    labels = np.zeros(50, dtype=np.int64)
    assert (epoch_order(labels, 0, 1) != epoch_order(labels, 0, 2)).any()

"""Three ways to load batches onto the device; all return the same batches."""

import contextlib
import errno
import logging
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from luna.base.arrays import IntArray
from luna.base.errors import UserError
from luna.batches.dataset import LunaDataset, crops_of
from luna.runtime.cores import keep_freed_memory, usable_threads

log = logging.getLogger(__name__)
_CROPS_PER_TASK = 8
_BATCHES_AHEAD = 3
_SHARE_OF_DEVICE = 0.6
_STORE_BATCH = 512
_SECONDS_TO_WAIT = 600


class Batch(NamedTuple):
    """crops: int16 (n, *block) with margin; labels: int64 (n,); both on the device."""

    crops: Tensor
    labels: Tensor


class Loader(Protocol):
    """Yields batches of its dataset in the order asked for."""

    dataset: LunaDataset

    def load(self, batches: Sequence[IntArray]) -> Iterator[Batch]:
        """The batches of samples with these indices, one after the other."""


def make_loader(dataset: LunaDataset, device: torch.device, kind: str, num_workers: int) -> Loader:
    """A loader of a kind (`threads`, `workers`, `device` or `auto`) with as many readers as fit here.

    With 0 workers crops are read when they are needed. Raises UserError for `device` when the
    crops do not fit.
    """
    readers = usable_threads(num_workers) if num_workers else 0
    if kind == "auto":
        kind, why = _choose(dataset, device)
        log.info("loader: %s, because %s", kind, why)
    if kind == "device":
        return DeviceLoader(dataset, device, readers)
    if kind == "workers":
        return WorkerLoader(dataset, device, readers)
    return ThreadLoader(dataset, device, readers)


@contextlib.contextmanager
def explain_dead_workers() -> Iterator[None]:
    """Turn the death of a worker process into a UserError.

    To be put around everything that uses a loader: torch reports it by a signal, so it may come anywhere.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        about_workers = any(
            word in str(error) for word in ("DataLoader worker", "shared memory", "timed out")
        )
        if isinstance(error, RuntimeError) and not about_workers:
            raise
        with contextlib.suppress(ValueError):  # not in the main thread
            # torch's handler would raise again while this error is being shown.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        raise _dead_worker() from error


def _dead_worker() -> UserError:
    return UserError(
        "a loader's worker process died or cannot work, perhaps out of memory or of shared memory (/dev/shm);"
        " set training.loader to threads, which needs no processes, or lower training.num_workers"
    )


def stored_bytes(dataset: LunaDataset) -> int:
    """What a dataset's crops take uncompressed, in bytes."""
    return len(dataset) * dataset.source.settings.block_bytes


def _choose(dataset: LunaDataset, device: torch.device) -> tuple[str, str]:
    size = f"{stored_bytes(dataset) / 1e9:.1f} GB of crops"
    if device.type != "cuda":
        return "threads", "on a CPU they read far more than the model can take"
    if _fits(dataset, device):
        return "device", f"the {size} fit in the GPU's memory"
    return "threads", f"the {size} do not fit in the GPU's memory"


def _fits(dataset: LunaDataset, device: torch.device) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return stored_bytes(dataset) < _SHARE_OF_DEVICE * free


class ThreadLoader:
    """Reads ahead with threads of this process."""

    def __init__(self, dataset: LunaDataset, device: torch.device, threads: int) -> None:
        self.dataset, self.device, self.threads = dataset, device, threads

    def load(self, batches: Sequence[IntArray]) -> Iterator[Batch]:
        """The batches of samples with these indices, one after the other."""
        if self.threads == 0:
            yield from (self._to_device(_read(self.dataset, indices)) for indices in batches)
            return
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="crops")
        pending: deque[tuple[Batch, list[Future[None]]]] = deque()
        waiting = deque(batches)
        try:
            while waiting or pending:
                while waiting and len(pending) <= _BATCHES_AHEAD:
                    pending.append(self._start_reading(waiting.popleft(), pool))
                batch, tasks = pending.popleft()
                wait(tasks)
                for task in tasks:
                    task.result()
                yield self._to_device(batch)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start_reading(self, indices: IntArray, pool: ThreadPoolExecutor) -> tuple[Batch, list[Future[None]]]:
        batch = _empty_batch(self.dataset, indices, pinned=self.device.type == "cuda")
        array = batch.crops.numpy()
        tasks = [
            pool.submit(self.dataset.read_into, indices[part], array[part])
            for part in (
                slice(start, start + _CROPS_PER_TASK) for start in range(0, len(indices), _CROPS_PER_TASK)
            )
        ]
        return batch, tasks

    def _to_device(self, batch: Batch) -> Batch:
        return Batch(*(tensor.to(self.device, non_blocking=True) for tensor in batch))


class WorkerLoader:
    """torch's DataLoader, as the chapter uses it; its worker processes stay from epoch to epoch."""

    def __init__(self, dataset: LunaDataset, device: torch.device, workers: int) -> None:
        self.dataset, self.device = dataset, device
        self._order = _Order()
        self._loader = DataLoader(
            dataset, batch_sampler=self._order, collate_fn=crops_of, num_workers=workers,
            worker_init_fn=_start_worker, pin_memory=device.type == "cuda",
            persistent_workers=workers > 0, timeout=_SECONDS_TO_WAIT if workers else 0,
            # Its own: drawing the workers' seeds must not change the training's random numbers.
            generator=torch.Generator(),
        )  # fmt: skip

    def load(self, batches: Sequence[IntArray]) -> Iterator[Batch]:
        """The batches of samples with these indices, one after the other."""
        self._order.batches = batches
        try:
            # Labels are taken here: each further tensor from a worker costs a file in shared memory.
            for indices, crops in zip(batches, self._loader, strict=True):
                labels = torch.from_numpy(self.dataset.labels[indices])
                yield Batch(*(each.to(self.device, non_blocking=True) for each in (crops, labels)))
        except UserError as error:
            # torch puts the worker's traceback in front of the message.
            raise UserError(str(error).rpartition("UserError: ")[2].strip()) from error
        except OSError as error:
            # Shared memory so small that not even the workers' locks fit.
            if error.errno == errno.ENOSPC:
                raise _dead_worker() from error
            raise


def _start_worker(number: int) -> None:
    keep_freed_memory()


class DeviceLoader:
    """Holds all crops of the dataset on the device; a batch is a selection there."""

    def __init__(self, dataset: LunaDataset, device: torch.device, threads: int) -> None:
        self.dataset = dataset
        if device.type == "cuda" and not _fits(dataset, device):
            raise UserError(
                f"{stored_bytes(dataset) / 1e9:.1f} GB of crops do not fit in the GPU's memory;"
                " set training.loader to auto or threads"
            )
        shape = (len(dataset), *dataset.source.settings.block)
        self._crops = torch.empty(shape, dtype=torch.int16, device=device)
        self._labels = torch.from_numpy(dataset.labels).to(device)
        start = 0
        for batch in ThreadLoader(dataset, device, threads).load(
            batches_of(np.arange(len(dataset)), _STORE_BATCH)
        ):
            self._crops[start : start + len(batch.crops)] = batch.crops
            start += len(batch.crops)

    def load(self, batches: Sequence[IntArray]) -> Iterator[Batch]:
        """The batches of samples with these indices, one after the other."""
        if not len(batches):
            return
        # One transfer for all: a copy for every batch would wait for the device.
        order = torch.from_numpy(np.concatenate(batches)).to(self._crops.device)
        start = 0
        for indices in batches:
            chosen = order[start : start + len(indices)]
            start += len(indices)
            yield Batch(self._crops[chosen], self._labels[chosen])


class _Order(Sampler[list[int]]):
    """The batches' indices, set for every pass."""

    def __init__(self) -> None:
        self.batches: Sequence[IntArray] = []

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def batches_of(order: IntArray, batch_size: int) -> list[IntArray]:
    """An order cut into batches; the last may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _empty_batch(dataset: LunaDataset, indices: IntArray, pinned: bool = False) -> Batch:
    shape = (len(indices), *dataset.source.settings.block)
    crops = torch.empty(shape, dtype=torch.int16, pin_memory=pinned)
    return Batch(crops, torch.from_numpy(dataset.labels[indices]))


def _read(dataset: LunaDataset, indices: IntArray) -> Batch:
    batch = _empty_batch(dataset, indices)
    dataset.read_into(indices, batch.crops.numpy())
    return batch

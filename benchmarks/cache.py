"""The crop cache and the loaders, against the machine's limit and the book's disk cache."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from luna.base.arrays import IntArray
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import Loader, batches_of, make_loader
from luna.config.cache import CropSettings
from luna.crops.cache import crop_file
from luna.crops.cut import cut_block
from luna.crops.file import write_crops
from luna.crops.sources import CachedCrops
from luna.data.tables import IRC
from luna.imaging.ct import read_ct
from luna.runtime.cores import keep_freed_memory
from measure import Row, Scan, build_cache, cpu_seconds, in_a_process, seconds

BARE, DEFAULT = CropSettings(margin=(0, 0, 0)), CropSettings()
BATCH = 32


def building(scan: Scan) -> Iterator[Row]:
    """CPU time to build a CT's cache, against only reading the CT; bytes a crop; memory."""
    path = Path(scan.series["path"][0])
    reading = cpu_seconds(lambda: read_ct(path))
    count = len(scan.candidates)
    for name, settings in (("no margin", BARE), ("default margin", DEFAULT)):
        building = cpu_seconds(partial(_build, scan, settings))
        size = crop_file(scan.folder, scan.series["seriesuid"][0]).stat().st_size / count
        yield Row(
            f"build the cache of a CT of {scan.series['slices'][0]} slices, {count} crops, {name}",
            f"{building:.2f} CPU s, {size / 1000:.0f} kB a crop",
            f"reading the CT alone: {reading:.3f} CPU s; uncompressed: {settings.block_bytes / 1000:.0f} kB",
        )
    _, _, peak = in_a_process(_build, scan, DEFAULT)
    yield Row(
        "peak memory of that", f"{peak:.0f} MB", f"the CT alone: {scan.raw.stat().st_size / 1e6:.0f} MB"
    )


def reading(scan: Scan) -> Iterator[Row]:
    """Crops a second from the page cache, against copying as many bytes within memory."""
    for codec in ("lz4", "none"):
        settings = CropSettings(margin=(0, 0, 0), codec=codec)
        source = CachedCrops(scan.candidates, build_cache(scan, f"read-{codec}", settings), settings)
        limit = _copies_per_second(settings)
        ordered = np.arange(len(scan.candidates))
        for name, rows in (
            ("in order", ordered),
            ("shuffled", np.random.default_rng(0).permutation(ordered)),
        ):
            for threads in (1, 2):
                speed = _crops_per_second(source, rows, threads)
                yield Row(
                    f"read crops, codec {codec}, {name}, {threads} thread{'s' * (threads > 1)}",
                    f"{speed:,.0f} crops/s",
                    f"{100 * speed / limit:.0f} % of copying the same bytes ({limit:,.0f}/s)",
                )


def loading(scan: Scan) -> Iterator[Row]:
    """Whole loaders, batches of 32 int16 crops, against the bare reader and the chapter's way."""
    keep_freed_memory()  # as training does
    source = CachedCrops(scan.candidates, build_cache(scan, "load", BARE), BARE)
    rows = np.random.default_rng(0).permutation(len(scan.candidates))
    bare = _crops_per_second(source, rows, 2)
    dataset = LunaDataset(scan.candidates, source)
    chapter = {workers: _chapter_speed(scan, workers) for workers in (0, 2)}
    for workers, speed in chapter.items():
        yield Row(f"chapter's disk cache, float32, {workers} workers", f"{speed:,.0f} samples/s")
    best = max(chapter.values())
    for kind, readers in (("threads", 0), ("threads", 2), ("workers", 0), ("workers", 2), ("device", 2)):
        loader = make_loader(dataset, torch.device("cpu"), kind, readers)
        batches = batches_of(rows, BATCH)
        speed = len(rows) / seconds(partial(_load_all, loader, batches), 5)
        yield Row(
            f"loader {kind}, {readers} readers", f"{speed:,.0f} samples/s",
            f"{100 * speed / bare:.0f} % of the bare reader with 2 threads,"
            f" {speed / best:.1f} times the chapter's",
        )  # fmt: skip


def _build(scan: Scan, settings: CropSettings) -> None:
    uid, path = scan.series["seriesuid"][0], Path(scan.series["path"][0])
    centers = scan.candidates[IRC].to_numpy()
    write_crops(crop_file(scan.folder, uid), read_ct(path), "checksum", centers, settings)


def _copies_per_second(settings: CropSettings) -> float:
    """Crops copied from one large array into one crop, as uncompressed reading must at least."""
    stock = np.ones((600, *settings.block), dtype=np.int16)
    out = np.empty(settings.block, dtype=np.int16)
    return len(stock) / seconds(partial(_copy_each, stock, out), 5)


def _copy_each(stock: np.ndarray, out: np.ndarray) -> None:
    for crop in stock:
        np.copyto(out, crop)


def _crops_per_second(source: CachedCrops, rows: np.ndarray, threads: int) -> float:
    def read(part: np.ndarray) -> None:
        out = np.empty(source.settings.block, dtype=np.int16)
        for row in part:
            source.read(int(row), out)

    parts = np.array_split(rows, threads)
    with ThreadPoolExecutor(threads) as pool:
        return len(rows) / seconds(lambda: list(pool.map(read, parts)), 5)


def _load_all(loader: Loader, batches: Sequence[IntArray]) -> None:
    _drain(loader.load(batches))


def _drain(batches: Iterator[Any]) -> None:
    for _ in batches:
        pass


class _ChapterDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Crops as float32 from a disk cache, one file each, as a reader of the book would keep them."""

    def __init__(self, folder: Path, keys: list[tuple[str, int]]) -> None:
        self._folder, self._keys = folder, keys
        self._cache: diskcache.FanoutCache | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self._cache is None:
            self._cache = diskcache.FanoutCache(str(self._folder), shards=64, timeout=1, size_limit=int(3e11))
        crop, _ = self._cache[self._keys[index]]
        return torch.from_numpy(crop).unsqueeze(0), torch.tensor([1, 0])


def _chapter_speed(scan: Scan, workers: int) -> float:
    folder = scan.folder / "chapter"
    keys = [(str(uid), row) for row, uid in enumerate(scan.candidates["seriesuid"])]
    if not folder.exists():
        ct = read_ct(Path(scan.series["path"][0]))
        with diskcache.FanoutCache(str(folder), shards=64, timeout=1, size_limit=int(3e11)) as cache:
            for key, center in zip(keys, scan.candidates[IRC].to_numpy(), strict=True):
                cache[key] = (cut_block(ct, center, BARE).astype(np.float32), center)
    dataset = _ChapterDataset(folder, keys)
    loader = DataLoader(dataset, batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)
    return len(keys) / seconds(lambda: _drain(iter(loader)), 3)

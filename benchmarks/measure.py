"""What all benchmarks share: timing, tables, and a realistic CT with candidates."""

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from luna.base.files import write_csv
from luna.config.cache import CropSettings
from luna.config.phantom import PhantomSettings
from luna.crops.cache import CropCache
from luna.data.candidates import list_candidates
from luna.data.verify import verify_dataset, verify_subset
from luna.imaging.ct import read_ct
from luna.imaging.geometry import irc_to_xyz
from luna.imaging.metaimage import write_mhd
from luna.phantom.dataset import make_phantom
from luna.phantom.uids import phantom_series_uid
from luna.storage.dataset import subset_source


@dataclass(frozen=True)
class Row:
    """A row of the results: what was measured, the value, and what it is compared with."""

    what: str
    measured: str
    against: str = ""


@dataclass(frozen=True)
class Scan:
    """One CT as LUNA16 has them, verified and listed: its tables and its folder."""

    folder: Path
    series: pd.DataFrame
    candidates: pd.DataFrame

    @property
    def raw(self) -> Path:
        return Path(self.series["path"][0]).with_suffix(".raw")


def seconds(
    function: Callable[[], Any], repeats: int = 3, clock: Callable[[], float] = time.perf_counter
) -> float:
    """The shortest time of some calls, after one that warms up; clock: process_time for CPU time."""
    function()
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def cpu_seconds(function: Callable[[], Any]) -> float:
    """The shortest CPU time of some calls, all threads together."""
    return seconds(function, clock=time.process_time)


def in_a_process(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """Result, seconds and peak memory (MB) of a call in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        result: tuple[Any, float, float] = pool.submit(_watched, function, arguments).result()
    return result


def _watched(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float, float]:
    start = time.perf_counter()
    result = function(*arguments)
    took = time.perf_counter() - start
    # Not getrusage: what it tells of a new process begins with its parent's memory.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return result, took, int(peak.split()[1]) / 1024


def machine_text() -> str:
    """The processor, its cores and the device."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].split(":")[1].strip() if models else name
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def make_scan(folder: Path, ct_file: Path | None, candidates: int, small: bool) -> Scan:
    """The given CT, or a phantom of life size (tiny when `small`), with candidates in its lungs."""
    root = folder / "data"
    uid = phantom_series_uid(0, 0)
    if ct_file is None:
        size, slices = (96, 40) if small else (512, 250)
        settings = PhantomSettings(series=1, view="chest", size=size, slices=slices, candidates=candidates)
        make_phantom(root, settings, seed=0)
    else:
        ct = read_ct(ct_file)
        write_mhd(root / "subset0" / f"{uid}.mhd", ct.hu, ct.grid)
        rng = np.random.default_rng(0)
        lung = np.argwhere((ct.hu > -950) & (ct.hu < -500))
        points = irc_to_xyz(lung[rng.integers(len(lung), size=candidates)], ct.grid)
        table = pd.DataFrame(points, columns=["coordX", "coordY", "coordZ"])
        table.insert(0, "seriesuid", uid)
        classes = (np.arange(candidates) < candidates // 100).astype(int)
        write_csv(root / "candidates.csv", table.assign(**{"class": classes}))
        write_csv(root / "annotations.csv", table[:1].assign(diameter_mm=8.0))
    tables = (root / "annotations.csv", [root / "candidates.csv"])
    series, _ = verify_dataset(verify_subset(subset_source(root, 0), 0), *tables)
    listed, _ = list_candidates(series, *tables)
    return Scan(folder, series, listed)


def build_cache(scan: Scan, name: str, settings: CropSettings) -> Path:
    """The scan's crop cache, in a folder of its own."""
    folder = scan.folder / name
    CropCache(folder, settings).update(scan.series, scan.candidates)
    return folder

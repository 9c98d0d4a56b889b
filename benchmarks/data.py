"""Verification, tables and the official scoring, at LUNA16's own size."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from luna.base.files import write_csv
from luna.data.candidates import list_candidates
from luna.data.luna16 import subset_of
from luna.data.tables import XYZ
from luna.data.verify import verify_subset
from luna.imaging.ct import read_ct, read_header
from luna.scoring.froc import match_marks, score
from luna.storage.dataset import subset_source
from measure import Row, Scan, cpu_seconds, in_a_process, seconds

ALL_CANDIDATES, ALL_NODULES, PUBLISHED_MARKS = 551_065, 1_186, 55_677


def verification(scan: Scan, small: bool) -> Iterator[Row]:
    """Reading and checking one CT against reading its bytes; headers of all of LUNA16's series."""
    size = scan.raw.stat().st_size
    path = Path(scan.series["path"][0])
    reading = cpu_seconds(lambda: _read_bytes(scan.raw))
    full = cpu_seconds(lambda: read_ct(path))
    yield Row(
        "read and check a CT (checksum, HU)", f"{size / full / 1e9:.2f} GB/s a core",
        f"reading the bytes alone: {size / reading / 1e9:.2f} GB/s; {full / reading:.1f} times its time",
    )  # fmt: skip
    root = _many_headers(scan, 20 if small else 888)
    count = len(list(root.glob("*/*.mhd")))
    took = seconds(lambda: [verify_subset(subset_source(root, subset), subset) for subset in range(10)], 1)
    yield Row(f"verify {count} series, headers and sizes only", f"{took:.2f} s")


def tables(folder: Path, small: bool) -> Iterator[Row]:
    """Joining as many candidates and nodules as LUNA16 has."""
    candidates, nodules = (5_000, 50) if small else (ALL_CANDIDATES, ALL_NODULES)
    _write_tables(folder, candidates, nodules)
    listed, took, peak = in_a_process(_list, folder)
    yield Row(f"list {listed} candidates, join with {nodules} nodules", f"{took:.1f} s, {peak:.0f} MB")


def scoring(small: bool) -> Iterator[Row]:
    """The official scoring with 1,000 resamples, of a published submission's size and of all candidates."""
    for marks in (5_000,) if small else (PUBLISHED_MARKS, ALL_CANDIDATES):
        _, took, peak = in_a_process(_score, marks)
        yield Row(f"score {marks} marks on 888 scans, 1,000 resamples", f"{took:.1f} s, {peak:.0f} MB")


def _read_bytes(path: Path) -> None:
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _many_headers(scan: Scan, count: int) -> Path:
    """A data set of LUNA16's uids whose CTs are all the same small one."""
    root = scan.folder / "headers"
    shutil.rmtree(root, ignore_errors=True)
    header = Path(scan.series["path"][0]).read_text()
    shape = read_header(Path(scan.series["path"][0])).shape
    for uid, subset in list(subset_of().items())[:count]:
        folder = root / f"subset{subset}"
        folder.mkdir(parents=True, exist_ok=True)
        text = header.replace(f"DimSize = {shape[2]} {shape[1]} {shape[0]}", "DimSize = 16 16 8")
        (folder / f"{uid}.mhd").write_text(text.replace(scan.raw.name, f"{uid}.raw"))
        (folder / f"{uid}.raw").write_bytes(bytes(2 * 16 * 16 * 8))
    return root


def _write_tables(folder: Path, candidates: int, nodules: int) -> None:
    rng = np.random.default_rng(0)
    uids = np.array(list(subset_of()))
    series = pd.DataFrame(
        {
            "seriesuid": uids, "subset": list(subset_of().values()), "path": "-", "slices": 250, "rows": 512,
            "columns": 512, "spacing": "0.7 0.7 1.25", "origin": "-180 -180 -300",
            "direction": "1 0 0 0 1 0 0 0 1",
        }
    )  # fmt: skip
    write_csv(folder / "series.csv", series)
    for name, count, column, values in (
        ("annotations", nodules, "diameter_mm", rng.uniform(3, 30, nodules)),
        ("candidates", candidates, "class", (rng.random(candidates) < 0.0025).astype(int)),
    ):
        points = rng.uniform([-170, -170, -290], [170, 170, 0], (count, 3))
        table = pd.DataFrame(points, columns=XYZ)
        table.insert(0, "seriesuid", np.sort(rng.choice(uids, count)))
        write_csv(folder / f"{name}.csv", table.assign(**{column: values}))


def _list(folder: Path) -> int:
    series = pd.read_csv(folder / "series.csv", dtype={"seriesuid": str})
    table, _ = list_candidates(series, folder / "annotations.csv", [folder / "candidates.csv"])
    write_csv(folder / "listed.csv", table)
    return len(table)


def _score(marks: int) -> None:
    rng = np.random.default_rng(0)
    uids = list(subset_of())
    nodules = pd.DataFrame(rng.uniform(-200, 200, (ALL_NODULES, 3)), columns=XYZ)
    nodules = nodules.assign(seriesuid=rng.choice(uids, ALL_NODULES), diameter_mm=10.0)
    hits = nodules.iloc[:1000][["seriesuid", *XYZ]]
    rest = pd.DataFrame(rng.uniform(-200, 200, (marks - 1000, 3)), columns=XYZ)
    table = pd.concat([hits, rest.assign(seriesuid=rng.choice(uids, marks - 1000))])
    table["probability"] = rng.random(marks)
    score(match_marks(table, nodules, uids, max_marks=10**6), 1000)

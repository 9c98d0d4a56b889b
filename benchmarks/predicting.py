"""From a scan to its findings: where the time goes."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from luna.config.phantom import PhantomSettings
from luna.phantom.dataset import make_phantom
from measure import Row, in_a_process

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow" / "scripts"
THREADS = 2


def predicting(small: bool) -> Iterator[Row]:
    """Time of each step and peak memory of predict.py for a chest of life size, with the shipped models."""
    size, slices = (128, 60) if small else (512, 300)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantom(folder, PhantomSettings(series=1, view="chest", size=size, slices=slices), seed=0)
        (scan,) = (folder / "subset0").glob("*.mhd")
        shape, took, peak = in_a_process(_predict, scan, folder / "out")
        done = json.loads((folder / "out" / scan.stem / "done.json").read_text())
    yield Row(
        f"predict.py, {shape[0]} slices of {shape[1]} x {shape[2]}, {THREADS} threads",
        f"{took:.0f} s, {peak:.0f} MB", f"{sum(done['seconds'].values()):.0f} s without loading programs",
    )  # fmt: skip
    for step, seconds in done["seconds"].items():
        yield Row(f"of it {step}", f"{seconds:.1f} s")


def _predict(scan: Path, out: Path) -> tuple[int, int, int]:
    """Run the program; the scan's shape."""
    sys.path.insert(0, str(SCRIPTS))
    import predict

    predict.main([str(scan), "--out", str(out), "--device", "cpu", "--threads", str(THREADS)])
    slices, rows, columns = json.loads((out / scan.stem / "findings.json").read_text())["shape"]
    return slices, rows, columns

"""How much of the CTs is read from the disk between download and training, and how long that takes.

python benchmarks/reading.py [--out docs/reading.md]

Phantom CTs of 40 MB in three formats; the page cache is dropped before each run, which needs root. Bytes are
those that the kernel counts as read from the disk for all processes of a run.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "workflow"), str(PROJECT / "tests")]

import numpy as np
import pandas as pd
import SimpleITK as sitk
import yaml

from luna.base.files import write_csv, write_text
from luna.config.phantom import PhantomSettings
from luna.data.tables import XYZ
from luna.imaging.geometry import irc_to_xyz
from luna.imaging.metaimage import write_mhd
from luna.phantom.dataset import Series, draw_series
from luna.phantom.uids import phantom_series_uid
from measure import machine_text
from unit.imaging.images import write_dicom

SIZE, SLICES, CANDIDATES = 512, 76, 620
LARGEST_SLICES = 700
FORMATS = (".raw", ".zraw", "DICOM")
_SECTOR = 512
"""getrusage counts blocks of so many bytes."""


def make_data(root: Path, kind: str, count: int, one: Series) -> int:
    """So many CTs, all the same but for a shift of their HU; the bytes of their files."""
    tables = []
    for number in range(count):
        uid = phantom_series_uid(0, number)
        path = root / f"subset{number % 10}" / f"{uid}.mhd"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mhd(path, one.hu + np.int16(number % 5), one.grid)
        if kind != ".raw":
            image = sitk.ReadImage(str(path))
            path.unlink()
            path.with_suffix(".raw").unlink()
        if kind == ".zraw":
            sitk.WriteImage(image, str(path), True)
        if kind == "DICOM":
            write_dicom(image, path.with_suffix(""), uid)
        xyz = irc_to_xyz(one.candidates_irc, one.grid)
        tables.append(pd.DataFrame(xyz, columns=XYZ).assign(seriesuid=uid, **{"class": one.classes}))
    points = pd.concat(tables)
    write_csv(root / "candidates.csv", points)
    nodules = points[points["class"] == 1].drop(columns="class").assign(diameter_mm=6.0)
    write_csv(root / "annotations.csv", nodules)
    return sum(file.stat().st_size for file in root.glob("subset*/**/*") if file.is_file())


def cold() -> None:
    """Empty the page cache. Raises PermissionError where that is not allowed."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def watched(command: list[str], folder: Path) -> tuple[float, int]:
    """Seconds of a command with a cold page cache, and the bytes that it and what it started read."""
    cold()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    took = time.perf_counter() - start
    return took, (resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock - before) * _SECTOR


def workflow(folder: Path) -> list[str]:
    """The command that brings data up to the crop cache, in a copy of the workflow."""
    for name in ("Snakefile", "workflow", "profiles", "envs"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    write_text(
        folder / "config" / "config.yaml",
        yaml.safe_dump({"data": {"source": "files", "root": "data"}, "runs": {"plain": {}}}),
    )
    return [sys.executable, "-m", "snakemake", "--cores", "all", "--", "results/series.csv"]


def rows(count: int) -> Iterator[tuple[str, ...]]:
    """What each format took."""
    one = draw_series(PhantomSettings(view="chest", size=SIZE, slices=SLICES, candidates=CANDIDATES), 0, 0)
    for kind in FORMATS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            size = make_data(folder / "data", kind, count, one)
            command = workflow(folder)
            # Programs and libraries are read too: without data to read, Snakemake and jobs read these.
            watched([*command[:-2], "--dry-run"], folder)
            cat = "find data -type f -print0 | xargs -0 cat > /dev/null"
            by_cat, _ = watched(["bash", "-c", cat], folder)
            took, read = watched(command, folder)
            overhead, idle = _without_data(folder, command)
            yield (
                kind, f"{size / 1e9:.2f} GB", f"{(read - idle) / size:.2f}", f"{by_cat:.1f} s",
                f"{took:.1f} s", f"{took / by_cat:.2f}", f"{overhead:.1f} s",
            )  # fmt: skip


def _without_data(folder: Path, command: list[str]) -> tuple[float, int]:
    """The same jobs when every CT was read before: what they take of themselves, and read beside CTs."""
    crops = sorted((folder / "results" / "cache" / "crops").glob("*.crops"))
    kept = sum(file.stat().st_size for file in crops)
    took, read = watched([*command[:-2], "--forceall", *command[-2:]], folder)
    return took, max(0, read - kept)


def peak_rows() -> Iterator[tuple[str, ...]]:
    """Peak memory of each stage for one long CT."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        half = PhantomSettings(view="chest", size=SIZE, slices=LARGEST_SLICES // 2, candidates=CANDIDATES)
        one = draw_series(half, 0, 0)
        make_data(folder / "data", ".raw", 3, one._replace(hu=np.concatenate([one.hu, one.hu[::-1]])))
        subprocess.run(workflow(folder), cwd=folder, check=True, capture_output=True)
        for path in sorted((folder / "results" / "benchmarks").glob("*.tsv")):
            table = pd.read_csv(path, sep="\t", na_values="-")
            if "subset" not in path.stem or path.stem.endswith("0"):
                stage = path.stem.split("_subset")[0]
                yield stage + ("_subset" if "subset" in path.stem else ""), f"{table['max_rss'].max():.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cts", type=int, default=40, help="CTs of each format (40)")
    parser.add_argument("--out", type=Path, help="a Markdown page to write")
    options = parser.parse_args()
    os.environ.pop("SNAKEMAKE_PROFILE", None)
    try:
        cold()
    except OSError as error:
        sys.exit(f"the page cache cannot be emptied ({error.strerror}): run this as root, on Linux")
    lines = [
        "# Reading CTs", "",
        f"`python benchmarks/reading.py --cts {options.cts}`, {date.today()}; {machine_text()}."
        f" {options.cts} CTs of ({SLICES}, {SIZE}, {SIZE}) voxels, {CANDIDATES} candidates each; page cache"
        " empty before each run. Verification and cache, from the first header to `results/series.csv`.", "",
        "| voxels in | files | bytes read a byte of CT | `cat` | verify + cache | ratio |"
        " the same jobs with nothing to read |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows(options.cts):
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    lines += [
        "", "The last column is the start of Snakemake and of its jobs, and the cutting of the crops: the"
        " same jobs when the files are in memory already. On a disk as fast as this one that is most of the"
        " time; the slower the disk, the nearer the ratio comes to 1, because every byte is read once.",
    ]  # fmt: skip
    lines += ["", f"Peak memory, a CT of {LARGEST_SLICES} slices:", "", "| stage | peak |", "|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in peak_rows()]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        write_text(options.out, text)


if __name__ == "__main__":
    main()

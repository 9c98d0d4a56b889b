"""The workflow itself with 888 series: real uids and subsets, tiny volumes, some 62 candidates a series.

python benchmarks/scale.py --submission submission.csv --out docs/scale.md
"""

import argparse
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "workflow"), str(PROJECT / "tests")]

import numpy as np
import pandas as pd
import yaml

from luna.base.files import write_csv, write_text
from luna.data.luna16 import subset_of
from luna.data.tables import XYZ
from luna.imaging.geometry import Grid
from luna.imaging.metaimage import write_mhd
from measure import machine_text
from s3_server import s3_bucket, upload
from unit.imaging.images import chest_voxels

SHAPE, CANDIDATES = (12, 24, 24), 62
CONFIG = {
    "cache": {"crop": [8, 8, 8], "margin": [1, 1, 1]},
    "runs": {"small": {"epochs": 1, "samples_per_epoch": 2560, "balance": 1, "model": {"channels": [2, 4]}}},
}


def make_data(root: Path, submission: Path | None) -> str:
    """888 tiny CTs with LUNA16's uids and tables of points inside them; what the points are, in words.

    submission: a table in LUNA16's submission format whose marks become the candidates, squeezed into the
    tiny CTs. None makes up as many as a published one has.
    """
    rng = np.random.default_rng(0)
    uids = subset_of()
    if submission is None:
        rows = np.repeat(list(uids), CANDIDATES)
        points = pd.DataFrame(rng.uniform(1, 10, (len(rows), 3)), columns=XYZ)
        points.insert(0, "seriesuid", rows)
        words = f"{CANDIDATES} candidates each"
    else:
        points = pd.read_csv(submission, dtype={"seriesuid": str})[["seriesuid", *XYZ]]
        of_series = points.groupby("seriesuid")[XYZ]
        lowest, highest = of_series.transform("min"), of_series.transform("max")
        points[XYZ] = 1 + 9 * (points[XYZ] - lowest) / (highest - lowest).clip(lower=1)
        words = f"the {len(points)} marks of a published submission as candidates"
    for uid, subset in uids.items():
        hu = rng.permuted(chest_voxels(SHAPE), axis=1)
        write_mhd(root / f"subset{subset}" / f"{uid}.mhd", hu, Grid(np.zeros(3), np.ones(3), np.eye(3)))
    is_nodule = rng.random(len(points)) < 0.02
    write_csv(root / "candidates.csv", points.assign(**{"class": is_nodule.astype(int)}))
    write_csv(root / "annotations.csv", points[is_nodule].assign(diameter_mm=4.0))
    return words


class Requests(logging.Handler):
    """Counts the requests that the S3 server logs, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        words = re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage()).split('"')[1].split()
        self.count["listings" if "list-type" in words[1] else words[0]] += 1

    def taken(self) -> str:
        """What was counted since the last time."""
        text = ", ".join(f"{count} {kind}" for kind, count in sorted(self.count.items()))
        total, self.count = self.count.total(), Counter()
        return f"{total} requests ({text})"


def on_object_storage(folder: Path) -> list[tuple[str, str]]:
    """The workflow from scratch, with the data on a local S3 server; what was run and what it took."""
    log, requests = logging.getLogger("werkzeug"), Requests()
    log.addHandler(requests)
    log.setLevel(logging.INFO)
    log.propagate = False
    shutil.rmtree(folder / "results")
    rows = []
    with s3_bucket("lung") as bucket:
        upload(bucket, folder / "data", "data")
        for what in ("the whole workflow", "nothing to be done", "one object changed, up to the cache"):
            arguments = ["--config", "data={root: s3://lung/data}"]
            if "changed" in what:
                changed = next((folder / "data" / "subset4").glob("*.raw"))
                voxels = np.roll(np.fromfile(changed, "<i2"), 1).tobytes()
                bucket.put_object(Key=f"data/subset4/{changed.name}", Body=voxels)
                arguments += ["--until", "cache_subset"]
            requests.taken()
            _, took = snakemake(folder, *arguments)
            rows.append((f"data on a local S3 server: {what}", f"{requests.taken()}, {took:.0f} s"))
    return rows


def snakemake(folder: Path, *arguments: str) -> tuple[str, float]:
    """Output and seconds of a run in `folder`."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "all", *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout + done.stderr, time.perf_counter() - start


def job_count(output: str) -> int:
    """Jobs in all, from the table that Snakemake prints."""
    totals = [line for line in output.splitlines() if line.startswith("total")]
    return int(totals[0].split()[1]) if totals else 0


def measure(folder: Path, submission: Path | None) -> tuple[str, list[str]]:
    """Run the workflow and what a user does with it afterwards; the data in words, lines of Markdown."""
    for name in ("Snakefile", "workflow", "profiles", "envs"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    words = make_data(folder / "data", submission)
    config = CONFIG | {"data": {"source": "files", "root": "data"}}
    write_text(folder / "config" / "config.yaml", yaml.safe_dump(config))
    rows = []
    output, took = snakemake(folder)
    rows.append(("the whole workflow, one run, one fold", f"{job_count(output)} jobs, {took:.0f} s"))
    _, took = snakemake(folder, "--dry-run")
    rows.append(("`snakemake -n` when all is done", f"{took:.1f} s"))
    ten = ["--config", f"folds={list(range(10))}"]
    output, took = snakemake(folder, "--dry-run", *ten)
    rows.append(("`snakemake -n` for nine more folds", f"{job_count(output)} jobs planned in {took:.1f} s"))
    files = folder / "results" / "cache" / "crops"
    before = {path.name: path.stat().st_mtime_ns for path in files.glob("*.crops")}
    raw = next((folder / "data" / "subset3").glob("*.raw"))
    raw.write_bytes(np.roll(np.fromfile(raw, "<i2"), 1).tobytes())
    _, took = snakemake(folder, "--until", "cache_subset")
    changed = sum(path.stat().st_mtime_ns != before[path.name] for path in files.glob("*.crops"))
    rows.append(
        ("one CT changed, up to the cache", f"{changed} of {len(before)} cache files made anew, {took:.0f} s")
    )
    # Before the next runs write theirs over these.
    of_stages = stages(folder)
    rows += on_object_storage(folder)
    lines = ["| what | measured |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows), ""]
    head = ["| stage | jobs | seconds a job | peak memory, MB |", "|---|---|---|---|"]
    return words, [*lines, *head, *of_stages]


def stages(folder: Path) -> list[str]:
    """Time and memory of each stage from Snakemake's benchmark files."""
    tables = []
    for path in sorted((folder / "results" / "benchmarks").glob("*.tsv")):
        table = pd.read_csv(path, sep="\t", na_values="-")
        tables.append(table.assign(stage=path.stem.split("_subset")[0]))
    grouped = pd.concat(tables).groupby("stage")
    return [
        f"| {stage} | {len(rows)} | {rows['s'].mean():.1f} | {rows['max_rss'].max():.0f} |"
        for stage, rows in grouped
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--submission", type=Path, help="its marks become the candidates")
    parser.add_argument("--out", type=Path, help="a Markdown page to write")
    options = parser.parse_args()
    # A project folder above must not lend its profile to the copy.
    os.environ.pop("SNAKEMAKE_PROFILE", None)
    with tempfile.TemporaryDirectory() as folder:
        words, lines = measure(Path(folder), options.submission)
    command = "python benchmarks/scale.py" + (" --submission submission.csv" if options.submission else "")
    head = ["# 888 series", "", f"`{command}`, {date.today()}; {machine_text()}. 888 CTs of {SHAPE} voxels"]
    head[-1] += f" with LUNA16's uids and subsets, {words}."
    text = "\n".join([*head, "", *lines]) + "\n"
    print(text)
    if options.out:
        write_text(options.out, text)


if __name__ == "__main__":
    main()

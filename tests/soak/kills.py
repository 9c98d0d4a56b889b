"""Kill the cache's job at random moments: no crop is wrong, and no work is lost but that on the CT in hand.

python tests/soak/kills.py [--kills 20] [--seed 0]

It takes some minutes, so it is no part of `make test`.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "workflow"), str(PROJECT / "tests")]

from luna.base.errors import UserError
from luna.base.files import write_csv
from luna.config.phantom import PhantomSettings
from luna.crops.file import CropFile
from luna.data.candidates import place_candidates
from luna.data.tables import PLACED_COLUMNS, read_candidates, rows_of
from luna.data.verify import verify_dataset, verify_subset
from luna.phantom.dataset import make_phantom
from luna.storage.dataset import subset_source

SERIES = 300
"""A tenth of them is in the subset."""


def command(folder: Path, results: str) -> list[str]:
    """The job that reads the CTs of subset 0."""
    made, program = folder / results, PROJECT / "workflow" / "scripts" / "cache_subset.py"
    return [
        sys.executable, str(program), "--root", str(folder / "data"),
        "--subset", "0", "--copies", str(made / "copies"), "--series", str(folder / "series.csv"),
        "--candidates", str(folder / "candidates.csv"), "--folder", str(made / "crops"),
        "--manifest", str(made / "subset0.json"),
    ]  # fmt: skip


def prepare(folder: Path) -> None:
    """Data, and the tables that verification makes of them."""
    root = folder / "data"
    make_phantom(root, PhantomSettings(series=SERIES, slices=48, candidates=40), 0, processes=2)
    tables = (root / "annotations.csv", [root / "candidates.csv"])
    series, _ = verify_dataset(verify_subset(subset_source(root, 0), 0), *tables)
    placed, _ = place_candidates(rows_of(read_candidates(tables[1])), series)
    write_csv(folder / "series.csv", series)
    write_csv(folder / "candidates.csv", placed[PLACED_COLUMNS])


def state(crops: Path) -> dict[str, int]:
    """The CTs whose reading is on record, with the time at which their crops were written."""
    return {record.stem: record.with_suffix(".crops").stat().st_mtime_ns for record in crops.glob("*.json")}


def check(crops: Path, right: dict[str, bytes]) -> None:
    """Every crop file that is there is whole, and what an undisturbed job writes."""
    for path in crops.glob("*.crops"):
        CropFile(path).check()
        assert path.read_bytes() == right[path.name], f"{path.name} has wrong crops"


def undisturbed(folder: Path) -> tuple[float, float]:
    """Run the job to its end; the seconds until the first CT was read, and until all were."""
    start = time.perf_counter()
    job = subprocess.Popen(command(folder, "whole"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while job.poll() is None and not any((folder / "whole" / "crops").glob("*.json")):
        time.sleep(0.005)
    first = time.perf_counter() - start
    assert job.wait() == 0, "the job fails without being killed"
    return first, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        first, last = undisturbed(folder)
        right = {path.name: path.read_bytes() for path in (folder / "whole" / "crops").glob("*.crops")}
        crops, killed, rounds, midway = folder / "killed" / "crops", 0, 0, 0
        while killed < options.kills:
            job = subprocess.Popen(
                command(folder, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(moments.uniform(0.9 * first, last))
            before = state(crops)
            job.send_signal(signal.SIGKILL)
            if job.wait() == 0:
                # It was done before: begin again with nothing.
                assert set(state(crops)) == {name.removesuffix(".crops") for name in right}
                subprocess.run(["rm", "-r", str(crops.parent)], check=True)
                rounds += 1
                continue
            killed += 1
            check(crops, right)
            after = state(crops)
            # Written last: the kill came between it and the end.
            is_done = (crops.parent / "subset0.json").exists()
            assert not is_done or len(after) == len(right), "a killed job left a manifest"
            midway += 0 < len(after) < len(right)
            assert {uid: after[uid] for uid in before} == before, "a CT was read twice"
            print(f"kill {killed}: {len(after)} of {len(right)} CTs read, all crops right", flush=True)
            if is_done:
                subprocess.run(["rm", "-r", str(crops.parent)], check=True)
        assert midway, "no kill came while CTs were read: this showed nothing"
        subprocess.run(command(folder, "killed"), check=True, capture_output=True)
        check(crops, right)
        assert len(list(crops.glob("*.crops"))) == len(right)
        manifests = [folder / made / "subset0.json" for made in ("whole", "killed")]
        assert manifests[0].read_bytes() == manifests[1].read_bytes()
        print(
            f"{killed} kills, {midway} of them midway, {rounds + 1} times to the end:"
            " the crops are those of an undisturbed job"
        )


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, UserError) as error:
        sys.exit(f"wrong: {error}")

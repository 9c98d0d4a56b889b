"""Faults at every stage; afterwards the plain command ends with the results of an undisturbed run."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from .conftest import Workflow


def text_of(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def start(workflow: Workflow, *arguments: str) -> subprocess.Popen[bytes]:
    """Snakemake in the background, its output in a file."""
    with (workflow.folder / "output.txt").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2", "--resources", "gpu=1", *arguments],
            cwd=workflow.folder, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip


def wait_for_job(workflow: Workflow, program: str, snakemake: subprocess.Popen[bytes]) -> int:
    """Process id of a program of this workflow, as soon as it runs."""
    wanted = str(workflow.folder / "workflow" / "scripts" / f"{program}.py").encode()
    while snakemake.poll() is None:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if len(words) > 1 and words[1] == wanted:
                    return int(folder.name)
        time.sleep(0.01)
    raise AssertionError(f"{program} never ran:\n" + (workflow.folder / "output.txt").read_text())


STAGES = [
    "phantom", "verify_subset", "verify", "candidates", "cache_subset", "train", "evaluate", "metrics",
    "report",
]  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
EVERY = [(rule, number) for rule in STAGES for number in SIGNALS]


def stages(*usual: tuple[str, signal.Signals]) -> pytest.MarkDecorator:
    """Some stages and signals; with LUNA_ALL_FAULTS in the environment every one, in minutes more."""
    chosen = EVERY if os.environ.get("LUNA_ALL_FAULTS") else usual
    return pytest.mark.parametrize(("rule", "number"), chosen)


@pytest.fixture
def stopped(rule: str, request: pytest.FixtureRequest) -> Workflow:
    """A finished workflow to stop at this stage; with one run for speed, unless it makes the phantom."""
    workflow: Workflow = request.getfixturevalue("done" if rule == "phantom" else "with_files")
    return workflow


@stages(
    ("phantom", signal.SIGKILL), ("cache_subset", signal.SIGKILL), ("train", signal.SIGKILL),
    ("report", signal.SIGTERM),
)  # fmt: skip
def test_a_killed_job(stopped: Workflow, rule: str, number: signal.Signals) -> None:
    before = stopped.contents()
    snakemake = start(stopped, "--forcerun", rule)
    os.kill(wait_for_job(stopped, rule, snakemake), number)
    assert snakemake.wait() != 0
    stopped.run()
    assert stopped.contents() == before
    assert stopped.planned() == []


@stages(("verify_subset", signal.SIGTERM), ("train", signal.SIGKILL))
def test_snakemake_itself_killed(stopped: Workflow, rule: str, number: signal.Signals) -> None:
    """After SIGKILL the folder stays locked, and the message says what to type."""
    before = stopped.contents()
    snakemake = start(stopped, "--forcerun", rule)
    wait_for_job(stopped, rule, snakemake)
    if number == signal.SIGKILL:
        # The machine's crash: nothing of the session lives on.
        os.killpg(snakemake.pid, number)
    else:
        snakemake.send_signal(number)
    assert snakemake.wait() != 0
    if number == signal.SIGKILL:
        locked = stopped.run(check=False)
        assert locked.returncode != 0
        assert "--unlock" in text_of(locked)
        stopped.run("--unlock")
    stopped.run()
    assert stopped.contents() == before
    assert stopped.planned() == []


def test_two_at_once(done: Workflow) -> None:
    """The second says that the first is at work, and disturbs nothing. Two runs train long enough for it."""
    before = done.contents()
    first = start(done, "--forcerun", "train")
    wait_for_job(done, "train", first)
    second = done.run(check=False)
    assert second.returncode != 0
    assert "lock" in text_of(second)
    assert first.wait() == 0
    assert done.contents() == before


def cut_short(content: bytes) -> bytes:
    return content[:-7]


def with_flipped_bits(content: bytes) -> bytes:
    """More bytes than torch pads its files with: those bytes mean nothing."""
    start = len(content) // 2
    flipped = bytes(byte ^ 1 for byte in content[start : start + 200])
    return content[:start] + flipped + content[start + 200 :]


WRITERS = ["train", "cache_subset", "report"][: 3 if os.environ.get("LUNA_ALL_FAULTS") else 2]
DAMAGES = [with_flipped_bits, cut_short] if os.environ.get("LUNA_ALL_FAULTS") else [with_flipped_bits]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_file(with_files: Workflow, damage: Callable[[bytes], bytes]) -> None:
    """Training names the file and the command, which repairs it."""
    before = with_files.contents()
    series = pd.read_csv(with_files.result("series.csv")).set_index("subset")
    path = with_files.result("cache/crops") / f"{series.loc[3, 'seriesuid']}.crops"
    path.write_bytes(damage(path.read_bytes()))
    # A finished training would leave nothing to read.
    shutil.rmtree(with_files.result("runs/second/fold0"))
    text = text_of(with_files.run(check=False))
    assert path.name in text
    assert "repair it with: snakemake --cores all --forcerun cache_subset" in text
    with_files.run("--forcerun", "cache_subset")
    assert with_files.contents() == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint(done: Workflow, damage: Callable[[bytes], bytes]) -> None:
    """It is renamed; training goes on from the one before, or from the beginning."""
    before = done.contents()
    checkpoint = done.result("runs/first/fold0/state/checkpoint.pt")
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    done.result("runs/first/fold0/model.pt").unlink()
    done.run()
    assert "it was renamed to checkpoint.damaged" in done.result("logs/train_first_fold0.log").read_text()
    assert done.contents() == before


def test_a_ct_deleted_and_put_back(with_files: Workflow, tmp_path: Path) -> None:
    before = with_files.contents()
    raw = next((with_files.folder / "data" / "subset3").glob("*.raw"))
    raw.rename(tmp_path / "aside")
    failed = with_files.run(check=False)
    assert failed.returncode != 0
    words = f"missing-voxels: {raw.relative_to(with_files.folder)}"
    assert words in text_of(failed)
    assert "download the .raw (or .zraw) of this series" in text_of(failed)
    assert words in with_files.result("verify/header_problems.txt").read_text()
    (tmp_path / "aside").rename(raw)
    with_files.run()
    assert with_files.contents() == before


def test_voxels_that_are_no_chest(with_files: Workflow) -> None:
    """They are found when crops are cut, after all others were read, and stop the workflow."""
    before = with_files.contents()
    raw = next((with_files.folder / "data" / "subset3").glob("*.raw"))
    voxels = raw.read_bytes()
    raw.write_bytes(bytes(len(voxels)))
    failed = with_files.run(check=False)
    assert failed.returncode != 0
    words = f"constant: {raw.relative_to(with_files.folder).with_suffix('.mhd')}: every voxel is 0"
    assert words in text_of(failed)
    assert words in with_files.result("verify/problems.txt").read_text()
    raw.write_bytes(voxels)
    with_files.run()
    assert with_files.contents() == before
    assert with_files.planned() == []


@contextlib.contextmanager
def small_disk(workflow: Workflow) -> Iterator[Path]:
    """results/ on a file system of its own, with all its content; skips where mounting is not allowed."""
    results, aside = workflow.folder / "results", workflow.folder / "aside"
    results.rename(aside)
    results.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(results)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(aside, results, dirs_exist_ok=True)
        yield results
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)


@pytest.mark.parametrize("rule", WRITERS)
def test_a_full_disk(with_files: Workflow, rule: str) -> None:
    before = with_files.contents()
    with small_disk(with_files) as results:
        if rule == "cache_subset":
            shutil.rmtree(results / "cache")
        with_files.result("report.html").unlink()
        filler = results / "filler"
        free = shutil.disk_usage(results).free
        filler.write_bytes(bytes(free - 60_000))
        failed = with_files.run("--forcerun", rule, check=False)
        assert failed.returncode != 0
        assert "the disk is full; free some space and run the same command again" in text_of(failed)
        filler.unlink()
        with_files.run()
        assert with_files.contents() == before


def test_results_that_cannot_be_written(done: Workflow) -> None:
    before = done.contents()
    with small_disk(done) as results:
        subprocess.run(["mount", "-o", "remount,ro", str(results)], check=True)
        failed = done.run("--forcerun", "report", check=False)
        assert failed.returncode != 0
        assert "Write-protected output files" in text_of(failed)
        subprocess.run(["mount", "-o", "remount,rw", str(results)], check=True)
        done.run()
        assert done.contents() == before

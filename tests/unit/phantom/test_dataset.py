"""The phantom data set: the same every time, and no process outlives its program."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from conftest import PROJECT
from luna.config.phantom import PhantomSettings
from luna.phantom.dataset import make_phantom


def test_phantom_is_the_same_every_time(tmp_path: Path) -> None:
    settings = PhantomSettings(series=3, size=64, slices=16, candidates=10)
    make_phantom(tmp_path / "a", settings, seed=0)
    make_phantom(tmp_path / "b", settings, seed=0, processes=2)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 9
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


MAKE_MANY = """
import sys
from pathlib import Path
from luna.config.phantom import PhantomSettings
from luna.phantom.dataset import make_phantom
make_phantom(Path(sys.argv[1]), PhantomSettings(series=400), 0, processes=2)
"""


def test_a_killed_program_leaves_no_processes(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "workflow")}
    program = subprocess.Popen([sys.executable, "-c", MAKE_MANY, str(tmp_path)], env=environment)
    while len(processes_with(str(tmp_path))) < 3:
        assert program.poll() is None
        time.sleep(0.05)
    program.kill()
    program.wait()
    deadline = time.monotonic() + 20
    while left := processes_with(str(tmp_path)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def processes_with(word: str) -> list[int]:
    """Processes that have this word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found

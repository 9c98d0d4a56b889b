"""A Python environment made of packages that are installed here, without a download."""

import re
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import yaml
from packaging.requirements import Requirement

PIP_NAMES = {"pytorch": "torch", "python-xxhash": "xxhash"}
"""Packages that conda names differently."""


def make_environment(conda_file: Path, folder: Path) -> Path:
    """An environment with the packages of a conda file, all they need, and nothing else; its Python."""
    listed = [each.split("=")[0] for each in yaml.safe_load(conda_file.read_text())["dependencies"]]
    venv.create(folder, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for package in _with_all_they_need([PIP_NAMES.get(name, name) for name in listed if name != "python"]):
        for name in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            link = site / name
            if not link.exists():
                link.symlink_to(Path(str(package.locate_file(name))))
    python = folder / "bin" / "python"
    for name, importable in (("torch", True), ("snakemake", False)):
        done = subprocess.run([python, "-c", f"import {name}"], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == importable, f"{name}: {done.stderr}"
    return python


_NOTE = """
import atexit, os, sys
read = set()
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[2] & os.O_ACCMODE == os.O_RDONLY:
        read.add(os.path.relpath(arguments[0]))
def write():
    program = os.path.basename(sys.argv[0])
    with open(os.path.join({folder!r}, f"{program}-{os.getpid()}"), "w") as file:
        file.write("\\n".join(read))
sys.addaudithook(note)
atexit.register(write)
"""


def note_opened_files(python: Path, folder: Path) -> None:
    """Make every program of an environment list what it reads, in a file PROGRAM-PID of `folder`."""
    folder.mkdir()
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    (site / "sitecustomize.py").write_text(_NOTE.replace("{folder!r}", repr(str(folder))))


def _with_all_they_need(names: list[str]) -> list[Distribution]:
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found[name] = distribution(name)
        for text in found[name].requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return list(found.values())

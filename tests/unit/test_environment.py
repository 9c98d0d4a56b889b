"""The conda environment and the pinned requirements name the same versions."""

import yaml

from conftest import PROJECT
from workflow.environment import PIP_NAMES


def test_the_conda_environment_has_the_pinned_versions() -> None:
    files = ("requirements.txt", "requirements-export.txt")
    lines = [line for name in files for line in (PROJECT / "envs" / name).read_text().splitlines()]
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    wanted = yaml.safe_load((PROJECT / "envs" / "luna.yaml").read_text())["dependencies"]

    for name, version in (each.split("=") for each in wanted if not each.startswith("python=")):
        assert pins[PIP_NAMES.get(name, name)] == version

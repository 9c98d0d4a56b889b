"""The conda environments and the pinned requirements name the same versions."""

import pytest
import yaml

from conftest import PROJECT
from workflow.environment import PIP_NAMES


@pytest.mark.parametrize("environment", ["luna.yaml", "tracking.yaml"])
def test_the_conda_environments_have_the_pinned_versions(environment: str) -> None:
    files = ("requirements.txt", "requirements-export.txt", "requirements-tracking.txt")
    lines = [line for name in files for line in (PROJECT / "envs" / name).read_text().splitlines()]
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    wanted = yaml.safe_load((PROJECT / "envs" / environment).read_text())["dependencies"]

    for name, version in (each.split("=") for each in wanted if not each.startswith("python=")):
        assert pins[PIP_NAMES.get(name, name)] == version

"""Each job claims a GPU of its own."""

import getpass
import os
import select
import subprocess
import sys
from uuid import uuid4

from conftest import PROJECT
from luna.runtime.gpus import claimed_gpu

CLAIM = """
import sys
from luna.runtime.gpus import claimed_gpu
with claimed_gpu(sys.argv[1:]) as place:
    print(place, flush=True)
    sys.stdin.read()
"""


def job_that_claims(*names: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=os.environ | {"PYTHONPATH": str(PROJECT / "workflow")},
    )  # fmt: skip


def line_of(job: subprocess.Popen[str]) -> str:
    assert select.select([job.stdout], [], [], 60)[0], "no answer"
    return job.stdout.readline().strip()


def test_jobs_side_by_side_claim_different_gpus() -> None:
    """A claim ends with its process when that is killed; who waits is told for whom."""
    names = [f"GPU-{uuid4()}", f"GPU-{uuid4()}"]
    first, second = job_that_claims(*names), job_that_claims(*names)
    claimed = [line_of(job) for job in (first, second)]
    assert sorted(claimed) == ["0", "1"]
    third = job_that_claims(*names)
    message = line_of(third)
    assert f"process {third.pid} is waiting for a GPU" in message
    for name, job in zip(names, (first, second) if claimed[0] == "0" else (second, first), strict=True):
        assert f"{name} is taken by process {job.pid} of {getpass.getuser()}" in message
    first.kill()
    assert line_of(third) == claimed[0]
    for each in (first, second, third):
        each.kill()
        each.wait()


def test_a_claim_ends_with_its_context() -> None:
    """As of two trainings in the same notebook."""
    name = f"GPU-{uuid4()}"
    for _ in range(2):
        with claimed_gpu([name]) as place:
            assert place == 0

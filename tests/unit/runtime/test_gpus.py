"""Each job claims a GPU of its own."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import PROJECT
from luna.runtime.gpus import claimed_gpu

CLAIM = """
import sys
from pathlib import Path
from luna.runtime.gpus import claimed_gpu
with claimed_gpu(["GPU-a", "GPU-b"], Path(sys.argv[1])) as place:
    print(place, flush=True)
    sys.stdin.read()
"""


def test_jobs_side_by_side_claim_different_gpus(tmp_path: Path) -> None:
    """A claim ends with its context, and with its process when that is killed."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "workflow")}

    def job_that_claims() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment,
        )  # fmt: skip

    first, second = job_that_claims(), job_that_claims()
    claimed = [job.stdout.readline().strip() for job in (first, second)]
    assert sorted(claimed) == ["0", "1"]
    third = job_that_claims()
    first.kill()
    assert third.stdout.readline().strip() == claimed[0]
    for each in (first, second, third):
        each.kill()
        each.wait()
    for _ in range(2):  # as two trainings in the same notebook
        with claimed_gpu(["GPU-a"], tmp_path) as place:
            assert place == 0

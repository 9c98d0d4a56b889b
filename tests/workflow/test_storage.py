"""Data on object storage: the chain on a local S3 server does what it does on files."""

import logging
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from s3_server import s3_bucket, upload

from .conftest import Workflow, jobs_in
from .test_reruns import crop_files, from_verification_on

# Its name is no request for a download.
BUCKET = "my-download"


@pytest.fixture
def bucket(finished_with_files: Workflow) -> Iterator[Any]:
    """A bucket with the phantom below luna/ and its table of nodules below tables/."""
    root = finished_with_files.folder / "data"
    with s3_bucket(BUCKET) as bucket:
        upload(bucket, root, "luna")
        bucket.Object("luna/annotations.csv").delete()
        bucket.upload_file(str(root / "annotations.csv"), "tables/annotations.csv")
        yield bucket


def use_storage(workflow: Workflow, root: str = f"s3://{BUCKET}/luna") -> None:
    annotations = f"s3://{BUCKET}/tables/annotations.csv"
    workflow.config["data"] = {"source": "files", "root": root, "annotations": annotations}


class Requests(logging.Handler):
    """The requests that the S3 server logs: their method and the key, listings as `LIST`."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        # The server colours some of its lines.
        words = re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage()).split('"')[1].split()
        method, path = words[:2]
        self.made.append(("LIST", "") if "list-type" in path else (method, path.rpartition("/")[2]))

    def taken(self) -> list[tuple[str, str]]:
        """Those since the last time."""
        made, self.made = self.made, []
        return made


@pytest.fixture
def requests() -> Iterator[Requests]:
    log, handler = logging.getLogger("werkzeug"), Requests()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)


def test_the_whole_chain(
    workflow: Workflow, finished_with_files: Workflow, bucket: Any, requests: Requests
) -> None:
    use_storage(workflow)
    workflow.config["runs"] = finished_with_files.config["runs"]
    requests.taken()
    workflow.run()
    for name in ("metrics.csv", "summary.csv", "runs/second/fold0/model.pt"):
        assert workflow.result(name).read_bytes() == finished_with_files.result(name).read_bytes(), name
    asked = Counter(requests.taken())
    assert {method for method, _ in asked} == {"GET", "LIST"}
    # One for the headers and one for the crops, and no more for anything.
    assert max(count for (method, _), count in asked.items() if method == "GET") == 2
    assert not list((workflow.folder / "results").rglob("copies*"))

    assert workflow.planned() == []
    # The data and the table that is elsewhere.
    assert requests.taken() == [("LIST", "")] * 2

    path = next((finished_with_files.folder / "data" / "subset1").glob("*.raw"))
    voxels = bytearray(path.read_bytes())
    voxels[-2000:] = bytes(2000)
    bucket.put_object(Key=f"luna/subset1/{path.name}", Body=bytes(voxels))
    requests.taken()
    before = crop_files(workflow)
    ran = jobs_in(workflow.run("--until", "cache_subset"))
    assert ran == ["cache_subset 1", "verify", "verify_subset 1"]
    after = crop_files(workflow)
    assert [name for name in before if before[name] != after[name]] == [f"{path.stem}.crops"]
    assert Counter(name for method, name in requests.taken() if method == "GET")[path.name] == 1

    for kind in ("mhd", "raw"):
        bucket.Object(f"luna/subset1/{path.stem}.{kind}").delete()
    assert workflow.planned() == sorted(from_verification_on(0, 2, 3))


@pytest.mark.parametrize(
    ("root", "cache", "target", "words"),
    [
        ("s3://nowhere/luna", "cache", "all", "s3://nowhere/luna: cannot be listed"),
        (f"s3://{BUCKET}/empty", "cache", "all", f"s3://{BUCKET}/empty: no folder subset0 to subset9"),
        (f"s3://{BUCKET}/luna", "none", "all", "cache.source: none reads the CTs in training too"),
        (f"s3://{BUCKET}/luna", "cache", "results/download.json", "a download needs a folder"),
    ],
)
def test_what_cannot_be_is_reported(
    workflow: Workflow, bucket: Any, root: str, cache: str, target: str, words: str
) -> None:
    use_storage(workflow, root)
    workflow.config["cache"]["source"] = cache
    done = workflow.run("--dry-run", "--", target, check=False)
    assert done.returncode != 0
    assert words in done.stderr + done.stdout


def test_subsets_as_archives(with_files: Workflow) -> None:
    """As downloaded. Crops and candidates are those of folders."""
    names = ["candidates.csv", *(f"cache/crops/{name}" for name in crop_files(with_files))]
    before = {name: with_files.result(name).read_bytes() for name in names}
    for folder in (with_files.folder / "data").glob("subset*"):
        shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
        shutil.rmtree(folder)
    shutil.rmtree(with_files.folder / "results")
    with_files.run("--until", "candidates")
    assert {name: with_files.result(name).read_bytes() for name in names} == before
    assert not list((with_files.folder / "results").rglob("copies*"))
    assert with_files.planned("--until", "candidates") == []
    with_files.config["cache"]["source"] = "none"
    failed = with_files.run("--dry-run", check=False)
    assert "they are not in plain folders: set it to cache" in failed.stdout + failed.stderr

"""Data on object storage: the chain on a local S3 server does what it does on files."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3_server import s3_bucket, upload

from .conftest import Workflow
from .test_reruns import FROM_VERIFICATION_ON, crop_files

# Its name is no request for a download.
BUCKET = "my-download"


@pytest.fixture
def bucket(finished_with_files: Workflow) -> Iterator[Any]:
    """A bucket with the phantom below luna/ and its table of nodules below tables/."""
    root = finished_with_files.folder / "data"
    with s3_bucket(BUCKET) as bucket:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        upload(bucket, root, "luna")
        bucket.Object("luna/annotations.csv").delete()
        bucket.upload_file(str(root / "annotations.csv"), "tables/annotations.csv")
        yield bucket


def use_storage(workflow: Workflow, root: str = f"s3://{BUCKET}/luna") -> None:
    annotations = f"s3://{BUCKET}/tables/annotations.csv"
    workflow.config["data"] = {"source": "files", "root": root, "annotations": annotations}


def local_copies(workflow: Workflow) -> list[Path]:
    return [path for path in (workflow.folder / ".snakemake/storage").rglob("*") if path.is_file()]


def test_the_whole_chain(workflow: Workflow, finished_with_files: Workflow, bucket: Any) -> None:
    use_storage(workflow)
    workflow.config["runs"] = finished_with_files.config["runs"]
    workflow.run()
    for name in ("metrics.csv", "summary.csv", "runs/second/fold0/model.pt"):
        assert workflow.result(name).read_bytes() == finished_with_files.result(name).read_bytes(), name
    assert local_copies(workflow) == []
    assert workflow.planned() == []

    path = next((finished_with_files.folder / "data" / "subset1").glob("*.raw"))
    voxels = bytearray(path.read_bytes())
    voxels[-2000:] = bytes(2000)
    bucket.put_object(Key=f"luna/subset1/{path.name}", Body=bytes(voxels))
    assert workflow.planned() == sorted(["verify_subset 1", *FROM_VERIFICATION_ON])
    before = crop_files(workflow)
    workflow.run("--until", "cache_subset")
    after = crop_files(workflow)
    assert [name for name in before if before[name] != after[name]] == [f"{path.stem}.crops"]

    for kind in ("mhd", "raw"):
        bucket.Object(f"luna/subset1/{path.stem}.{kind}").delete()
    without = set(FROM_VERIFICATION_ON) - {"cache_subset 1"}
    assert workflow.planned() == sorted(without)


@pytest.mark.parametrize(
    ("root", "cache", "target", "words"),
    [
        ("s3://nowhere/luna", "cache", "all", "s3://nowhere/luna/subset0: cannot be listed"),
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

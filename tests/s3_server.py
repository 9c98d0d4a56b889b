"""A local S3 server with a bucket, for tests and benchmarks.

python tests/s3_server.py FOLDER PORT serves the folder's files as s3://lung/luna until it is killed.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
from moto.server import ThreadedMotoServer


@contextmanager
def s3_bucket(name: str, port: int = 0) -> Iterator[Any]:
    """An empty bucket on a server of its own; meanwhile its address and keys are in the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    access = {
        "AWS_ENDPOINT_URL_S3": address, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
    }  # fmt: skip
    try:
        with mock.patch.dict(os.environ, access):
            bucket = boto3.resource("s3").Bucket(name)
            bucket.create()
            yield bucket
    finally:
        server.stop()


def upload(bucket: Any, root: Path, folder: str) -> None:
    """Put all files below `root` into the bucket, below `folder`."""
    for path in root.rglob("*"):
        if path.is_file():
            bucket.upload_file(str(path), f"{folder}/{path.relative_to(root)}")


if __name__ == "__main__":
    with s3_bucket("lung", int(sys.argv[2])) as bucket:
        upload(bucket, Path(sys.argv[1]), "luna")
        print("all files are there", flush=True)
        signal.pause()

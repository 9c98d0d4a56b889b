"""Objects in an S3 bucket."""

from pathlib import Path
from typing import Any

from luna.base.errors import UserError
from luna.storage.source import SourceFile

SCHEME = "s3://"
_ATTEMPTS = 5
_BLOCK = 1 << 20
_CONNECTIONS = 16


def is_address(path: object) -> bool:
    """Whether a path of the config is an object's address and not a local path."""
    return str(path).startswith(SCHEME)


class Bucket:
    """The objects below an address, s3://bucket/folder.

    Where the server is and who asks is taken from the environment and ~/.aws, as by all of Amazon's tools.
    """

    at_once = _CONNECTIONS

    def __init__(self, folder: str) -> None:
        self.folder = folder.rstrip("/")
        self._bucket, _, prefix = self.folder.removeprefix(SCHEME).partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = _client()

    def listed(self) -> list[SourceFile]:
        """All objects below the address: one request for each thousand. Raises UserError."""
        return self._below(self._prefix)

    def find(self, name: str) -> SourceFile | None:
        """One object: one request. Raises UserError."""
        return next((file for file in self._below(self._prefix + name) if file.name == name), None)

    def _below(self, prefix: str) -> list[SourceFile]:
        from botocore.exceptions import BotoCoreError, ClientError

        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        try:
            return [
                SourceFile(each["Key"].removeprefix(self._prefix), each["Size"], each["ETag"].strip('"'))
                for page in pages
                for each in page.get("Contents", ())
                # Some programs represent an empty folder by an object named like one.
                if not each["Key"].endswith("/")
            ]
        except (BotoCoreError, ClientError) as error:
            raise UserError(
                f"{self.folder}: cannot be listed ({error}); check the address, the endpoint"
                " (AWS_ENDPOINT_URL_S3) and your keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
            ) from error

    def fetch(self, file: SourceFile, copy: Path, first: int | None = None) -> None:
        """Copy an object, or its first bytes; a transfer that breaks off goes on where it was.

        Raises UserError when the object is gone, has changed since it was listed, or cannot be read.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        wanted = file.size if first is None else first
        copy.write_bytes(b"")
        where, reason = f"{self.folder}/{file.name}", "the transfer breaks off"
        for _attempt in range(_ATTEMPTS):
            have = copy.stat().st_size
            if have == wanted:
                return
            part = {"Range": f"bytes={have}-{wanted - 1}"} if have or first is not None else {}
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=self._prefix + file.name, IfMatch=file.version, **part
                )
                with copy.open("ab") as opened:
                    for block in answer["Body"].iter_chunks(_BLOCK):
                        opened.write(block)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code"))
                if code in ("PreconditionFailed", "412", "NoSuchKey", "404"):
                    text = "has changed since this run began; run the same command again"
                    raise UserError(f"{where}: {text}") from error
                raise UserError(f"{where}: cannot be read ({error})") from error
            except BotoCoreError as error:
                reason = str(error)
        if copy.stat().st_size != wanted:
            raise UserError(f"{where}: cannot be read ({reason}); run the same command again")


def _client() -> Any:
    # Not above: starting a program would take longer, and few need it.
    import boto3
    from botocore.config import Config

    retries = {"max_attempts": _ATTEMPTS, "mode": "standard"}
    return boto3.client("s3", config=Config(retries=retries, max_pool_connections=_CONNECTIONS))

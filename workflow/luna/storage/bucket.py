"""Objects in an S3 bucket."""

from pathlib import Path
from typing import Any

from luna.base.errors import UserError
from luna.imaging.folders import is_hidden
from luna.storage.source import SourceFile

SCHEME = "s3://"
_ATTEMPTS = 5
_BLOCK = 1 << 20
_CONNECTIONS = 16
_CHECK = (
    "check the address, the endpoint (AWS_ENDPOINT_URL_S3) and your keys (AWS_ACCESS_KEY_ID,"
    " AWS_SECRET_ACCESS_KEY)"
)


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
        self._client = _client(self.folder)

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
                SourceFile(each["Key"].removeprefix(self._prefix), each["Size"], each["ETag"])
                for page in pages
                for each in page.get("Contents", ())
                # Some programs represent an empty folder by an object named like one.
                if not each["Key"].endswith("/") and not is_hidden(each["Key"].removeprefix(self._prefix))
            ]
        except (BotoCoreError, ClientError) as error:
            raise UserError(f"{self.folder}: cannot be listed ({error}); {_CHECK}") from error

    def fetch(self, file: SourceFile, copy: Path, first: int | None = None) -> None:
        """Copy an object, or its first bytes; a transfer that breaks off goes on where it was.

        Raises UserError when the object is gone, has changed since it was listed, or cannot be read.
        """
        from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError

        wanted = file.size if first is None else first
        copy.write_bytes(b"")
        where, reason = f"{self.folder}/{file.name}", "the transfer breaks off"
        for _attempt in range(_ATTEMPTS):
            if copy.stat().st_size == wanted:
                return
            try:
                self._continue(file, copy, wanted, is_part=first is not None)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code"))
                if code in ("PreconditionFailed", "412", "NoSuchKey", "404"):
                    text = "has changed since this run began; run the same command again"
                    raise UserError(f"{where}: {text}") from error
                raise UserError(f"{where}: cannot be read ({error})") from error
            except FlexibleChecksumError as error:
                # All bytes came, and some are wrong.
                copy.write_bytes(b"")
                reason = str(error)
            except BotoCoreError as error:
                reason = str(error)
        if copy.stat().st_size != wanted:
            raise UserError(f"{where}: cannot be read ({reason}); run the same command again")

    def _continue(self, file: SourceFile, copy: Path, wanted: int, is_part: bool) -> None:
        """Ask for what a copy lacks, and add it."""
        have = copy.stat().st_size
        part = {"Range": f"bytes={have}-{wanted - 1}"} if have or is_part else {}
        answer = self._client.get_object(
            Bucket=self._bucket, Key=self._prefix + file.name, IfMatch=file.version, **part
        )
        if part and "ContentRange" not in answer:
            # A server that knows no ranges sends everything.
            have = 0
        with copy.open("r+b") as opened:
            opened.seek(have)
            for block in answer["Body"].iter_chunks(_BLOCK):
                opened.write(block[: wanted - opened.tell()])
                # A whole object is read to its end, where its checksum is compared.
                if is_part and opened.tell() == wanted:
                    break


def _client(folder: str) -> Any:
    # Not above: starting a program would take longer, and few need it.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    retries = {"max_attempts": _ATTEMPTS, "mode": "standard"}
    try:
        return boto3.client("s3", config=Config(retries=retries, max_pool_connections=_CONNECTIONS))
    except (BotoCoreError, ValueError) as error:
        raise UserError(f"{folder}: cannot be reached ({error}); {_CHECK}") from error

#!/usr/bin/env python
"""Copy an object from a bucket."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.errors import UserError
from luna.base.files import atomic_path
from luna.cli.options import Parser
from luna.cli.program import command_line_program
from luna.storage.bucket import Bucket


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--address", required=True, help="s3://bucket/name")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    folder, _, name = options.address.rpartition("/")
    bucket = Bucket(folder)
    found = bucket.find(name)
    if found is None:
        raise UserError(f"{options.address}: no such object")
    with atomic_path(options.out) as temporary:
        bucket.fetch(found, temporary)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Download LUNA16 and unpack it, 116 GB in the end. An interrupted transfer is resumed."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_json
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.data import DataSettings
from luna.data.download import get_data_set

SETTINGS = ("records", "files")


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder to fill")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="the names of the files, as JSON, to write"
    )
    parser.add_argument("--keep-archives", action="store_true", help="do not remove unpacked archives")
    add_section(parser, DataSettings, only=SETTINGS)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    data = section_of(options, DataSettings, only=SETTINGS)
    names = get_data_set(data.records, data.files, options.root, options.keep_archives)
    write_json(options.manifest, {"root": str(options.root), "files": names})


if __name__ == "__main__":
    main()

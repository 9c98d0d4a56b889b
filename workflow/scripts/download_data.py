#!/usr/bin/env python
"""Download LUNA16 and unpack it, 116 GB in the end. Broken transfers go on where they stopped.

The default addresses are the challenge's public Zenodo records.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.config import default_section
from luna.download import get_data_set
from luna.fileio import write_json
from luna.program import command_line_program


def parser() -> argparse.ArgumentParser:
    default = default_section("data")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder to fill")
    parser.add_argument("--records", nargs="+", default=default["records"], help="addresses of the records")
    parser.add_argument("--files", nargs="+", default=default["files"], help="names or patterns of files")
    parser.add_argument("--keep-archives", action="store_true", help="do not remove what was unpacked")
    parser.add_argument("--manifest", type=Path, help="a JSON file of the names, to write at the end")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    names = get_data_set(options.records, options.files, options.root, options.keep_archives)
    if options.manifest:
        write_json(options.manifest, {"root": str(options.root), "files": names})


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Write config/README.md: every key of the config, from the schema."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.config_page import reference
from luna.fileio import write_text
from luna.program import command_line_program


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("config/README.md"))
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    write_text(parser().parse_args(argv).out, reference())


if __name__ == "__main__":
    main()

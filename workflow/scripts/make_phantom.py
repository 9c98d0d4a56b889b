#!/usr/bin/env python
"""Make a small phantom data set in LUNA16's format."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.machine import usable_threads
from luna.phantom import PhantomSettings, make_phantom
from luna.program import command_line_program


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    default = PhantomSettings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write the data set to")
    parser.add_argument("--series", type=int, default=default.series, help="number of CTs")
    parser.add_argument("--size", type=int, default=default.size, help="rows and columns of a CT")
    parser.add_argument("--slices", type=int, default=default.slices, help="mean number of slices")
    parser.add_argument("--candidates", type=int, default=default.candidates, help="mean per CT")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--background", type=Path, help="a real CT to lay the nodules into")
    parser.add_argument("--processes", type=int, default=1, help="CTs made side by side")
    options = vars(parser.parse_args(argv))
    out, processes = options.pop("out"), usable_threads(options.pop("processes"))
    make_phantom(out, PhantomSettings(**options), processes)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Write a trained model as a file of half the size, to be handed on: its kernels in half precision."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.cli.options import Parser
from luna.cli.program import command_line_program
from luna.deploy.shrink import shrink


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("model", type=Path, help="model.pt of a training")
    parser.add_argument("out", type=Path, help="the model.pt to write")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    shrink(options.model, options.out)


if __name__ == "__main__":
    main()

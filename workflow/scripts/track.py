#!/usr/bin/env python
"""Send the results of a training and its test to an MLflow server."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.tracking import TrackingSettings
from luna.deploy.tracking import TrackedFiles, track


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    for name in TrackedFiles.__dataclass_fields__:
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"file of the {name}")
    parser.add_argument("--out", type=Path, required=True, help="tracked.json to write")
    parser.add_argument("--attempt", default="", help="a word to keep in tracked.json")
    add_section(parser, TrackingSettings, "tracking.")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    files = TrackedFiles(**{name: getattr(options, name) for name in TrackedFiles.__dataclass_fields__})
    settings = section_of(options, TrackingSettings, "tracking.")
    track(files, settings, options.out, options.attempt)


if __name__ == "__main__":
    main()

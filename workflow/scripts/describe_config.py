#!/usr/bin/env python
"""Write config/README.md and config/schema.json: every key of the config, from its classes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_text
from luna.cli.options import Parser
from luna.cli.program import command_line_program
from luna.config.reference import reference_page, schema_text
from luna.config.tree import Config


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--page", type=Path, default=Path("config/README.md"))
    parser.add_argument("--schema", type=Path, default=Path("config/schema.json"))
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    schema = Config.model_json_schema()
    write_text(options.page, reference_page(schema))
    write_text(options.schema, schema_text(schema))


if __name__ == "__main__":
    main()

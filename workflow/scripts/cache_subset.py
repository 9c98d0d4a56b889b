#!/usr/bin/env python
"""Read the CTs of one subset, once: check their voxels and cut the candidates' crops into the cache."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_json
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.cli.subset import add_subset_options, source_of
from luna.config.cache import CacheSettings
from luna.crops.cache import CropCache
from luna.data.tables import PLACED_COLUMNS, SERIES_COLUMNS, read_stage_table


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    add_subset_options(parser)
    parser.add_argument("--series", type=Path, required=True, help="the subset's series, of verify.py")
    parser.add_argument("--candidates", type=Path, required=True, help="their candidates, of verify.py")
    parser.add_argument("--folder", type=Path, required=True, help="where the cache files go")
    parser.add_argument("--manifest", type=Path, required=True, help="what is cached, as JSON, to write")
    add_section(parser, CacheSettings, "cache.")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    settings = section_of(options, CacheSettings, "cache.")
    series = read_stage_table(options.series, SERIES_COLUMNS)
    candidates = read_stage_table(options.candidates, PLACED_COLUMNS)
    cache = CropCache(options.folder, settings, source_of(options), cut=settings.source == "cache")
    cached, read = cache.update(series, candidates)
    print(f"{read} series read, {len(cached) - read} as before", file=sys.stderr)
    write_json(options.manifest, {uid: each.model_dump(mode="json") for uid, each in cached.items()})


if __name__ == "__main__":
    main()

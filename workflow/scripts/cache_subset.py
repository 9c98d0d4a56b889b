#!/usr/bin/env python
"""Cut the candidates' crops out of the CTs, once, into one cache file per series."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_json
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.cache import CropSettings
from luna.crops.cache import cache_series_crops
from luna.data.subsets import SUBSETS
from luna.data.tables import LISTED_COLUMNS, SERIES_COLUMNS, read_stage_table


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--series", type=Path, required=True, help="series.csv of the verification")
    parser.add_argument("--candidates", type=Path, required=True, help="candidates.csv")
    parser.add_argument("--subset", type=int, choices=range(SUBSETS), required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the cache files go")
    parser.add_argument("--manifest", type=Path, required=True, help="what is cached, as JSON, to write")
    add_section(parser, CropSettings, "cache.")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    settings = section_of(options, CropSettings, "cache.")
    series = read_stage_table(options.series, SERIES_COLUMNS)
    candidates = read_stage_table(options.candidates, LISTED_COLUMNS)
    series = series[series["subset"] == options.subset]
    cached, built = cache_series_crops(series, candidates, options.folder, settings)
    print(f"{built} series cut, {len(cached) - built} kept", file=sys.stderr)
    write_json(options.manifest, {uid: each.model_dump() for uid, each in cached.items()})


if __name__ == "__main__":
    main()

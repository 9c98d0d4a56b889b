"""The options that say where candidates and crops are, and how crops are cut."""

import argparse
from pathlib import Path

import pandas as pd

from luna.base import layout
from luna.cli.options import add_section, section_of
from luna.config.cache import CacheSettings
from luna.crops.sources import CropSource, crop_source
from luna.data.tables import LISTED_COLUMNS, SERIES_COLUMNS, read_stage_table


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add --series, --candidates, --crops and the config's `cache` as --cache.*."""
    group = parser.add_argument_group("data")
    group.add_argument("--series", type=Path, default=Path(layout.SERIES), help="series.csv")
    group.add_argument("--candidates", type=Path, default=Path(layout.CANDIDATES), help="candidates.csv")
    group.add_argument("--crops", type=Path, default=Path(layout.CROPS), help="folder of the crop cache")
    add_section(parser, CacheSettings, "cache.")


def candidates_and_crops(options: argparse.Namespace) -> tuple[pd.DataFrame, CropSource]:
    """The rows of candidates.csv, and where their crops come from."""
    settings = section_of(options, CacheSettings, "cache.")
    candidates = read_stage_table(options.candidates, LISTED_COLUMNS)
    series = read_stage_table(options.series, SERIES_COLUMNS)
    return candidates, crop_source(candidates, series, options.crops, settings)

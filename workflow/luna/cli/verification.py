"""What both steps of verification share: before the voxels are read, and after."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from luna.base.errors import UserError
from luna.base.files import write_record, write_text
from luna.cli.options import add_section, section_of
from luna.config.data import DataSettings
from luna.data.problems import summary
from luna.data.records import CachedSeries
from luna.data.tables import SERIES_COLUMNS, read_stage_table
from luna.data.verify import verify_dataset, with_voxels

SETTINGS = ("on_problem", "expect")


def add_verification_options(parser: argparse.ArgumentParser) -> None:
    """Add what is verified, and where what was found goes."""
    parser.add_argument("--subsets", type=Path, nargs="+", required=True, help="tables of verify_subset.py")
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--candidates", type=Path, nargs="+", required=True)
    parser.add_argument("--report", type=Path, required=True, help="what was found, as JSON, to write")
    parser.add_argument("--problems", type=Path, required=True, help="all problems, as text, to write")
    add_section(parser, DataSettings, only=SETTINGS)


def verified(options: argparse.Namespace, cached: Mapping[str, CachedSeries]) -> pd.DataFrame:
    """The usable series; reports every problem, and raises UserError where they are to stop the workflow.

    cached: what is known of the voxels.
    """
    settings = section_of(options, DataSettings, only=SETTINGS)
    series = pd.concat(read_stage_table(path, SERIES_COLUMNS) for path in options.subsets)
    series = with_voxels(series, cached)
    usable, found = verify_dataset(series, options.annotations, options.candidates, settings.expect)
    write_record(options.report, found)
    # This file stays when the workflow stops here and deletes the outputs of the failed rule.
    write_text(options.problems, summary(found, shown=sys.maxsize) + "\n")
    print(summary(found, file=str(options.problems)), file=sys.stderr)
    if found.problems and settings.on_problem == "stop":
        raise UserError("the data set has problems; fix them, or set data.on_problem to skip")
    if not len(usable):
        raise UserError("the data set has no usable series")
    return usable

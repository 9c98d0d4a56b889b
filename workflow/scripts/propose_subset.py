#!/usr/bin/env python
"""List candidates in the CTs of one subset, for a data set that has no table of them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.files import write_csv
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.cli.subset import add_subset_options, source_of
from luna.config.data import DataSettings
from luna.config.machine import Machine
from luna.data.tables import SERIES_COLUMNS, read_annotations, read_stage_table, rows_of
from luna.model.shipped import shipped_models, shipped_sieve
from luna.runtime.cores import usable_threads
from luna.runtime.device import prepared_device
from luna.scans.dataset import propose_candidates
from luna.scans.models import LoadedModel, Models, load_models


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    add_subset_options(parser)
    parser.add_argument("--series", type=Path, required=True, help="table of verify_subset.py")
    parser.add_argument("--annotations", type=Path, required=True, help="the nodules")
    parser.add_argument("--out", type=Path, required=True, help="a table of candidates to write")
    add_section(parser, DataSettings, only=["proposals"])
    add_section(parser, Machine, only=["device", "threads"])
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    machine = section_of(options, Machine, only=["device", "threads"])
    most = section_of(options, DataSettings, only=["proposals"]).proposals
    annotations = rows_of(read_annotations(options.annotations))
    series = read_stage_table(options.series, SERIES_COLUMNS)
    paths = series["path"][series["status"] == "ok"].tolist()
    source = source_of(options)
    with prepared_device(machine.device, usable_threads(machine.threads)) as device:
        models = Models(load_models(shipped_models(), device), LoadedModel.load(shipped_sieve(), device))
        write_csv(options.out, propose_candidates(source, paths, annotations, models, most))


if __name__ == "__main__":
    main()

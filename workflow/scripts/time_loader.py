#!/usr/bin/env python
"""Time passes over the crops with several loaders, numbers of readers and batch sizes.

Needs the workflow's crop cache; prints a table, fastest first, and the config to write.
"""

import argparse
from collections.abc import Sequence

import find_luna  # noqa: F401

from luna.batches.dataset import LunaDataset
from luna.batches.timing import time_loaders
from luna.cli.data import add_data_options, candidates_and_crops
from luna.cli.options import Parser, add_section, section_of
from luna.cli.program import command_line_program
from luna.config.machine import Machine
from luna.crops.cache import crop_file
from luna.data.tables import LISTED_COLUMNS, read_stage_table
from luna.runtime.cores import usable_threads
from luna.runtime.device import prepared_device


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument(
        "--loader", nargs="+", default=["threads", "workers"], choices=["threads", "workers", "device"]
    )
    parser.add_argument("--num-workers", type=int, nargs="+", default=[0, 1, 2, 4, 8])
    parser.add_argument("--batch-size", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--samples", type=int, default=20000, help="at most, in one pass")
    parser.add_argument(
        "--sortby", default="random", choices=["random", "series_uid", "label_and_size"], help="their order"
    )
    add_section(parser, Machine, only=["device", "threads"])
    add_data_options(parser)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    uids = read_stage_table(options.candidates, LISTED_COLUMNS)["seriesuid"].unique()
    files = [file for uid in uids if (file := crop_file(options.crops, uid)).exists()]
    machine = section_of(options, Machine, only=["device", "threads"])
    with prepared_device(machine.device, usable_threads(machine.threads)) as device:
        table = time_loaders(
            lambda: LunaDataset(*candidates_and_crops(options), sortby_str=options.sortby),
            files, device, options.loader, options.num_workers, options.batch_size, options.samples,
        )  # fmt: skip
    print("samples per second, cold (first pass) and warm:")
    if table["cold"].isna().any():
        print("(no cold figure, NaN, where the system did not drop the files from its memory)")
    print(table.to_string(index=False, float_format="{:,.0f}".format))
    best = table.iloc[0]
    print(f"\nfastest: training: {{loader: {best['loader']}, num_workers: {best['readers']}}}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Time passes over the crops with several loaders, numbers of readers and batch sizes.

Needs the workflow's crop cache; prints a table, fastest first, and the config to write.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.arguments import add_data_arguments, crop_source, read_candidates_file
from luna.crops import crop_file
from luna.dataset import LunaDataset
from luna.device import prepare_device
from luna.loader_timing import time_loaders
from luna.program import command_line_program


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--loader", nargs="+", default=["threads", "workers"], choices=["threads", "workers", "device"]
    )
    parser.add_argument("--num-workers", type=int, nargs="+", default=[0, 1, 2, 4, 8])
    parser.add_argument("--batch-size", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--samples", type=int, default=20000, help="at most, in one pass")
    parser.add_argument(
        "--sortby", default="random", choices=["random", "series_uid", "label_and_size"], help="their order"
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=64, help="at most; never more than the cores")
    add_data_arguments(parser)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    candidates = read_candidates_file(options.candidates)
    dataset = LunaDataset(candidates, crop_source(options, candidates), sortby_str=options.sortby)
    files = [crop_file(options.crops, uid) for uid in candidates["seriesuid"].unique()]
    device = prepare_device(options.device, options.threads)
    table = time_loaders(
        dataset, [file for file in files if file.exists()], device, options.loader,
        options.num_workers, options.batch_size, options.samples,
    )  # fmt: skip
    print("samples a second, cold (first pass) and warm:")
    print(table.to_string(index=False, float_format="{:,.0f}".format))
    best = table.iloc[0]
    print(f"\nfastest: training: {{loader: {best['loader']}, num_workers: {best['readers']}}}")


if __name__ == "__main__":
    main()

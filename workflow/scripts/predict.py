#!/usr/bin/env python
"""Score candidate places in one new scan. Research software, no medical device.

SCAN is an .mhd, .mha, .nii, .nii.gz or .nrrd file, or the folder of a DICOM series. Without
--candidates a simple search for bright blobs in the lungs proposes places; it misses nodules. Without
--model the models that come with the project judge them; weights/README.md says how well.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.cli.options import Parser, add_section, at_least, section_of
from luna.cli.program import command_line_program
from luna.config.machine import Machine
from luna.deploy.scan import ScanJob, predict_scan
from luna.model.shipped import shipped_models
from luna.runtime.cores import usable_threads
from luna.runtime.device import prepared_device


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("scan", type=Path, metavar="SCAN")
    parser.add_argument(
        "--model", type=Path, nargs="+", metavar="MODEL",
        help="model.pt of a training, or several: their mean; default: the models in weights/",
    )  # fmt: skip
    parser.add_argument("--candidates", type=Path, help="a table: seriesuid, coordX, coordY, coordZ (mm)")
    parser.add_argument("--out", type=Path, required=True, help="a LUNA16 submission, as CSV")
    parser.add_argument("--page", type=Path, help="an HTML page with the most suspicious crops")
    parser.add_argument("--proposals", type=at_least(1), default=200, help="at most, without --candidates")
    parser.add_argument("--shown", type=at_least(0), default=30, help="crops on the page")
    add_section(parser, Machine, only=["device", "threads"])
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    machine = section_of(options, Machine, only=["device", "threads"])
    job = ScanJob(
        scan=options.scan, model_files=options.model or shipped_models(), candidates=options.candidates,
        out=options.out, page=options.page, proposals=options.proposals, shown=options.shown,
    )  # fmt: skip
    with prepared_device(machine.device, usable_threads(machine.threads)) as device:
        table = predict_scan(job, device)
    print("Research software, no medical device.", file=sys.stderr)
    print(table.head(10).to_string(index=False))


if __name__ == "__main__":
    main()

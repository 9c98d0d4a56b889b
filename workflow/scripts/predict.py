#!/usr/bin/env python
"""List suspicious places in chest CTs, measure them, and write files that a viewer opens.

Research software, no medical device.

SCAN is an .mhd, .mha, .nii, .nii.gz or .nrrd file, DICOM files, a folder of any of these with as many
series and studies as there are, or a .zip of it. Each CT series is judged by itself and gets a folder of its
own in --out; OUT/summary.csv has a row for each. Without --candidates, places are proposed; without --model,
the models that come with the project judge them (weights/README.md says how well). A scan that is finished is
not judged again.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401

from luna.base.code import code_digest
from luna.base.digests import file_checksum
from luna.base.errors import UserError
from luna.cli.options import Parser, add_section, at_least, section_of, share
from luna.cli.program import command_line_program
from luna.config.machine import Machine
from luna.model.shipped import shipped_models, shipped_sieve
from luna.runtime.cores import usable_threads
from luna.runtime.device import prepared_device
from luna.scans.batch import LIKELY, SUMMARY, Batch, Outcome, predict_scans
from luna.scans.models import LoadedModel, Models, load_models, model_files
from luna.scans.scan import Candidates, Settings


def parser() -> argparse.ArgumentParser:
    usual = Settings()
    parser = Parser(__doc__)
    parser.add_argument("scans", type=Path, nargs="+", metavar="SCAN")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where results are written")
    parser.add_argument(
        "--model", type=Path, action="append", metavar="MODEL",
        help="model.pt of a training, or a folder of them; may be given several times: the mean of their"
        " calibrated probabilities counts. Default: the models in weights/",
    )  # fmt: skip
    parser.add_argument("--candidates", type=Path, help="a table: seriesuid, coordX, coordY, coordZ (mm)")
    parser.add_argument(
        "--proposals", type=at_least(1), default=usual.proposals, help="places to propose, at most"
    )
    parser.add_argument(
        "--least", type=share, default=usual.least, help="places less probable than this are no findings"
    )
    parser.add_argument("--most", type=at_least(1), default=usual.most, help="findings a scan, at most")
    parser.add_argument(
        "--derived", action="store_true", help="judge DICOM series that were computed from others, too"
    )
    add_section(parser, Machine, only=["device", "threads"])
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    # They tell of every odd attribute of every slice.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    logging.getLogger("highdicom").setLevel(logging.WARNING)
    if threading.current_thread() is threading.main_thread():
        # So that what was unpacked is deleted.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    machine = section_of(options, Machine, only=["device", "threads"])
    models = model_files(options.model or shipped_models())
    sieve = shipped_sieve()
    made_of = [code_digest(Path(__file__)), *map(file_checksum, [sieve, *models])]
    candidates = Candidates.read(options.candidates) if options.candidates else None
    settings = Settings(candidates, options.proposals, options.least, options.most)
    batch = Batch(options.scans, options.out, settings, options.derived, made_of)
    with prepared_device(machine.device, usable_threads(machine.threads)) as device:
        loaded = Models(load_models(models, device), LoadedModel.load(sieve, device))
        outcomes = predict_scans(batch, loaded)
    report(outcomes, options.out)


def report(outcomes: Sequence[Outcome], out: Path) -> None:
    """Say what became of each scan. Raises UserError that lists those that failed."""
    print("Research software, no medical device.", file=sys.stderr)
    for each in outcomes:
        if each.status == "done":
            found = f"{each.findings} finding{'s' * (each.findings != 1)}"
            print(f"{each.folder}: {found}, {each.likely} with a probability of {LIKELY:g} or more")
        if each.status == "skipped":
            print(f"skipped: {each.where}: {each.reason}", file=sys.stderr)
    failed = [
        each.reason if each.where in each.reason else f"{each.where}: {each.reason}"
        for each in outcomes
        if each.status == "failed"
    ]
    if failed:
        raise UserError(f"{len(failed)} of the scans failed; {out / SUMMARY} lists all", failed)


if __name__ == "__main__":
    main()

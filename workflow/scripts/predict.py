#!/usr/bin/env python
"""Judge candidate places in one new scan. Research software, no medical device.

SCAN is an .mhd, .mha, .nii, .nii.gz or .nrrd file, or the folder of a DICOM series. Without
--candidates a simple search for bright blobs in the lungs proposes places; it misses nodules.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.device import prepare_device
from luna.prediction import ScanJob, predict_scan
from luna.program import command_line_program


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scan", type=Path, metavar="SCAN")
    parser.add_argument("--model", type=Path, required=True, help="model.pt of a training")
    parser.add_argument("--candidates", type=Path, help="a table: seriesuid, coordX, coordY, coordZ (mm)")
    parser.add_argument("--out", type=Path, required=True, help="a LUNA16 submission, as CSV")
    parser.add_argument("--page", type=Path, help="an HTML page with the most suspicious crops")
    parser.add_argument("--proposals", type=int, default=200, help="at most, without --candidates")
    parser.add_argument("--shown", type=int, default=30, help="crops on the page")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=64, help="at most; never more than the cores")
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = vars(parser().parse_args(argv))
    device = prepare_device(options.pop("device"), options.pop("threads"))
    table = predict_scan(ScanJob(model_file=options.pop("model"), **options), device)
    print("Research software, no medical device.", file=sys.stderr)
    print(table.head(10).to_string(index=False))


if __name__ == "__main__":
    main()

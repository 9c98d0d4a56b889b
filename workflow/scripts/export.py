#!/usr/bin/env python
"""Export a trained model as ONNX, check it against torch on real crops, and write its model card."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import find_luna  # noqa: F401
import numpy as np

from luna.base.files import atomic_path
from luna.batches.dataset import LunaDataset
from luna.cli.data import add_data_options, candidates_and_crops
from luna.cli.options import Parser, at_least
from luna.cli.program import command_line_program
from luna.deploy.card import write_card
from luna.deploy.onnx import compare, export_onnx
from luna.model.file import ModelFile

log = logging.getLogger("luna")


def parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.pt of a training")
    parser.add_argument("--evaluation", type=Path, required=True, help="its evaluation.json")
    parser.add_argument("--verification", type=Path, required=True, help="verification.json")
    parser.add_argument("--onnx", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--card", type=Path, required=True, help="the model card to write, as Markdown")
    parser.add_argument(
        "--check", type=at_least(0), default=64, help="crops to compare with torch; 0 for none"
    )
    add_data_options(parser)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    for name in ("onnxscript", "onnx_ir", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they log every pass over the graph
    # What cannot be checked or described is not left behind.
    with atomic_path(options.onnx) as onnx:
        export_onnx(options.model, onnx)
        if options.check:
            candidates, crops = candidates_and_crops(options)
            crop = ModelFile.load(options.model).crop
            first = np.arange(min(options.check, len(candidates)))
            difference = compare(options.model, onnx, LunaDataset(candidates, crops, first, crop=crop))
            log.info("%s: differs from torch by at most %.1e", options.onnx, difference)
        write_card(options.model, options.evaluation, options.verification, options.card)


if __name__ == "__main__":
    main()

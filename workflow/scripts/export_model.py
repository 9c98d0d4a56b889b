#!/usr/bin/env python
"""Export a trained model as ONNX, check it against torch on real crops, and write its model card."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from luna.arguments import add_data_arguments, crop_source, read_candidates_file
from luna.dataset import LunaDataset
from luna.export import compare, export_onnx, write_card
from luna.program import command_line_program

log = logging.getLogger("luna")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.pt of a training")
    parser.add_argument("--onnx", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--check", type=int, default=64, help="crops to compare with torch; 0 does not")
    parser.add_argument("--card", type=Path, help="a model card to write, as Markdown")
    parser.add_argument("--evaluation", type=Path, help="evaluation.json, default beside the model")
    parser.add_argument("--verification", type=Path, default=Path("results/verification.json"))
    add_data_arguments(parser)
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    for name in ("onnxscript", "onnx_ir", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell every pass over the graph
    export_onnx(options.model, options.onnx)
    if options.check:
        candidates = read_candidates_file(options.candidates)
        dataset = LunaDataset(candidates, crop_source(options, candidates))
        difference = compare(options.model, options.onnx, dataset, options.check)
        log.info("%s: differs from torch by at most %.1e", options.onnx, difference)
    if options.card:
        evaluation = options.evaluation or options.model.with_name("evaluation.json")
        write_card(options.model, evaluation, options.verification, options.card)


if __name__ == "__main__":
    main()

"""Whether a model tells real nodules from other bright blobs in real lungs.

python benchmarks/transfer.py [MODEL ...] --data FOLDER --half report

The samples are described in rod.py.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np
import numpy.typing as npt
import torch

from luna.model.file import ModelFile
from luna.model.shipped import shipped_models
from luna.runtime.cores import usable_threads
from luna.runtime.device import prepared_device
from rod import Rod, crops_of, groups, parsed, parser_of, read_rod, scores, with_intervals


def report(rod: Rod, crops: list[npt.NDArray[np.int16]], models: list[ModelFile], half: str, flips: bool,
           device: torch.device) -> Iterator[str]:  # fmt: skip
    """The figures of some models together, as lines of Markdown."""
    nodules, blobs, beside = (scores(models, each, device, flips) for each in crops)
    wanted = {"tune": [True], "report": [False], "both": [True, False]}[half]
    chosen, others, near = (np.isin(each.tuned, wanted) for each in (rod.nodules, rod.blobs, rod.beside))
    yield "| nodules against | nodules | others | AUC | average precision | recall, 1 false positive in 20 |"
    yield "|---|---|---|---|---|---|"
    patients = rod.nodules.patient
    rows = [("blobs beside nodules", chosen, beside[near]), ("blobs of two other CTs", chosen, blobs[others])]
    rows += [
        (f"blobs of two other CTs: {name}", chosen & part, blobs[others]) for name, part in groups(rod.labels)
    ]
    for name, part, negative in rows:
        if part.any():
            found = with_intervals(nodules[part], patients[part], negative)
            figures = " | ".join(f"{v:.3f} ({a:.3f} to {b:.3f})" for v, a, b in found.values())
            yield f"| {name} | {part.sum()} | {len(negative)} | {figures} |"


def main() -> None:
    parser = parser_of(__doc__ or "")
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL", help="default: those of weights/")
    parser.add_argument("--half", choices=["tune", "report", "both"], default="tune")
    parser.add_argument("--each", action="store_true", help="the models one by one, not their mean")
    parser.add_argument("--flips", action="store_true", help="mean over the 8 mirror images")
    options = parsed(parser)
    rod = read_rod(options.data)
    crops = [crops_of(samples.cubes) for samples in (rod.nodules, rod.blobs, rod.beside)]
    models = [ModelFile.load(path) for path in options.models or shipped_models()]
    with prepared_device("cpu", usable_threads(2)) as device:
        for group in [[model] for model in models] if options.each else [models]:
            print("\n".join(report(rod, crops, group, options.half, options.flips, device)), flush=True)


if __name__ == "__main__":
    main()

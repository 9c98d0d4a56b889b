"""A trained model for others: ONNX, compared with torch, and a model card from the run's own files."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from luna.augment import to_input
from luna.dataset import LunaDataset
from luna.fileio import atomic_path, read_json, write_text
from luna.inference import load_model_file, model_from_file
from luna.pages import render
from luna.program import UserError

LARGEST_DIFFERENCE = 1e-4
"""Between the probabilities of torch and of onnxruntime, both in float32."""
_BATCH = 16


class _Exported(nn.Module):
    """From crops in HU to the probability of a nodule; what is exported."""

    def __init__(self, network: nn.Module, lowest_hu: float, highest_hu: float) -> None:
        super().__init__()
        self.network, self.lowest_hu, self.highest_hu = network, lowest_hu, highest_hu

    def forward(self, crops: Tensor) -> Tensor:
        """float32 (n, 1, index, row, column) in HU, of any range -> float32 (n,)."""
        _, probabilities = self.network(crops.clamp(self.lowest_hu, self.highest_hu))
        return probabilities[:, 1]


def export_onnx(model_path: Path, out: Path) -> None:
    """Write the model as ONNX: input `crops`, output `probability`, any number of crops at once.

    Metadata hold what a user must know of the input, and where the model comes from. Raises
    UserError when the file is no model or the packages for ONNX are not installed.
    """
    onnx, _ = _onnx_packages()
    model_file = load_model_file(model_path)
    exported = _Exported(model_from_file(model_file, torch.device("cpu")), *model_file["clip"]).eval()
    example = torch.zeros(2, 1, *model_file["crop"])
    with contextlib.redirect_stdout(io.StringIO()):  # torch tells every step it takes
        program = torch.onnx.export(
            exported, (example,), dynamo=True, input_names=["crops"], output_names=["probability"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )  # fmt: skip
    assert program is not None  # it is None only when torch writes a file itself
    proto = program.model_proto
    for key, value in _metadata(model_file).items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    with atomic_path(out) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def _metadata(model_file: dict[str, Any]) -> dict[str, str]:
    values = {name: model_file[name] for name in ("crop", "clip", "class_names", "recipe", "split")}
    plain = ("threshold", "run", "fold", "epoch", "seed", "code", "data")
    values |= {name: model_file[name] for name in plain}
    values |= {
        "input": "crops around a candidate in HU, axes index, row, column; voxels outside the CT are -1000",
        "notice": "research software, no medical device",
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def onnx_probabilities(path: Path, crops: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """onnxruntime's answers, float32 (n,), for crops float32 (n, 1, index, row, column) in HU."""
    _, runtime = _onnx_packages()
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parts = [crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH)]
    return np.concatenate([session.run(["probability"], {"crops": part})[0] for part in parts])


def compare(model_path: Path, onnx_path: Path, dataset: LunaDataset, count: int) -> float:
    """The largest difference between torch and onnxruntime over a dataset's first `count` crops.

    Raises UserError when it is above LARGEST_DIFFERENCE.
    """
    model_file = load_model_file(model_path)
    network = model_from_file(model_file, torch.device("cpu"))
    chosen = range(min(count, len(dataset)))
    crops = to_input(torch.from_numpy(np.stack([dataset.crop(k) for k in chosen])), tuple(model_file["crop"]))
    with torch.inference_mode():
        expected = torch.cat([network(part)[1][:, 1] for part in crops.split(_BATCH)]).numpy()
    difference = float(np.abs(onnx_probabilities(onnx_path, crops.numpy()) - expected).max())
    if difference > LARGEST_DIFFERENCE:
        raise UserError(f"{onnx_path}: differs from the model by {difference:.1e}; do not use it")
    return difference


def write_card(model_path: Path, evaluation_path: Path, verification_path: Path, out: Path) -> None:
    """Write a model card in Markdown: data, recipe, figures and limits, all from the run's files."""
    model_file = load_model_file(model_path)
    evaluation = read_json(evaluation_path)
    values = {
        "model": model_file,
        "recipe": json.dumps(model_file["recipe"], indent=1),
        "judged": evaluation,
        "verification": read_json(verification_path),
        "parameters": sum(weights.numel() for weights in model_file["weights"].values()),
    }
    write_text(out, render("card.md.j2", values, {"figure": _figure}))


def _figure(value: float | None) -> str:
    return "not defined" if value is None or pd.isna(value) else f"{value:.4g}"


def _onnx_packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; pip install -r envs/requirements-export.txt"
        ) from error
    return onnx, onnxruntime

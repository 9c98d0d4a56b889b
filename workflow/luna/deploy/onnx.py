"""Export a model as ONNX, and compare it with torch."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from luna.base.errors import UserError
from luna.base.files import atomic_path
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import make_loader
from luna.model.file import ModelFile
from luna.model.inference import predict

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

    The metadata hold what a user must know of the input, and where the model comes from. Raises
    UserError when the file is not a model or the packages for ONNX are not installed.
    """
    onnx, _ = _onnx_packages()
    trained = ModelFile.load(model_path)
    exported = _Exported(trained.network(torch.device("cpu")), *trained.clip).eval()
    example = torch.zeros(2, 1, *trained.crop)
    with contextlib.redirect_stdout(io.StringIO()):  # torch prints every step that it takes
        program = torch.onnx.export(
            exported, (example,), dynamo=True, input_names=["crops"], output_names=["probability"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )  # fmt: skip
    assert program is not None  # it is None only when torch writes a file itself
    proto = program.model_proto
    for key, value in _metadata(trained).items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    with atomic_path(out) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def _metadata(trained: ModelFile) -> dict[str, str]:
    values = {name: getattr(trained, name) for name in ("crop", "clip", "class_names")}
    records = ("recipe", "split", "key", "calibration")
    values |= {name: getattr(trained, name).model_dump(mode="json") for name in records}
    plain = ("threshold", "run", "fold", "epoch", "seed")
    values |= {name: getattr(trained, name) for name in plain}
    values |= {
        "input": "crops around a candidate in HU, axes index, row, column; voxels outside the CT are -1000",
        "output": "the network's raw probability; `calibration` makes it a calibrated one",
        "notice": "research software, no medical device",
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def onnx_probabilities(path: Path, crops: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """onnxruntime's answers, float32 (n,), for crops float32 (n, 1, index, row, column) in HU."""
    _, runtime = _onnx_packages()
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parts = [crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH)]
    return np.concatenate([session.run(["probability"], {"crops": part})[0] for part in parts])


def compare(model_path: Path, onnx_path: Path, dataset: LunaDataset) -> float:
    """The largest difference between torch and onnxruntime over a dataset's crops.

    Raises UserError when it is above LARGEST_DIFFERENCE.
    """
    trained, device = ModelFile.load(model_path), torch.device("cpu")
    loader = make_loader(dataset, device, "threads", num_workers=0)
    expected = predict(trained.network(device), loader, device, "fp32").probabilities
    crops = np.stack([dataset.crop(index) for index in range(len(dataset))])[:, None]
    answers = onnx_probabilities(onnx_path, crops.astype(np.float32))
    difference = float(np.abs(answers - expected).max())
    if difference > LARGEST_DIFFERENCE:
        raise UserError(f"{onnx_path}: differs from the model by {difference:.1e}; do not use it")
    return difference


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

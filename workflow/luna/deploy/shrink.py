"""Models as small files, to be handed on."""

from dataclasses import replace
from pathlib import Path

from luna.model.file import ModelFile


def shrink(model: Path, out: Path) -> None:
    """Write a model.pt again with its kernels in half precision (float16), for half the bytes.

    Tensors of one dimension (biases, running means and variances) stay as they are: float16 cannot hold the
    running variance of HU values. The network computes in single precision as before; its probabilities
    change by as much as rounding the kernels to 11 bits does. Raises UserError where the model cannot be
    read.
    """
    trained = ModelFile.load(model)
    weights = {
        name: value.half() if value.ndim > 1 and value.is_floating_point() else value
        for name, value in trained.weights.items()
    }
    replace(trained, weights=weights).save(out)

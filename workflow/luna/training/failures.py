"""Why a training cannot continue, in plain words."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

from luna.base.arrays import IntArray
from luna.base.errors import UserError
from luna.batches.epoch import Epoch


@contextlib.contextmanager
def explain_lack_of_memory(batch_size: int, device: torch.device) -> Iterator[None]:
    """Turn a lack of the GPU's or the machine's memory into a UserError with what to try."""
    try:
        yield
    except RuntimeError as error:
        # On a CPU torch raises a plain RuntimeError.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        other = ", or training.device: cpu" if device.type == "cuda" else ", or close other programs"
        raise UserError(
            f"the memory of the {device.type} is too small for batch_size {batch_size};"
            f" try {batch_size // 2 or 1}{other}"
        ) from error


def check_losses(losses: torch.Tensor, epoch: Epoch, rows: IntArray) -> None:
    """Raise UserError unless all of an epoch's losses (n,) are finite.

    It names the candidates in the first batch that went wrong. rows: of candidates.csv, by sample.
    """
    wrong = np.flatnonzero(~losses.isfinite().cpu().numpy())
    if not len(wrong):
        return
    number = epoch.batch_with(int(wrong[0]))
    ids = ", ".join(str(row) for row in rows[epoch.batches[number]])
    raise UserError(
        f"the loss is not finite in epoch {epoch.number}, from batch {number + 1} on (candidates {ids});"
        " lower the learning rate, or set gradient_clip. The last good state is kept."
    )

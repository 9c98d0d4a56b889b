"""TensorBoard logs of a training: a training and a validation writer, opened at first use."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from luna.metrics import NAMES


class TensorBoardLogs:
    """Writes a run's figures. The x-axis is the number of training samples seen so far.

    folder: results/tensorboard or a folder below it. name: what the run is called there.
    """

    def __init__(self, folder: Path, name: str, comment: str = "") -> None:
        self._folder = folder
        self._name = f"{name}-{comment}" if comment else name
        self._writers: dict[str, Any] = {}

    def write(
        self,
        split: str,
        samples_seen: int,
        figures: dict[str, Any],
        labels: npt.NDArray[np.int64],
        probabilities: npt.NDArray[np.float64],
    ) -> None:
        """Log an epoch of a split ("trn" or "val"): scalars, PR curve, histograms of predictions."""
        writer = self._writer(split, samples_seen)
        for name in NAMES:
            if figures.get(name) is not None:
                writer.add_scalar(name, figures[name], samples_seen)
        if not np.isfinite(probabilities).all():
            return
        writer.add_pr_curve("pr", labels, probabilities, samples_seen)
        bins = np.linspace(0, 1, 51)
        for name, label in (("neg", 0), ("pos", 1)):
            # The certain ones would hide the shape of the rest.
            chosen = probabilities[(labels == label) & (probabilities > 0.01) & (probabilities < 0.99)]
            if len(chosen):
                writer.add_histogram(f"probability/{name}", chosen, samples_seen, bins=bins)

    def close(self) -> None:
        """Write everything out."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, split: str, samples_seen: int) -> Any:
        if split not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            self._writers[split] = SummaryWriter(
                str(self._folder / f"{self._name}-{split}"), purge_step=samples_seen
            )
        return self._writers[split]

"""TensorBoard logs of a training: writers opened at first use, named by the user's options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from luna.ct import HuArray
from luna.metrics import NAMES
from luna.pictures import three_planes


@dataclass(frozen=True)
class LogNames:
    """Where logs go and how they are called: folder/prefix/run-comment-split.

    writers: `two` makes a log for training and one for validation with the same tags, so that
    TensorBoard draws both into one plot; `one` makes a single log with tags trn/... and val/...
    """

    folder: Path
    prefix: str = ""
    comment: str = ""
    writers: str = "two"

    def place(self, run: str, split: str) -> tuple[Path, str]:
        """Folder of a split's log, and what stands before its tags."""
        name = f"{run}-{self.comment}" if self.comment else run
        if self.writers == "one":
            return self.folder / self.prefix / name, f"{split}/"
        return self.folder / self.prefix / f"{name}-{split}", ""


class TensorBoardLogs:
    """Writes a run's figures. The x-axis is the number of training samples seen so far."""

    def __init__(self, names: LogNames | None, run: str) -> None:
        """Without names nothing is ever written."""
        self._names, self._run = names, run
        self._writers: dict[Path, Any] = {}

    def write(
        self,
        split: str,
        samples_seen: int,
        figures: dict[str, Any],
        labels: npt.NDArray[np.int64],
        probabilities: npt.NDArray[np.float64],
    ) -> None:
        """Log an epoch of a split ("trn" or "val"): scalars, PR curve, histograms of predictions."""
        if self._names is None:
            return
        writer, before = self._writer(self._names, split, samples_seen)
        for name in NAMES:
            if figures.get(name) is not None:
                writer.add_scalar(before + name, figures[name], samples_seen)
        if not np.isfinite(probabilities).all():
            return
        writer.add_pr_curve(f"{before}pr", labels, probabilities, samples_seen)
        bins = np.linspace(0, 1, 51)
        for name, label in (("neg", 0), ("pos", 1)):
            # The certain ones would hide the shape of the rest.
            chosen = probabilities[(labels == label) & (probabilities > 0.01) & (probabilities < 0.99)]
            if len(chosen):
                writer.add_histogram(f"{before}probability/{name}", chosen, samples_seen, bins=bins)

    def write_worst(self, samples_seen: int, crops: dict[str, list[HuArray]]) -> None:
        """Log crops (index, row, column) of the validation's worst mistakes, by kind, as images."""
        if self._names is None:
            return
        writer, before = self._writer(self._names, "val", samples_seen)
        for kind, chosen in crops.items():
            if chosen:
                picture = np.concatenate([three_planes(crop) for crop in chosen], axis=0)
                writer.add_image(f"{before}worst/{kind}", picture, samples_seen, dataformats="HW")

    def write_recipe(self, recipe: dict[str, Any], best: dict[str, float]) -> None:
        """Log the recipe's values and the best epoch's figures, for the HParams view."""
        if self._names is None:
            return
        writer, _ = self._writer(self._names, "val", 0)
        writer.add_hparams(recipe, {f"best/{name}": value for name, value in best.items()}, run_name=".")

    def close(self) -> None:
        """Write everything out."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, names: LogNames, split: str, samples_seen: int) -> tuple[Any, str]:
        folder, before = names.place(self._run, split)
        if folder not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            self._writers[folder] = SummaryWriter(str(folder), purge_step=samples_seen)
        return self._writers[folder], before

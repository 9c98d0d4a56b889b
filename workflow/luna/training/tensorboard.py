"""TensorBoard logs of a training: writers opened at first use, named by the user's options."""

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from luna.base.arrays import FloatArray, HuArray, IntArray
from luna.config.machine import Logs
from luna.config.recipe import Recipe
from luna.config.section import plain_values_of
from luna.imaging.planes import three_planes
from luna.scoring.metrics import NAMES, Metrics

CHANGES_NO_RESULT = True


class TensorBoardLogs:
    """Writes a run's metrics. The x-axis is the number of training samples seen so far.

    Logs are in folder/prefix/run-comment-split. With two writers there is one log for training and
    one for validation with the same tags, so that TensorBoard draws both into one plot; with one
    writer there is a single log with tags trn/... and val/...
    """

    def __init__(self, logs: Logs, run: str, fold: int) -> None:
        """Nothing is written where `logs` names no folder."""
        self._logs, self._run = logs, f"{run}-fold{fold}"
        self._writers: dict[Path, Any] = {}

    def write(
        self, split: str, samples_seen: int, metrics: Metrics, labels: IntArray, probabilities: FloatArray
    ) -> None:
        """Log an epoch of a split ("trn" or "val"): scalars, PR curve, histograms of predictions."""
        if not self._logs.tensorboard:
            return
        writer, before = self._writer(split, samples_seen)
        for name in NAMES:
            if (value := metrics.get(name)) is not None:
                writer.add_scalar(before + name, value, samples_seen)
        if not np.isfinite(probabilities).all():
            return
        writer.add_pr_curve(f"{before}pr", labels, probabilities, samples_seen)
        bins = np.linspace(0, 1, 51)
        for name, label in (("neg", 0), ("pos", 1)):
            # Probabilities near 0 and 1 would hide the shape of the rest.
            chosen = probabilities[(labels == label) & (probabilities > 0.01) & (probabilities < 0.99)]
            if len(chosen):
                writer.add_histogram(f"{before}probability/{name}", chosen, samples_seen, bins=bins)

    def write_worst(self, samples_seen: int, crops: dict[str, list[HuArray]]) -> None:
        """Log crops (index, row, column) of the validation's worst mistakes, by kind, as images."""
        if not self._logs.tensorboard:
            return
        writer, before = self._writer("val", samples_seen)
        for kind, chosen in crops.items():
            if chosen:
                picture = np.concatenate([three_planes(crop) for crop in chosen], axis=0)
                writer.add_image(f"{before}worst/{kind}", picture, samples_seen, dataformats="HW")

    def set_aside(self) -> None:
        """Move the logs of an earlier training of this name to a folder beside, for one from scratch."""
        if not self._logs.tensorboard:
            return
        for folder in {self._folder(split) for split in ("trn", "val")}:
            if not folder.exists():
                continue
            kept = Path(f"{self._logs.tensorboard}-replaced") / folder.relative_to(self._logs.tensorboard)
            kept.parent.mkdir(parents=True, exist_ok=True)
            number = next(n for n in count(1) if not kept.with_name(f"{kept.name}-{n}").exists())
            folder.rename(kept.with_name(f"{kept.name}-{number}"))

    def write_recipe(self, recipe: Recipe, best: Metrics, samples_seen: int) -> None:
        """Log the recipe's values and the best epoch's metrics, for the HParams view."""
        if not self._logs.tensorboard or not best:
            return
        # Nothing of this training lies beyond its last sample, so no scalar is purged.
        writer, _ = self._writer("val", samples_seen + 1)
        metrics = {f"best/{name}": value for name, value in best.items()}
        writer.add_hparams(plain_values_of(recipe), metrics, run_name=".")

    def close(self) -> None:
        """Write everything out."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, split: str, samples_seen: int) -> tuple[Any, str]:
        """The writer of a split, and what stands before its tags. Entries from samples_seen on are purged."""
        before = f"{split}/" if self._one_writer else ""
        folder = self._folder(split)
        if folder not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            self._writers[folder] = SummaryWriter(str(folder), purge_step=samples_seen)
        return self._writers[folder], before

    @property
    def _one_writer(self) -> bool:
        return self._logs.tensorboard_writers == "one"

    def _folder(self, split: str) -> Path:
        name = f"{self._run}-{self._logs.comment}" if self._logs.comment else self._run
        folder = Path(self._logs.tensorboard) / self._logs.tensorboard_prefix
        return folder / (name if self._one_writer else f"{name}-{split}")

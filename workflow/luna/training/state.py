"""Everything that changes while a training runs, and that a checkpoint keeps."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from luna.base.arrays import FloatArray
from luna.batches.epoch import Position
from luna.model.file import Weights, copied
from luna.scoring.metrics import is_better

Row = dict[str, str | int | float | None]
"""A row of history.csv."""


FALLBACK_METRIC = "loss/all"
"""Chooses among epochs in which the recipe's metric is not defined."""


@dataclass(frozen=True)
class Best:
    """The best epoch so far, the metric that chose it and its value."""

    epoch: int = 0
    metric: str = FALLBACK_METRIC
    value: float | None = None


def moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """The update of an exponential moving average: means, new values, number of values so far.

    Its decay rises as (1 + n) / (10 + n), so that a short training's mean is not one of its first steps
    (the rule of tf.train.ExponentialMovingAverage).
    """

    def update(means: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        share = torch.as_tensor(1 - (1 + count) / (10 + count)).clamp(min=1 - decay)
        for mean, value in zip(means, values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share.to(mean.dtype))
            else:
                mean.copy_(value)

    return update


class TrainingState:
    """Weights, optimizer and schedule, how far the training has come, and the best epoch.

    epoch: how many are finished. step: how many steps of the next one are done. outcome: of each
    sample of the epoch under way its probability of a nodule and its loss, float32 (2, n), on the
    device. average: decay of the moving average of the weights; 0 for none.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        device: torch.device,
        average: float = 0,
    ) -> None:
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.averaged = (
            AveragedModel(model, multi_avg_fn=moving_average(average), use_buffers=True) if average else None
        )
        self.epoch, self.step, self.samples_seen = 0, 0, 0
        self.outcome = torch.empty((2, 0), device=device)
        self.history: list[Row] = []
        self.best = Best()
        self.best_weights: Weights = copied(model.state_dict())
        self.best_probabilities = torch.empty(0, dtype=torch.float64)

    @property
    def judged(self) -> nn.Module:
        """The model that is validated and kept: the averaged one, where there is one."""
        return self.model if self.averaged is None else self.averaged.module

    def step_on(self) -> None:
        """Take a step with the gradients that were computed."""
        self.optimizer.step()
        self.schedule.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def begin_epoch(self, samples: int) -> None:
        """Make room for an epoch's outcome, unless an interrupted epoch is resumed."""
        if self.step == 0:
            self.outcome = torch.zeros((2, samples), device=self.outcome.device)

    def record_step(self, position: Position, logits: Tensor, losses: Tensor) -> None:
        """Keep the results of a step for its samples: logits (n, 2) and losses (n,), still on the device."""
        self.outcome[0, position.part] = logits.detach().float().softmax(1)[:, 1]
        self.outcome[1, position.part] = losses.detach()
        self.step += 1

    def end_epoch(self) -> tuple[FloatArray, FloatArray]:
        """Count the epoch as finished; the probabilities and losses of its samples, on the host."""
        probabilities, losses = self.outcome.double().cpu().numpy()
        self.epoch, self.step = self.epoch + 1, 0
        self.samples_seen += len(losses)
        return probabilities, losses

    def keep_if_best(self, value: float | None, metric: str, probabilities: FloatArray) -> None:
        """Keep the weights of the epoch just finished if it is the best so far.

        An epoch with the recipe's metric beats all that have only FALLBACK_METRIC. probabilities: of a
        nodule for each validation sample, (n,).
        """
        same = metric == self.best.metric or self.best.value is None
        if is_better(value, self.best.value, metric) if same else metric != FALLBACK_METRIC:
            self.best = Best(self.epoch, metric, value)
            self.best_weights = copied(self.judged.state_dict())
            self.best_probabilities = torch.from_numpy(probabilities.copy())

    def is_stalled(self, patience: int) -> bool:
        """Whether early stopping ends the training: no better epoch for `patience` epochs; 0 never does."""
        return patience > 0 and self.epoch - max(self.best.epoch, 1) >= patience

    def is_finite(self) -> bool:
        """Whether all weights are finite."""
        return all(bool(weights.isfinite().all()) for weights in self.model.parameters())

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to resume from here, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "samples_seen": self.samples_seen,
            "outcome": self.outcome,
            "history": self.history,
            "best": asdict(self.best),
            "best_weights": self.best_weights,
            "best_probabilities": self.best_probabilities,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state that `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.step, self.samples_seen = state["epoch"], state["step"], state["samples_seen"]
        self.outcome = state["outcome"].to(self.outcome.device)
        self.history, self.best = state["history"], Best(**state["best"])
        self.best_weights, self.best_probabilities = state["best_weights"], state["best_probabilities"]

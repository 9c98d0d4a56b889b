"""Train a model by a recipe, resumable at any point."""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from luna.augment import draw, draw_noise, to_input
from luna.checkpoints import Checkpoints
from luna.config import flat
from luna.crops import CropSettings, CropSource
from luna.ct import HuArray
from luna.dataset import LunaDataset, batches_of, epoch_order
from luna.device import autocast, place, prepare_device
from luna.distributed import ALONE, Team, join_team, leave_team, share, team_size
from luna.fileio import digest, file_checksum, write_csv
from luna.inference import channels_last, load_weights, predict, save_model
from luna.loader import Batch, dead_workers_told, make_loader
from luna.machine import usable_threads
from luna.metrics import COUNTS, NAMES, best_threshold, figures, is_better
from luna.model import CLASS_NAMES, build_model
from luna.program import UserError
from luna.progress import enumerate_with_estimate
from luna.tables import split_rows
from luna.tensorboard import LogNames, TensorBoardLogs

log = logging.getLogger(__name__)

WORST_SHOWN = 6
HISTORY_COLUMNS = ["run", "fold", "epoch", "split", "samples_seen", *COUNTS, *NAMES]


@dataclass(frozen=True)
class TrainingJob:
    """All that determines a trained model, and where the results go.

    recipe: as luna.config completes it. split: method and stride. code: digest of the program.
    """

    run: str
    fold: int
    recipe: dict[str, Any]
    split: dict[str, Any]
    seed: int
    code: str
    model_file: Path
    history_file: Path
    state_folder: Path


@dataclass(frozen=True)
class Machine:
    """How a training is run; nothing here changes its result on one kind of device."""

    device: str = "auto"
    threads: int = 1
    loader: str = "auto"
    num_workers: int = 8
    checkpoint_minutes: float = 10
    log_names: LogNames | None = None


def train(job: TrainingJob, machine: Machine, candidates: pd.DataFrame, source: CropSource) -> None:
    """Train, and write model.pt and history.csv; go on where an interrupted training stopped.

    candidates: rows of candidates.csv. Raises UserError for a fold without samples, a loss that is
    not finite (naming the candidates) or too little memory.
    """
    rows = split_rows(candidates, job.fold, **job.split)
    training_set = LunaDataset(candidates, source, rows["trn"])
    validation_set = LunaDataset(candidates, source, rows["val"])
    device = prepare_device(machine.device, usable_threads(machine.threads) // team_size())
    log.info(
        "%s fold %d on %s: %d training samples (%d nodules), %d for validation (%d nodules)",
        job.run, job.fold, device, len(training_set), training_set.labels.sum(),
        len(validation_set), validation_set.labels.sum(),
    )  # fmt: skip
    with _too_little_memory_told(job.recipe["batch_size"], device):
        training = Training(job, machine, device, training_set, validation_set)
        training.resume()
        with dead_workers_told():
            training.run()
    if training.team.is_first:
        training.write_results(source.settings)
    leave_team()


@contextlib.contextmanager
def _too_little_memory_told(batch_size: int, device: torch.device) -> Iterator[None]:
    """Turn a lack of the GPU's or the machine's memory into a UserError that says what to try."""
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


class Training:
    """A training under way: the model, what trains it, and the history so far."""

    def __init__(
        self,
        job: TrainingJob,
        machine: Machine,
        device: torch.device,
        training_set: LunaDataset,
        validation_set: LunaDataset,
    ) -> None:
        self.job, self.machine, self.device, self.recipe = job, machine, device, job.recipe
        self.team = join_team(device)
        self.training_set, self.validation_set = training_set, validation_set
        self.data = digest([training_set.source.digest, training_set.rows.tolist()])
        torch.manual_seed(job.seed)
        model = build_model(job.recipe["model"], training_set.source.settings.crop)
        weights = job.recipe["init_weights"]
        if weights:
            load_weights(model, Path(weights))
        self.checkpoints = Checkpoints(
            job.state_folder,
            {
                "the recipe": digest([job.recipe, job.split]),
                "the seed": digest(job.seed),
                "the code": digest(job.code),
                "the data": self.data,
                "the initial weights": file_checksum(weights) if weights else "",
                "the kind of device": device.type,
            },
        )
        self.model = place(model, device)
        self.shared_model = share(self.model, device, self.team)
        self.loader, self.validation_loader = (
            make_loader(dataset, device, machine.loader, machine.num_workers // self.team.size)
            for dataset in (training_set, validation_set)
        )
        self.optimizer = build_optimizer(self.model, job.recipe, device)
        self.schedule = build_schedule(self.optimizer, job.recipe, len(self.global_batches(self.order(1))))
        names = machine.log_names if self.team.is_first else None
        self.logs = TensorBoardLogs(names, f"{job.run}-fold{job.fold}")
        self.history: list[dict[str, Any]] = []
        self.epoch, self.samples_seen = 0, 0
        self.step, self.outcome = 0, torch.empty((2, 0), device=device)
        self.best: dict[str, Any] = {"epoch": 0, "value": None, "threshold": 0.5}
        self.best_weights = _copy(self.model.state_dict())

    def order(self, epoch: int) -> np.ndarray:
        """Indices of an epoch's training samples."""
        return epoch_order(
            self.training_set.labels, self.job.seed, epoch,
            self.recipe["balance"], self.recipe["samples_per_epoch"],
        )  # fmt: skip

    def run(self) -> None:
        """Train the epochs that are left."""
        while self.epoch < self.recipe["epochs"] and not self.is_stalled():
            self.train_epoch(self.epoch + 1)
            self.validate()
            self.save_checkpoint()
        self.log_recipe()
        self.logs.close()

    def is_stalled(self) -> bool:
        """Whether early stopping ends the training: no better epoch for `early_stopping` epochs."""
        patience = self.recipe["early_stopping"]
        return patience > 0 and self.epoch - max(self.best["epoch"], 1) >= patience

    def train_epoch(self, epoch: int) -> None:
        """Train an epoch, from the step it was interrupted at, and add its row to the history."""
        order = self.order(epoch)
        labels = self.training_set.labels[order]
        if self.step == 0:
            self.outcome = torch.zeros((2, len(order)), device=self.device)
        draws = torch.from_numpy(draw(len(order), self.job.seed, epoch)).to(self.device)
        self.shared_model.train()
        saved = time.monotonic()
        for batch, place_of_batch, part in self.batches(epoch, order):
            logits, losses = self.train_step(batch, draws[part], epoch, place_of_batch, part)
            self.outcome[0, part] = logits.detach().float().softmax(1)[:, 1]
            self.outcome[1, part] = losses.detach()
            self.step += 1
            # The clocks of a team would not agree: it saves at the end of an epoch only.
            if self.team.size == 1 and time.monotonic() - saved > 60 * self.machine.checkpoint_minutes:
                # First, so that a state without sense never takes the place of a good one.
                self.stop_if_not_finite(epoch, order)
                self.save_checkpoint()
                saved = time.monotonic()
        self.team.sum(self.outcome)
        self.stop_if_not_finite(epoch, order)
        probabilities, losses_host = self.outcome.double().cpu().numpy()
        self.epoch, self.step = epoch, 0
        self.samples_seen += len(order)
        self.add_to_history("trn", labels, probabilities, losses_host)

    def global_batches(self, order: np.ndarray) -> list[np.ndarray]:
        """An epoch's samples in batches that all processes share."""
        batches = batches_of(order, self.recipe["batch_size"] * self.recipe["gpus"])
        if len(batches) > 1 and len(batches[-1]) < self.team.size:
            # Every process needs a sample in every step.
            batches[-2:] = [np.concatenate(batches[-2:])]
        return batches

    def batches(self, epoch: int, order: np.ndarray) -> Iterator[tuple[Batch, slice, slice]]:
        """What is left of an epoch: this process' samples of each batch, and where in the epoch the
        whole batch and these samples lie."""
        batches = self.global_batches(order)
        ends = np.cumsum([len(batch) for batch in batches])
        left = range(self.step, len(batches))
        parts = [self.team.part(batches[number]) for number in left]
        own = [batches[number][part] for number, part in zip(left, parts, strict=True)]
        label = f"{self.job.run} fold {self.job.fold} epoch {epoch}"
        loaded = enumerate_with_estimate(self.loader.load(own), label, len(own), start_at=2)
        for (place_of_part, batch), number in zip(loaded, left, strict=True):
            start, part = int(ends[number]) - len(batches[number]), parts[place_of_part]
            yield batch, slice(start, int(ends[number])), slice(start + part.start, start + part.stop)

    def train_step(
        self, batch: Batch, draws: Tensor, epoch: int, whole: slice, part: slice
    ) -> tuple[Tensor, Tensor]:
        """One optimizer step; logits (n, 2) and losses (n,), both still on the device.

        whole: where in the epoch the batch of all processes lies; part: where this one's samples do.
        """
        crop, noise = self.training_set.source.settings.crop, None
        augmentation = self.recipe["augmentation"]
        if augmentation["noise"] > 0:
            seed = [self.job.seed, epoch, self.step]
            noise = draw_noise(whole.stop - whole.start, crop, augmentation["noise"], seed, self.device)
            noise = noise[part.start - whole.start : part.stop - whole.start]
        inputs = to_input(batch.crops, crop, augmentation, draws, noise)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.recipe["precision"]):
            logits, _ = self.shared_model(channels_last(inputs))
        losses = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
        weighted_loss(losses, batch.labels, self.recipe, self.team).backward()
        if self.recipe["gradient_clip"] > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe["gradient_clip"])
        self.optimizer.step()
        self.schedule.step()
        return logits, losses

    def save_checkpoint(self) -> None:
        """Write a checkpoint, from the first process. Weights that are not finite are never kept: the
        loss of the next step, which is not finite either, then stops the training."""
        state = self.state()
        if self.team.is_first and all(weights.isfinite().all() for weights in self.model.parameters()):
            self.checkpoints.save(state)

    def validate(self) -> None:
        """Judge the epoch on the validation set; keep its weights if it is the best so far."""
        predictions = predict(
            self.model, self.validation_loader, self.device, self.recipe["precision"], team=self.team
        )
        labels = self.validation_set.labels
        self.logs.write_worst(self.samples_seen, self.worst_crops(predictions.probabilities))
        row = self.add_to_history("val", labels, *predictions)
        name = self.recipe["select"]
        if row[name] is None:
            log.warning("validation defines no %s; epochs are compared by loss/all", name)
            name = "loss/all"
        if is_better(row[name], self.best["value"], name):
            threshold = best_threshold(labels, predictions.probabilities)
            self.best = {"epoch": self.epoch, "value": row[name], "threshold": threshold}
            self.best_weights = _copy(self.model.state_dict())

    def worst_crops(self, probabilities: np.ndarray) -> dict[str, list[HuArray]]:
        """Crops of the negatives with the highest and the positives with the lowest probability."""
        order = np.argsort(probabilities, kind="stable")
        labels = self.validation_set.labels[order]
        chosen = {"false_positive": order[labels == 0][::-1], "missed_nodule": order[labels == 1]}
        return {
            kind: [self.validation_set.crop(index) for index in indices[:WORST_SHOWN]]
            for kind, indices in chosen.items()
        }

    def log_recipe(self) -> None:
        """Tell TensorBoard what the recipe was and how good its best epoch came out."""
        best = [row for row in self.history if (row["epoch"], row["split"]) == (self.best["epoch"], "val")]
        if best:
            figures_of_best = {name: best[0][name] for name in NAMES if best[0][name] is not None}
            self.logs.write_recipe(flat(self.recipe), figures_of_best)

    def add_to_history(
        self, split: str, labels: np.ndarray, probabilities: np.ndarray, losses: np.ndarray
    ) -> dict[str, Any]:
        """Compute an epoch's figures, log them, and append them to the history."""
        values = figures(labels, probabilities, losses)
        for name in ("all", "neg", "pos"):
            log.info("%s", _log_line(self.epoch, split, name, values))
        self.logs.write(split, self.samples_seen, values, labels, probabilities)
        place_in_training = {
            "run": self.job.run, "fold": self.job.fold, "epoch": self.epoch, "split": split,
            "samples_seen": self.samples_seen,
        }  # fmt: skip
        self.history.append(place_in_training | values)
        return values

    def stop_if_not_finite(self, epoch: int, order: np.ndarray) -> None:
        """Raise UserError naming the candidates of the epoch's first batch whose loss is not finite."""
        wrong = np.flatnonzero(~self.outcome[1].isfinite().cpu().numpy())
        if not len(wrong):
            return
        batches = self.global_batches(order)
        number = int(np.searchsorted(np.cumsum([len(batch) for batch in batches]), wrong[0], side="right"))
        ids = ", ".join(str(row) for row in self.training_set.rows[batches[number]])
        raise UserError(
            f"the loss is not finite in epoch {epoch}, from batch {number + 1} on (candidates {ids});"
            " lower the learning rate, or set gradient_clip. The last good state is kept."
        )

    def state(self) -> dict[str, Any]:
        """All that is needed to go on from here."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "samples_seen": self.samples_seen,
            "outcome": self.outcome,
            "history": self.history,
            "best": self.best,
            "best_weights": self.best_weights,
        }

    def resume(self) -> None:
        """Go on from the newest usable checkpoint, if there is one for this very job."""
        state = self.checkpoints.load()
        self.team.wait()
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.outcome = state["outcome"].to(self.device)
        for name in ("epoch", "step", "samples_seen", "history", "best", "best_weights"):
            setattr(self, name, state[name])
        log.info("resuming after epoch %d, step %d", self.epoch, self.step)

    def write_results(self, settings: CropSettings) -> None:
        """Write history.csv and model.pt, the best epoch's weights with all that predicting needs."""
        write_csv(self.job.history_file, pd.DataFrame(self.history, columns=HISTORY_COLUMNS))
        save_model(
            self.job.model_file,
            {
                "weights": _copy(self.best_weights),
                "model": self.recipe["model"],
                "crop": list(settings.crop),
                "clip": list(settings.clip),
                "class_names": list(CLASS_NAMES),
                "threshold": self.best["threshold"],
                "epoch": self.best["epoch"],
                "run": self.job.run,
                "fold": self.job.fold,
                "recipe": self.recipe,
                "split": self.job.split,
                "seed": self.job.seed,
                "code": self.job.code,
                "data": self.data,
            },
        )


def weighted_loss(losses: Tensor, labels: Tensor, recipe: dict[str, Any], team: Team = ALONE) -> Tensor:
    """The mean loss that is trained on, from each sample's cross entropy (n,), over the whole team.

    positive_weight multiplies the nodules' losses (the weights then sum to n again); focal_gamma
    lowers the weight of samples that are already right: (1 - p)^gamma (Lin et al. 2017, eq. 4).
    """
    if recipe["focal_gamma"] > 0:
        losses = (1 - torch.exp(-losses)) ** recipe["focal_gamma"] * losses
    weights = 1 + (recipe["positive_weight"] - 1) * labels.float()
    total = weights.sum()
    team.sum(total)
    # Gradients are averaged over the processes, so each gives `size` times its share.
    return (losses * weights).sum() / total * team.size


def build_optimizer(model: nn.Module, recipe: dict[str, Any], device: torch.device) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW."""
    shared = {"lr": recipe["learning_rate"], "weight_decay": recipe["weight_decay"], "fused": True}
    if recipe["optimizer"] == "adamw":
        return torch.optim.AdamW(model.parameters(), **shared)
    return torch.optim.SGD(model.parameters(), momentum=recipe["momentum"], **shared)


def build_schedule(
    optimizer: torch.optim.Optimizer, recipe: dict[str, Any], steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of each step: constant, one cycle with its peak at 30 %, or a cosine to 0."""
    steps = max(1, recipe["epochs"] * steps_per_epoch)
    if recipe["schedule"] == "onecycle":
        # One step more than there are: the scheduler raises when it is asked for another.
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe["learning_rate"], total_steps=steps + 1, cycle_momentum=False
        )
    if recipe["schedule"] == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)


def _log_line(epoch: int, split: str, name: str, values: dict[str, Any]) -> str:
    loss, correct = values[f"loss/{name}"], values[f"correct/{name}"]
    if correct is None:
        return f"E{epoch} {split} {name}: no samples"
    counts = {
        kind: values["correct_neg" if kind == "right" else "count_neg"]
        if name == "neg"
        else values["correct_pos" if kind == "right" else "count_pos"]
        for kind in ("right", "there")
    }
    if name == "all":
        counts = {
            "right": values["correct_neg"] + values["correct_pos"],
            "there": values["samples"],
        }
    loss_text = "not finite" if loss is None else f"{loss:.4f}"
    line = (
        f"E{epoch} {split} {name}: loss/{name} {loss_text}, correct/{name} {correct:.1f}%"
        f" ({counts['right']} of {counts['there']})"
    )
    if name == "all" and values["auc"] is not None:
        line += f", auc {values['auc']:.4f}"
    return line


def _copy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}

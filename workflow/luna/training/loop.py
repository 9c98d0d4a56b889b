"""Train a model by a recipe: the book's loop, which may be interrupted at any step."""

import logging

import pandas as pd
import torch.nn.functional as functional
from torch import nn

from luna.base.arrays import FloatArray, HuArray
from luna.batches.augment import Augmenter
from luna.batches.dataset import LunaDataset
from luna.batches.epoch import Epoch
from luna.batches.loaders import explain_dead_workers
from luna.config.machine import Logs, MachineSettings
from luna.crops.sources import CropSource
from luna.data.folds import split_rows
from luna.model.inference import channels_last, predict
from luna.runtime.cores import usable_threads
from luna.runtime.device import autocast, device_kind, prepared_device
from luna.runtime.team import join_team, leave_team, team_size
from luna.scoring.predictions import predictions_table
from luna.training.failures import check_losses, explain_lack_of_memory
from luna.training.history import metrics_of
from luna.training.job import TrainingJob
from luna.training.optim import weighted_loss
from luna.training.results import is_finished, keep_results, write_results
from luna.training.setup import Setup, set_up, training_key
from luna.training.state import FALLBACK_METRIC

log = logging.getLogger(__name__)

WORST_SHOWN = 6


def train(
    job: TrainingJob, machine: MachineSettings, logs: Logs, candidates: pd.DataFrame, source: CropSource
) -> None:
    """Train, and write model.pt, history.csv and validation.csv; an interrupted training is resumed.

    Where the files are there already, made by the very same training, they are kept.

    candidates: rows of candidates.csv. Raises UserError for a fold without samples, a loss that is
    not finite (naming the candidates) or too little memory.
    """
    rows = split_rows(candidates, job.fold, job.split)
    training_set, validation_set = (
        LunaDataset(candidates, source, part, crop=job.recipe.crop_size) for part in (rows.trn, rows.val)
    )
    key = training_key(job, device_kind(machine.device), training_set, validation_set)
    if is_finished(job, key):
        log.info("%s was trained by this recipe on these samples before: it is kept", job.model_file)
        keep_results(job)
        return
    if job.recipe.threads > usable_threads(job.recipe.threads):
        log.warning("%d threads share %d cores", job.recipe.threads, usable_threads(job.recipe.threads))
    with prepared_device(machine.device, max(1, job.recipe.threads // team_size())) as device:
        log.info(
            "%s fold %d on %s: %d training samples (%d nodules), %d for validation (%d nodules)",
            job.run, job.fold, device, len(training_set), training_set.labels.sum(),
            len(validation_set), validation_set.labels.sum(),
        )  # fmt: skip
        team = join_team(device)
        with explain_lack_of_memory(job.recipe.batch_size, device), explain_dead_workers():
            setup = set_up(job, key, machine, logs, device, team, training_set, validation_set)
            fit(setup)
        if team.is_first:
            # Without any epoch there are none.
            judged = setup.state.best_probabilities.numpy()
            validation = predictions_table(candidates, rows.val[: len(judged)], judged)
            write_results(job, key, setup.state, training_set, validation)
        leave_team()


def fit(setup: Setup) -> None:
    """Train the epochs that are left."""
    job, device, team, state = setup.job, setup.device, setup.team, setup.state
    recipe, training_set = job.recipe, setup.training.dataset
    while state.epoch < recipe.epochs and not state.is_stalled(recipe.early_stopping):
        epoch = Epoch(state.epoch + 1, training_set.labels, recipe, job.seed, team)
        augment = Augmenter(recipe.augmentation, training_set.crop_size, job.seed, epoch, device)
        state.begin_epoch(len(epoch.order))
        setup.network.train()
        for batch, position in epoch.load(setup.training, state.step, f"{job.run} fold {job.fold}"):
            crops = augment(batch.crops, position)
            state.optimizer.zero_grad(set_to_none=True)
            with autocast(device, recipe.precision):
                logits, _ = setup.network(channels_last(crops))
            losses = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
            weighted_loss(losses, batch.labels, recipe, team).backward()
            if recipe.gradient_clip > 0:
                nn.utils.clip_grad_norm_(state.model.parameters(), recipe.gradient_clip)
            state.step_on()
            state.record_step(position, logits, losses)
            # The clocks of a team would not agree: it saves only at the end of an epoch.
            if team.size == 1 and setup.checkpoints.is_due():
                check_losses(state.outcome[1], epoch, training_set.rows)
                save_checkpoint(setup)
        team.sum(state.outcome)
        check_losses(state.outcome[1], epoch, training_set.rows)
        probabilities, losses_on_host = state.end_epoch()
        setup.history.add("trn", state, epoch.labels, probabilities, losses_on_host)
        validate(setup)
        save_checkpoint(setup)
    best = metrics_of(state.history, state.best.epoch, "val")
    setup.logs.write_recipe(recipe, best, state.samples_seen)
    setup.logs.close()


def validate(setup: Setup) -> None:
    """Evaluate the epoch on the validation set; keep its weights if it is the best so far."""
    recipe, state, labels = setup.job.recipe, setup.state, setup.validation.dataset.labels
    predictions = predict(state.judged, setup.validation, setup.device, recipe.precision, team=setup.team)
    setup.logs.write_worst(
        state.samples_seen, worst_crops(setup.validation.dataset, predictions.probabilities)
    )
    row = setup.history.add("val", state, labels, *predictions)
    metric: str = recipe.select
    if row[metric] is None:
        log.warning("%s is not defined in epoch %d; %s is used instead", metric, state.epoch, FALLBACK_METRIC)
        metric = FALLBACK_METRIC
    value = row[metric]
    state.keep_if_best(None if value is None else float(value), metric, predictions.probabilities)


def worst_crops(dataset: LunaDataset, probabilities: FloatArray) -> dict[str, list[HuArray]]:
    """Crops of the negatives with the highest and the positives with the lowest probability."""
    order = probabilities.argsort(kind="stable")
    labels = dataset.labels[order]
    chosen = {"false_positive": order[labels == 0][::-1], "missed_nodule": order[labels == 1]}
    return {
        kind: [dataset.crop(index) for index in indices[:WORST_SHOWN]] for kind, indices in chosen.items()
    }


def save_checkpoint(setup: Setup) -> None:
    """Write a checkpoint, from the first process only.

    Weights that are not finite are never saved: the next step's loss, which is not finite either,
    then stops the training, and the last good state is kept.
    """
    if setup.team.is_first and setup.state.is_finite():
        setup.checkpoints.save(setup.state.state_dict())

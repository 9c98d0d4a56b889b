"""Test a trained model on its fold's held-out test series."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from luna.base.arrays import FloatArray
from luna.base.files import write_csv, write_record
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import explain_dead_workers, make_loader
from luna.config.evaluation import JudgingSettings, Scoring
from luna.config.machine import Machine
from luna.crops.sources import CropSource
from luna.data.folds import split_rows, tested_series
from luna.data.tables import read_stage_table
from luna.model.file import ModelFile
from luna.model.inference import predict
from luna.runtime.cores import usable_threads
from luna.runtime.device import prepared_device
from luna.scoring.assess import Truth, assess, match
from luna.scoring.calibration import fit_calibration
from luna.scoring.guarantee import guaranteed_threshold
from luna.scoring.metrics import best_threshold
from luna.scoring.predictions import PREDICTION_COLUMNS, predictions_table
from luna.scoring.records import Evaluation, Guarantee

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationJob:
    """A model with its predictions of the validation set, what it is tested against, where results go."""

    model_file: Path
    validation_file: Path
    annotations: pd.DataFrame
    excluded: pd.DataFrame | None
    scoring: Scoring
    judging: JudgingSettings
    predictions_file: Path
    evaluation_file: Path


def evaluate(
    job: EvaluationJob,
    machine: Machine,
    candidates: pd.DataFrame,
    series: pd.DataFrame,
    source: CropSource,
) -> None:
    """Write predictions.csv and evaluation.json of a model.

    candidates and series: rows of candidates.csv and series.csv. The test set is that of the
    model's fold; with the stride split, which has none, the validation set. Raises UserError when
    the model was made for larger crops.
    """
    trained = ModelFile.load(job.model_file)
    rows = split_rows(candidates, trained.fold, trained.split)
    leaks = trained.split.method == "stride"
    tested = rows.val if leaks else rows.tst
    flips = job.judging.flips
    parts = (tested, rows.val)[: 1 + flips]
    datasets = [LunaDataset(candidates, source, part, crop=trained.crop) for part in parts]
    with prepared_device(machine.device, usable_threads(machine.threads)) as device:
        probabilities = _predict(trained, datasets, flips, machine, device)
    # With mirror images the probabilities are others than those of the training's own validation.
    validation = (
        predictions_table(candidates, rows.val, probabilities[1])
        if flips
        else read_stage_table(job.validation_file, PREDICTION_COLUMNS)
    )
    labels, judged = validation["class"].to_numpy(), validation["probability"].to_numpy(dtype=float)
    threshold = best_threshold(labels, judged)
    guarantee = _guarantee(trained, validation, job.judging)
    calibration = fit_calibration(trained.recipe.calibration, labels, judged)
    predictions = predictions_table(candidates, tested, probabilities[0])
    predictions["calibrated"] = calibration.of(probabilities[0])
    uids = list(series["seriesuid"]) if leaks else tested_series(candidates, series, trained.fold)
    truth = Truth(uids, job.annotations, job.excluded, whole_series=not leaks)
    matches = match(predictions, truth, job.scoring)
    chosen = np.full(len(predictions), threshold)
    guaranteed = None if guarantee.threshold is None else np.full(len(predictions), guarantee.threshold)
    assessment = assess(predictions, matches, truth, chosen, job.scoring, guaranteed)
    evaluation = Evaluation(
        **dict(assessment),
        run=trained.run,
        fold=trained.fold,
        epoch=trained.epoch,
        threshold=threshold,
        guarantee=guarantee,
        split="val" if leaks else "tst",
        leaks=leaks,
        series_uids=uids,
        device=str(device),
        recipe=trained.recipe,
        split_settings=trained.split,
        seed=trained.seed,
    )
    write_csv(job.predictions_file, predictions)
    write_record(job.evaluation_file, evaluation)
    cpm = evaluation.froc.cpm
    log.info("%s fold %d: CPM %s", trained.run, trained.fold, "not defined" if cpm is None else f"{cpm:.4f}")


def _guarantee(trained: ModelFile, validation: pd.DataFrame, judging: JudgingSettings) -> Guarantee:
    """The threshold with a guarantee, where the validation series can give one."""
    reason = None
    if trained.split.method == "stride":
        reason = "with split method stride the series of validation and training are the same"
    elif trained.recipe.starts_from_file:
        reason = "it starts from weights of a file, which may have been trained on these series"
    if reason:
        return Guarantee(
            miss_rate=judging.miss_rate, confidence=judging.confidence, series=0, threshold=None, missed=None,
            why_none=reason,
        )  # fmt: skip
    return guaranteed_threshold(validation, judging.miss_rate, judging.confidence, trained.choices)


def _predict(
    trained: ModelFile,
    datasets: Sequence[LunaDataset],
    flips: bool,
    machine: Machine,
    device: torch.device,
) -> list[FloatArray]:
    """Probability of a nodule for each sample of each dataset, (n,)."""
    # Every sample is needed once: holding them on the device would gain nothing.
    kind = "threads" if machine.loader in ("auto", "device") else machine.loader
    model = trained.network(device)
    with explain_dead_workers():
        loaders = [make_loader(dataset, device, kind, machine.num_workers) for dataset in datasets]
        return [
            predict(model, loader, device, trained.recipe.precision, flips=flips).probabilities
            for loader in loaders
        ]

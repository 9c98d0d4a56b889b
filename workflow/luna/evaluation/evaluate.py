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
from luna.config.evaluation import Scoring
from luna.config.machine import Machine
from luna.crops.sources import CropSource
from luna.data.folds import split_rows, tested_series
from luna.model.file import ModelFile
from luna.model.inference import predict
from luna.runtime.cores import usable_threads
from luna.runtime.device import prepared_device
from luna.scoring.assess import Truth, assess, match, predictions_table
from luna.scoring.metrics import best_threshold
from luna.scoring.records import Evaluation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationJob:
    """A model, what it is tested against, and where the results go.

    flips: average over mirror images; the threshold is then chosen again on the validation set.
    """

    model_file: Path
    annotations: pd.DataFrame
    excluded: pd.DataFrame | None
    scoring: Scoring
    flips: bool
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
    parts = (tested, rows.val)[: 1 + job.flips]
    datasets = [LunaDataset(candidates, source, part, crop=trained.crop) for part in parts]
    with prepared_device(machine.device, usable_threads(machine.threads)) as device:
        probabilities = _predict(trained, datasets, job.flips, machine, device)
    predictions = predictions_table(candidates, tested, probabilities[0])
    threshold = best_threshold(datasets[1].labels, probabilities[1]) if job.flips else trained.threshold
    uids = list(series["seriesuid"]) if leaks else tested_series(candidates, series, trained.fold)
    truth = Truth(uids, job.annotations, job.excluded, whole_series=not leaks)
    matches = match(predictions, truth, job.scoring)
    assessment = assess(predictions, matches, truth, np.full(len(predictions), threshold), job.scoring)
    evaluation = Evaluation(
        **dict(assessment),
        run=trained.run,
        fold=trained.fold,
        epoch=trained.epoch,
        threshold=threshold,
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

"""What a finished training leaves: history.csv, validation.csv and model.pt."""

import os
from dataclasses import replace

import pandas as pd

from luna.base.errors import UserError
from luna.base.files import write_csv
from luna.batches.dataset import LunaDataset
from luna.data.tables import read_stage_table
from luna.model.file import ModelFile, copied
from luna.model.key import TrainingKey
from luna.scoring.calibration import fit_calibration
from luna.scoring.metrics import best_threshold
from luna.scoring.predictions import PREDICTION_COLUMNS
from luna.training.history import HISTORY_COLUMNS
from luna.training.job import TrainingJob
from luna.training.state import TrainingState


def is_finished(job: TrainingJob, key: TrainingKey) -> bool:
    """Whether the files are there already, made by a training with this very key."""
    if not (job.history_file.exists() and job.validation_file.exists()):
        return False
    try:
        trained = ModelFile.load(job.model_file)
    except UserError:
        return False
    return (trained.run, trained.fold, trained.key) == (job.run, job.fold, key)


def keep_results(job: TrainingJob) -> None:
    """Make a finished training's files newer than what they were made from.

    Where the recipe has another calibration now, the model is calibrated anew.
    """
    trained = ModelFile.load(job.model_file)
    if trained.recipe != job.recipe:
        validation = read_stage_table(job.validation_file, PREDICTION_COLUMNS)
        labels, probabilities = validation["class"].to_numpy(), validation["probability"].to_numpy()
        calibration = fit_calibration(job.recipe.calibration, labels, probabilities)
        replace(trained, recipe=job.recipe, calibration=calibration).save(job.model_file)
    for file in (job.history_file, job.validation_file, job.model_file):
        os.utime(file)


def write_results(
    job: TrainingJob, key: TrainingKey, state: TrainingState, samples: LunaDataset, validation: pd.DataFrame
) -> None:
    """Write history.csv, validation.csv, and model.pt with the best epoch's weights.

    validation: PREDICTION_COLUMNS for the validation samples, by the best epoch; empty without any epoch.
    """
    write_csv(job.history_file, pd.DataFrame(state.history, columns=HISTORY_COLUMNS))
    write_csv(job.validation_file, validation)
    labels, probabilities = validation["class"].to_numpy(), validation["probability"].to_numpy()
    model_file = ModelFile(
        weights=copied(state.best_weights),
        crop=samples.crop_size,
        clip=samples.source.settings.clip,
        threshold=best_threshold(labels, probabilities),
        calibration=fit_calibration(job.recipe.calibration, labels, probabilities),
        choices=_choices(job),
        epoch=state.best.epoch,
        run=job.run,
        fold=job.fold,
        recipe=job.recipe,
        split=job.split,
        seed=job.seed,
        key=key,
    )
    model_file.save(job.model_file)


def _choices(job: TrainingJob) -> int:
    """From how many models the validation set chose: epochs, times the choices of the run it starts from."""
    before = ModelFile.load(job.weights_of_run).choices if job.weights_of_run else 1
    return before * max(1, job.recipe.epochs)

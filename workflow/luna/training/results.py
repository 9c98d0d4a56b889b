"""What a finished training leaves: history.csv and model.pt."""

import os

import pandas as pd

from luna.base.errors import UserError
from luna.base.files import write_csv
from luna.batches.dataset import LunaDataset
from luna.model.file import ModelFile, copied
from luna.model.key import TrainingKey
from luna.training.history import HISTORY_COLUMNS
from luna.training.job import TrainingJob
from luna.training.state import TrainingState


def is_finished(job: TrainingJob, key: TrainingKey) -> bool:
    """Whether model.pt and history.csv are there already, made by a training with this very key."""
    if not job.history_file.exists():
        return False
    try:
        trained = ModelFile.load(job.model_file)
    except UserError:
        return False
    return (trained.run, trained.fold, trained.key) == (job.run, job.fold, key)


def mark_as_new(job: TrainingJob) -> None:
    """Make a finished training's files newer than what they were made from."""
    os.utime(job.history_file)
    os.utime(job.model_file)


def write_results(job: TrainingJob, key: TrainingKey, state: TrainingState, samples: LunaDataset) -> None:
    """Write history.csv, and model.pt with the best epoch's weights."""
    write_csv(job.history_file, pd.DataFrame(state.history, columns=HISTORY_COLUMNS))
    model_file = ModelFile(
        weights=copied(state.best_weights),
        crop=samples.crop_size,
        clip=samples.source.settings.clip,
        threshold=state.best.threshold,
        calibration=state.best.calibration,
        epoch=state.best.epoch,
        run=job.run,
        fold=job.fold,
        recipe=job.recipe,
        split=job.split,
        seed=job.seed,
        key=key,
    )
    model_file.save(job.model_file)

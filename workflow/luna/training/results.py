"""What a finished training leaves: history.csv and model.pt."""

import pandas as pd

from luna.base.files import write_csv
from luna.config.cache import CropSettings
from luna.model.file import ModelFile, copied
from luna.training.history import HISTORY_COLUMNS
from luna.training.job import TrainingJob
from luna.training.state import TrainingState


def write_results(job: TrainingJob, state: TrainingState, settings: CropSettings, data: str) -> None:
    """Write history.csv, and model.pt with the best epoch's weights. data: digest of the samples."""
    write_csv(job.history_file, pd.DataFrame(state.history, columns=HISTORY_COLUMNS))
    model_file = ModelFile(
        weights=copied(state.best_weights),
        crop=settings.crop,
        clip=settings.clip,
        threshold=state.best.threshold,
        epoch=state.best.epoch,
        run=job.run,
        fold=job.fold,
        recipe=job.recipe,
        split=job.split,
        seed=job.seed,
        code=job.code,
        data=data,
    )
    model_file.save(job.model_file)

"""Test a trained model on the series of its fold that chose nothing."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.crops import CropSource
from luna.dataset import LunaDataset
from luna.device import prepare_device
from luna.fileio import write_csv, write_json
from luna.inference import load_model_file, model_from_file, predict
from luna.judging import Scoring, Truth, judge, predictions_table
from luna.loader import dead_workers_told, make_loader
from luna.metrics import best_threshold
from luna.program import UserError
from luna.tables import fold_subsets, split_rows
from luna.training import Machine

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationJob:
    """A model, the data it is tested with, and where the results go.

    flips: average over mirror images; the threshold is then chosen anew on the validation set.
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
    the model was made for other crops.
    """
    model_file = load_model_file(job.model_file)
    if tuple(model_file["crop"]) != tuple(source.settings.crop):
        raise UserError(
            f"{job.model_file}: made for crops of {model_file['crop']} voxels, the cache has"
            f" {list(source.settings.crop)}; train it again or set cache.crop"
        )
    device = prepare_device(machine.device, machine.threads)
    model = model_from_file(model_file, device)
    split, fold = model_file["split"], model_file["fold"]
    leaks = split["method"] == "stride"
    rows = split_rows(candidates, fold, **split)
    tested = rows["val" if leaks else "tst"]

    def predicted(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        # Every sample is needed once: nothing is gained by holding them on the device.
        kind = "threads" if machine.loader in ("auto", "device") else machine.loader
        loader = make_loader(LunaDataset(candidates, source, chosen), device, kind, machine.num_workers)
        with dead_workers_told():
            precision = model_file["recipe"]["precision"]
            return predict(model, loader, device, precision, flips=job.flips).probabilities

    probabilities = predicted(tested)
    threshold = model_file["threshold"]
    if job.flips:
        labels = candidates["class"].to_numpy()[rows["val"]]
        threshold = best_threshold(labels, predicted(rows["val"]))
    predictions = predictions_table(candidates, tested, probabilities)
    uids = tested_series(candidates, series, fold, leaks)
    judged: dict[str, Any] = {
        "run": model_file["run"],
        "fold": fold,
        "epoch": model_file["epoch"],
        "threshold": threshold,
        "split": "val" if leaks else "tst",
        "leaks": leaks,
        "series_uids": uids,
        "device": str(device),
    }
    judged |= judge(
        predictions,
        Truth(uids, job.annotations, job.excluded),
        np.full(len(uids), threshold),
        job.scoring,
    )
    write_csv(job.predictions_file, predictions)
    write_json(job.evaluation_file, judged)
    cpm = judged["froc"]["cpm"]
    log.info("%s fold %d: CPM %s", judged["run"], fold, "not defined" if cpm is None else f"{cpm:.4f}")


def tested_series(candidates: pd.DataFrame, series: pd.DataFrame, fold: int, leaks: bool) -> list[str]:
    """The series that count in a fold's test, those without a candidate included, in table order."""
    if leaks:
        return list(series["seriesuid"])
    moved = candidates.drop_duplicates("seriesuid").set_index("seriesuid")["subset"]
    subset = series["seriesuid"].map(moved).fillna(series["subset"]).astype(int)
    tested = fold_subsets(fold, [int(n) for n in candidates["subset"].unique()])["tst"]
    return list(series["seriesuid"][subset.isin(tested)])

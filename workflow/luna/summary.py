"""Bring the results of all runs and folds together."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from luna.fileio import read_json, write_csv, write_json
from luna.froc import Matches, match_marks
from luna.judging import Scoring, Truth, compare_cpm, judge
from luna.metrics import COUNTS, NAMES
from luna.program import UserError

METRICS_COLUMNS = ["run", "fold", "epoch", "split", "samples_seen", *COUNTS, *NAMES]
"""A row a run, fold, epoch and split: trn and val for every epoch, tst once for the chosen one."""


def summarise(
    run_folders: dict[str, list[Path]],
    annotations: pd.DataFrame,
    excluded: pd.DataFrame | None,
    scoring: Scoring,
    out: Path,
) -> None:
    """Write metrics.csv, summary.csv and summary.json into `out`.

    run_folders: for each run the folders of its folds, which hold history.csv, predictions.csv and
    evaluation.json. A run's folds are joined, as the challenge does, before they are scored.
    """
    histories, runs, matches = [], {}, {}
    for run, folders in run_folders.items():
        evaluations = [read_json(folder / "evaluation.json") for folder in folders]
        for folder, evaluation in zip(folders, evaluations, strict=True):
            history = read_history(folder / "history.csv")
            histories.append(pd.concat([history, _tested(evaluation, history)]))
        runs[run], matches[run] = _joined(folders, evaluations, annotations, excluded, scoring)
    write_csv(out / "metrics.csv", pd.concat(histories)[METRICS_COLUMNS])
    write_csv(out / "summary.csv", pd.DataFrame([_summary_row(run, each) for run, each in runs.items()]))
    comparisons = [
        {"first": first, "second": second} | compare_cpm(matches[first], matches[second], scoring)
        for first, second in combinations(runs, 2)
    ]
    write_json(out / "summary.json", {"runs": runs, "comparisons": comparisons})


def read_history(path: Path) -> pd.DataFrame:
    """history.csv of a training. Raises UserError when it is missing."""
    try:
        return pd.read_csv(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; train first") from error


def _tested(evaluation: dict[str, Any], history: pd.DataFrame) -> pd.DataFrame:
    """The test row of a fold; none where the split has no test set."""
    if evaluation["split"] != "tst":
        return history[:0]
    seen = history.loc[history["epoch"] == evaluation["epoch"], "samples_seen"]
    row = {name: evaluation[name] for name in ("run", "fold", "epoch", "split")}
    row["samples_seen"] = int(seen.iloc[0]) if len(seen) else 0
    return pd.DataFrame([row | evaluation["figures"]])


def _joined(
    folders: list[Path],
    evaluations: list[dict[str, Any]],
    annotations: pd.DataFrame,
    excluded: pd.DataFrame | None,
    scoring: Scoring,
) -> tuple[dict[str, Any], Matches]:
    threshold = {
        uid: evaluation["threshold"] for evaluation in evaluations for uid in evaluation["series_uids"]
    }
    predictions = pd.concat(
        pd.read_csv(folder / "predictions.csv", dtype={"seriesuid": str}) for folder in folders
    ).drop_duplicates("id")
    truth = Truth(list(threshold), annotations, excluded)
    judged = judge(predictions, truth, np.array(list(threshold.values())), scoring)
    judged["series_uids"] = truth.series_uids
    judged["folds"] = [evaluation["fold"] for evaluation in evaluations]
    judged["epochs"] = [evaluation["epoch"] for evaluation in evaluations]
    judged["thresholds"] = [evaluation["threshold"] for evaluation in evaluations]
    judged["leaks"] = any(evaluation["leaks"] for evaluation in evaluations)
    matches = match_marks(predictions, annotations, truth.series_uids, excluded, scoring.max_marks)
    return judged, matches


def _summary_row(run: str, judged: dict[str, Any]) -> dict[str, Any]:
    froc, values, intervals = judged["froc"], judged["figures"], judged["intervals"]
    chosen = judged["at_threshold"]["chosen"]
    row = {
        "run": run,
        "folds": " ".join(map(str, judged["folds"])),
        "scans": froc["scans"],
        "nodules": froc["nodules"],
        "candidates": values["samples"],
        "cpm": froc["cpm"],
        "cpm_lower": froc["cpm_lower"],
        "cpm_upper": froc["cpm_upper"],
    }
    row |= {f"sensitivity_at_{rate}": value for rate, value in froc["sensitivity"].items()}
    for name, value in (
        ("auc", values["auc"]), ("average_precision", values["average_precision"]),
        ("precision", chosen["precision"]), ("recall", chosen["recall"]), ("f1", chosen["f1"]),
        ("brier", judged["brier"]),
    ):  # fmt: skip
        row |= {name: value, f"{name}_lower": intervals[name][0], f"{name}_upper": intervals[name][1]}
    row["calibration_error"] = judged["calibration_error"]
    row |= {name: values[name] for name in ("correct/all", "correct/neg", "correct/pos")}
    return row

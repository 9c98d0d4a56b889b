"""Summarise the results of all runs and folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from luna.base.files import read_record, write_csv, write_record
from luna.config.evaluation import Scoring
from luna.data.tables import read_stage_table
from luna.scoring.assess import Truth, assess, compare_cpm, corrected, cpm_samples, match
from luna.scoring.froc import Matches
from luna.scoring.metrics import COUNTS, NAMES
from luna.scoring.predictions import TESTED_COLUMNS
from luna.scoring.records import Comparison, Evaluation, Reliability, RunSummary, Summary

Cells = dict[str, str | int | float | None]

Tested = dict[str, list[tuple[Evaluation, pd.DataFrame]]]
"""Each run's folds: their evaluations and predictions."""

METRICS_COLUMNS = ["run", "fold", "epoch", "split", "samples_seen", *COUNTS, *NAMES]
"""One row per run, fold, epoch and split: trn and val for every epoch, tst once for the best one."""


@dataclass(frozen=True)
class SummaryFiles:
    """Where the summary goes."""

    metrics: Path
    table: Path
    record: Path


def summarise(
    folders: Sequence[Path],
    annotations: pd.DataFrame,
    excluded: pd.DataFrame | None,
    scoring: Scoring,
    out: SummaryFiles,
) -> None:
    """Write metrics.csv, summary.csv and summary.json.

    folders: one per run and fold, with history.csv, predictions.csv and evaluation.json. A run's folds
    are joined before they are scored, as the challenge does.
    """
    histories, runs, samples = [], {}, []
    tested: Tested = {}
    for folder in folders:
        evaluation = read_record(folder / "evaluation.json", Evaluation)
        history = read_stage_table(folder / "history.csv", METRICS_COLUMNS)
        histories.append(pd.concat([history, _test_row(evaluation, history)]))
        predictions = read_stage_table(folder / "predictions.csv", TESTED_COLUMNS)
        tested.setdefault(evaluation.run, []).append((evaluation, predictions))
    chosen = _thresholds(tested)
    for run, folds in tested.items():
        runs[run], matches = _joined(folds, annotations, excluded, scoring, chosen)
        samples.append(cpm_samples(run, matches, scoring))
    comparisons = corrected([compare_cpm(*pair) for pair in combinations(samples, 2)])
    write_csv(out.metrics, pd.concat(histories)[METRICS_COLUMNS])
    write_csv(out.table, pd.DataFrame([_table_row(run, each, comparisons) for run, each in runs.items()]))
    write_record(out.record, Summary(bootstrap=scoring.bootstrap, runs=runs, comparisons=comparisons))


def _thresholds(tested: Tested) -> set[float]:
    """Those that were chosen for any run and fold."""
    evaluations = [evaluation for folds in tested.values() for evaluation, _ in folds]
    guaranteed = [each.guarantee.threshold for each in evaluations]
    return {each.threshold for each in evaluations} | {each for each in guaranteed if each is not None}


def _test_row(evaluation: Evaluation, history: pd.DataFrame) -> pd.DataFrame:
    """The test row of a fold; none where the split has no test set."""
    if evaluation.split != "tst":
        return history[:0]
    seen = history.loc[history["epoch"] == evaluation.epoch, "samples_seen"]
    row = {
        "run": evaluation.run, "fold": evaluation.fold, "epoch": evaluation.epoch,
        "split": evaluation.split, "samples_seen": int(seen.iloc[0]) if len(seen) else 0,
    }  # fmt: skip
    return pd.DataFrame([row | evaluation.metrics])


def _joined(
    folds: list[tuple[Evaluation, pd.DataFrame]],
    annotations: pd.DataFrame,
    excluded: pd.DataFrame | None,
    scoring: Scoring,
    thresholds: set[float],
) -> tuple[RunSummary, Matches]:
    evaluations = [evaluation for evaluation, _ in folds]
    leaks = any(evaluation.leaks for evaluation in evaluations)
    uids = list(dict.fromkeys(uid for evaluation in evaluations for uid in evaluation.series_uids))
    truth = Truth(uids, annotations, excluded, whole_series=not leaks)
    guarantees = [evaluation.guarantee for evaluation in evaluations]
    predictions = pd.concat(
        table.assign(threshold=fold.threshold, guaranteed=fold.guarantee.threshold) for fold, table in folds
    )
    predictions = predictions.drop_duplicates("id")
    matches = match(predictions, truth, scoring)
    has_guarantee = all(each.threshold is not None for each in guarantees)
    assessment = assess(
        predictions, matches, truth, predictions["threshold"].to_numpy(), scoring,
        predictions["guaranteed"].to_numpy(dtype=float) if has_guarantee else None, thresholds,
    )  # fmt: skip
    summary = RunSummary(
        **dict(assessment),
        folds=[evaluation.fold for evaluation in evaluations],
        epochs=[evaluation.epoch for evaluation in evaluations],
        thresholds=[evaluation.threshold for evaluation in evaluations],
        guarantees=guarantees,
        leaks=leaks,
        series_uids=uids,
        recipe=evaluations[0].recipe,
        split_settings=evaluations[0].split_settings,
        seed=evaluations[0].seed,
    )
    return summary, matches


def _table_row(run: str, summary: RunSummary, comparisons: list[Comparison]) -> Cells:
    froc, chosen = summary.froc, summary.at_threshold["chosen"]
    row: Cells = {
        "run": run,
        "folds": " ".join(map(str, summary.folds)),
        "scans": froc.scans,
        "nodules": froc.nodules,
        "candidates": summary.metrics["samples"],
        "cpm": froc.cpm,
        "cpm_lower": froc.cpm_lower,
        "cpm_upper": froc.cpm_upper,
    }
    row |= {f"sensitivity_at_{rate}": value for rate, value in froc.sensitivity.items()}
    for name, value in (
        ("auc", summary.metrics["auc"]), ("average_precision", summary.metrics["average_precision"]),
        ("precision", chosen.precision), ("recall", chosen.recall), ("f1", chosen.f1),
    ):  # fmt: skip
        lower, upper = summary.intervals[name]
        row |= {name: value, f"{name}_lower": lower, f"{name}_upper": upper}
    row |= _reliability_cells("", summary.reliability["raw"])
    row |= _reliability_cells("calibrated_", summary.reliability["calibrated"])
    row |= {name: summary.metrics[name] for name in ("correct/all", "correct/neg", "correct/pos")}
    return row | _comparison_cells(run, comparisons)


def _reliability_cells(prefix: str, each: Reliability) -> dict[str, float | None]:
    """Columns of one kind of probabilities."""
    cells: dict[str, float | None] = {}
    for name, value, (lower, upper) in (
        ("brier", each.brier, each.brier_interval),
        ("calibration_error", each.calibration_error, each.calibration_error_interval),
    ):
        cells |= {f"{prefix}{name}": value, f"{prefix}{name}_lower": lower, f"{prefix}{name}_upper": upper}
    return cells


def _comparison_cells(run: str, comparisons: list[Comparison]) -> dict[str, str]:
    """The other runs, by what can be said of their CPM against this run's; names with blanks between."""
    better, worse, unclear = [], [], []
    for each in comparisons:
        if run not in (each.first, each.second) or each.p_holm is None:
            continue
        other = each.second if each.first == run else each.first
        if not each.is_real:
            unclear.append(other)
        elif ((each.difference or 0) > 0) == (each.first == run):
            better.append(other)
        else:
            worse.append(other)
    columns = {"better_than": better, "worse_than": worse, "not_distinguishable_from": unclear}
    return {column: " ".join(names) for column, names in columns.items()}

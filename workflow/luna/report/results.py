"""The stages' files, read for the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from luna.base.files import read_record
from luna.config.sweeps import SweepRuns
from luna.data.records import Listing, Verification
from luna.data.tables import LISTED_COLUMNS, SERIES_COLUMNS, read_stage_table
from luna.scoring.metrics import NAMES
from luna.scoring.predictions import TESTED_COLUMNS
from luna.scoring.records import Evaluation, RunSummary, Summary
from luna.scoring.saliency import Saliency


class StageCost(NamedTuple):
    """The jobs of a stage: their number, their seconds together, their highest memory in MB."""

    stage: str
    jobs: int
    seconds: float
    mb: float


@dataclass(frozen=True)
class Results:
    """Everything that the report is made of: the stages' files, read."""

    verification: Verification
    listing: Listing
    summary: Summary
    metrics: pd.DataFrame
    candidates: pd.DataFrame
    series: pd.DataFrame
    predictions: dict[str, pd.DataFrame]
    saliency: dict[str, Saliency]
    stages: list[StageCost]
    sweeps: dict[str, SweepRuns]

    @property
    def runs(self) -> dict[str, RunSummary]:
        """The runs by name, best CPM first."""
        return dict(sorted(self.summary.runs.items(), key=lambda item: -(item[1].froc.cpm or -1.0)))


@dataclass(frozen=True)
class ResultFiles:
    """Where the stages' files are.

    folders: one per run and fold. benchmarks: Snakemake's of the workflow's jobs; jobs that have not
    run have none.
    """

    verification: Path
    listing: Path
    summary: Path
    metrics: Path
    candidates: Path
    series: Path
    folders: list[Path]
    benchmarks: list[Path]


Tested = tuple[Path, Evaluation]
"""The folder of a run's fold, and its evaluation.json."""


def read_results(files: ResultFiles, sweeps: dict[str, SweepRuns], saliency: bool = True) -> Results:
    """Read the workflow's results, with saliency or not. Raises UserError for a file that is missing."""
    tested = [(folder, read_record(folder / "evaluation.json", Evaluation)) for folder in files.folders]
    return Results(
        verification=read_record(files.verification, Verification),
        listing=read_record(files.listing, Listing),
        summary=read_record(files.summary, Summary),
        metrics=read_stage_table(files.metrics, ["run", "fold", "epoch", "split", *NAMES]),
        candidates=read_stage_table(files.candidates, LISTED_COLUMNS),
        series=read_stage_table(files.series, SERIES_COLUMNS),
        predictions=read_predictions(tested),
        saliency=read_saliency(tested) if saliency else {},
        stages=_stage_costs(files.benchmarks),
        sweeps=sweeps,
    )


def read_predictions(tested: list[Tested]) -> dict[str, pd.DataFrame]:
    """The predictions of each run, those of its folds joined, with a column `fold`."""
    of_run: dict[str, list[pd.DataFrame]] = {}
    for folder, evaluation in tested:
        table = read_stage_table(folder / "predictions.csv", TESTED_COLUMNS)
        of_run.setdefault(evaluation.run, []).append(table.assign(fold=evaluation.fold))
    return {run: pd.concat(tables).drop_duplicates("id") for run, tables in of_run.items()}


def read_saliency(tested: list[Tested]) -> dict[str, Saliency]:
    """The saliency maps of each run, those of its folds joined."""
    of_run: dict[str, list[Saliency]] = {}
    for folder, evaluation in tested:
        of_run.setdefault(evaluation.run, []).append(Saliency.load(folder / "saliency.npz"))
    return {run: Saliency.joined(each) for run, each in of_run.items()}


def _stage_costs(files: list[Path]) -> list[StageCost]:
    """The cost of each stage from Snakemake's benchmark files."""
    rows = []
    for path in files:
        if not path.exists():
            continue
        table = pd.read_csv(path, sep="\t", na_values="-")
        stage = path.stem.split("_subset")[0]
        rows.append({"stage": stage, "seconds": table["s"].sum(), "mb": table["max_rss"].max()})
    if not rows:
        return []
    grouped = pd.DataFrame(rows).groupby("stage", sort=False)
    table = grouped.agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), mb=("mb", "max"))
    return [StageCost(*row) for row in table.fillna(0).reset_index().itertuples(index=False)]

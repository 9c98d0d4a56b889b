"""The report: one page that opens offline."""

import json
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
import pandas as pd

from luna.base.files import write_text
from luna.config.report import ReportSettings
from luna.crops.sources import CropSource
from luna.imaging.planes import LUNG_WINDOW_HU, three_planes
from luna.pages.png import png
from luna.pages.render import render
from luna.report import plots
from luna.report.findings import findings, recipe_differences
from luna.report.results import Results
from luna.scoring.assess import PREDICTION_COLUMNS

_PACKAGES = ("torch", "SimpleITK", "numpy", "pandas", "scikit-learn", "numcodecs")


def write_report(results: Results, crops: CropSource, settings: ReportSettings, out: Path) -> None:
    """Write the page to `out`."""
    recipes = {run: summary.recipe for run, summary in results.summary.runs.items()}
    first = next(iter(results.summary.runs.values()))
    values = {
        "results": results,
        "runs": results.runs,
        "findings": findings(results),
        "recipes": recipes,
        "split": first.split_settings,
        "folds": first.folds,
        "seed": first.seed,
        "differences": recipe_differences(recipes),
        "recipes_text": json.dumps({run: recipe.model_dump(mode="json") for run, recipe in recipes.items()}),
        "pictures": _pictures(results, crops, settings.crops),
        "plots": _plots(results),
        "comparisons": results.summary.comparisons,
        "versions": {"Python": python_version()} | {name: version(name) for name in _PACKAGES},
        "window": LUNG_WINDOW_HU,
    }
    filters = {"figure": figure_text, "interval": interval_text}
    write_text(out, render("report.html.j2", values, filters))


def figure_text(value: float | None, digits: int = 3) -> str:
    """A value as text, or `not defined`."""
    return "not defined" if value is None else f"{value:.{digits}f}"


def interval_text(bounds: tuple[float | None, float | None]) -> str:
    """` (lower to upper)`, or nothing where the interval is not defined."""
    lower, upper = bounds
    return "" if lower is None or upper is None else f"{lower:.3f} to {upper:.3f}"


def _plots(results: Results) -> dict[str, str]:
    runs = results.summary.runs
    samples = {
        run: (predictions["class"].to_numpy(), predictions["probability"].to_numpy())
        for run, predictions in results.predictions.items()
    }
    history = results.metrics[results.metrics["split"].isin(["trn", "val"])]
    best = {run: summary.epochs[0] for run, summary in runs.items() if len(summary.epochs) == 1}
    roc, pr = plots.roc_and_pr(samples)
    return {
        "loss": plots.learning_curves(history, "loss/all", best),
        "recall": plots.learning_curves(history, "recall", best),
        "auc": plots.learning_curves(history, "auc", best),
        "froc": plots.froc_curves({run: each.froc for run, each in runs.items()}),
        "roc": roc,
        "pr": pr,
        "calibration": plots.calibration_curves({run: each.reliability["calibrated"].bins for run, each in runs.items()}),
        "size": plots.size_bars({run: each.by_size for run, each in runs.items()}),
    }


def _pictures(results: Results, crops: CropSource, worst: int) -> dict[str, dict[str, list[Any]]]:
    """For each run the worst false positives and the nodules it is least sure of, with their crops."""
    shown = {}
    for run, predictions in results.predictions.items():
        negative = predictions[predictions["class"] == 0].nlargest(worst, "probability", keep="first")
        positive = predictions[predictions["class"] == 1].nsmallest(worst, "probability", keep="first")
        shown[run] = {
            "false_positives": [_picture(row, crops, results.candidates) for row in _rows(negative)],
            "missed": [_picture(row, crops, results.candidates) for row in _rows(positive)],
        }
    return shown


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table[PREDICTION_COLUMNS].to_dict("records")


def _picture(row: dict[str, Any], crops: CropSource, candidates: pd.DataFrame) -> dict[str, Any]:
    block = np.empty(crops.settings.block, dtype=np.int16)
    crops.read(int(row["id"]), block)
    place = candidates.iloc[int(row["id"])]
    return row | {
        "image": png(three_planes(block[crops.settings.middle])),
        "irc": [int(place[name]) for name in ("index", "row", "col")],
    }

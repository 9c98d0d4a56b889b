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
from luna.config.section import plain_values_of
from luna.crops.sources import CropSource, crop_of
from luna.imaging.planes import LUNG_WINDOW_HU, three_planes
from luna.pages.png import png
from luna.pages.render import render, text_of
from luna.pages.security import content_security_policy
from luna.report.charts import embedded_json, vega_bundle
from luna.report.explore import exploration
from luna.report.figures import figures
from luna.report.findings import findings, p_text, recipe_differences
from luna.report.results import Results
from luna.scoring.predictions import PREDICTION_COLUMNS
from luna.scoring.records import SIGNIFICANCE, RunSummary
from luna.scoring.saliency import Saliency

_ALIKE = 0.5
"""Rank correlation with maps of random weights above which a map says little of the model."""
_PACKAGES = ("torch", "SimpleITK", "numpy", "pandas", "scipy", "numcodecs")


def write_report(results: Results, crops: CropSource, settings: ReportSettings, out: Path) -> None:
    """Write the page to `out`."""
    recipes = {run: summary.recipe for run, summary in results.summary.runs.items()}
    first = next(iter(results.summary.runs.values()))
    explored = exploration(results, crops, settings.negatives)
    style = text_of("style.css", "viewer.css", "report.css")
    scripts = [vega_bundle(), "(() => {" + text_of("viewer.js", "report.js") + "})();"]
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
        "charts": figures(results),
        "exploration": explored,
        "exploration_json": embedded_json(explored.model_dump(mode="json")),
        "negatives": settings.negatives,
        "saliency_words": saliency_words(results.saliency),
        "comparisons": results.summary.comparisons,
        "significance": SIGNIFICANCE,
        "versions": {"Python": python_version()} | {name: version(name) for name in _PACKAGES},
        "window": LUNG_WINDOW_HU,
        "style": style,
        "scripts": scripts,
        "policy": content_security_policy(scripts, [style]),
    }
    filters = {
        "figure": figure_text, "interval": interval_text, "threshold_words": threshold_words,
        "guarantee_words": guarantee_words,
        "p": p_text,
        "value_at": lambda recipe, key: plain_values_of(recipe)[key],
    }  # fmt: skip
    write_text(out, render("report.html.j2", values, filters))


def figure_text(value: float | None, digits: int = 3) -> str:
    """A value as text, or `not defined`."""
    return "not defined" if value is None else f"{value:.{digits}f}"


def interval_text(bounds: tuple[float | None, float | None]) -> str:
    """` (lower to upper)`, or nothing where the interval is not defined."""
    lower, upper = bounds
    return "" if lower is None or upper is None else f"{lower:.3f} to {upper:.3f}"


def threshold_words(summary: RunSummary, name: str) -> str:
    """The name of a decision with the thresholds of the folds."""
    if name == "half":
        return "0.5"
    values = summary.thresholds if name == "chosen" else [each.threshold for each in summary.guarantees]
    return f"{name}: {', '.join(f'{each:.3g}' for each in values if each is not None)}"


def guarantee_words(summary: RunSummary) -> str:
    """The threshold with a guarantee of each fold, or why there is none."""
    first = summary.guarantees[0]
    promise = (
        f"series miss on average at most {100 * first.miss_rate:g} % of their candidate nodules, with a"
        f" confidence of {100 * first.confidence:g} %"
    )
    if all(each.threshold is None for each in summary.guarantees):
        reasons = dict.fromkeys(each.why_none for each in summary.guarantees if each.why_none)
        return f"no threshold can promise that {promise}: {'; '.join(reasons)}."
    each_fold = [
        f"fold {fold}: none ({each.why_none})"
        if each.threshold is None
        else f"fold {fold}: {each.threshold:.3g} (on the validation subset {100 * (each.missed or 0):.1f} %"
        " were missed)"
        for fold, each in zip(summary.folds, summary.guarantees, strict=True)
    ]
    return f"above these thresholds {promise}: {'; '.join(each_fold)}."


def saliency_words(saliency: dict[str, Saliency]) -> str:
    """How much the maps depend on the weights."""
    known = {run: each.agreement for run, each in saliency.items() if np.isfinite(each.agreement)}
    if not known:
        return ""
    each = ", ".join(f"{run} {value:.2f}" for run, value in known.items())
    alike = [run for run, value in known.items() if value > _ALIKE]
    warning = f" So do not read much into the maps of {', '.join(alike)}." if alike else ""
    return (
        "The maps depend on what was learned as far as they differ from those of random weights;"
        f" their rank correlation (0: nothing in common, 1: the same) is {each}.{warning}"
    )


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
    place = candidates.iloc[int(row["id"])]
    return row | {
        "image": png(three_planes(crop_of(crops, int(row["id"])))),
        "irc": [int(place[name]) for name in ("index", "row", "col")],
    }

"""The report: one page that opens offline and says in plain words what came out."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
import pandas as pd

from luna import plots
from luna.config import flat
from luna.crops import CachedCrops, CropSettings, CropSource, DirectCrops
from luna.fileio import read_json, write_text
from luna.froc import Froc, match_marks
from luna.judging import PREDICTION_COLUMNS
from luna.pages import render
from luna.pictures import LUNG_WINDOW_HU, png, three_planes
from luna.tables import read_annotations

_PACKAGES = ("torch", "snakemake", "SimpleITK", "numpy", "pandas", "scikit-learn", "numcodecs")
_FEW_NODULES = 20


@dataclass(frozen=True)
class Results:
    """All the report is made of: the stages' files, read."""

    config: dict[str, Any]
    verification: dict[str, Any]
    listing: dict[str, Any]
    summary: dict[str, Any]
    metrics: pd.DataFrame
    candidates: pd.DataFrame
    series: pd.DataFrame
    predictions: dict[str, pd.DataFrame]
    benchmarks: list[dict[str, Any]]

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The judged runs by name, best CPM first."""
        ranked = sorted(self.summary["runs"].items(), key=lambda item: -(item[1]["froc"]["cpm"] or -1.0))
        return dict(ranked)


def read_results(folder: Path, config: dict[str, Any]) -> Results:
    """Read the workflow's results. Raises UserError for a file that is missing."""
    summary = read_json(folder / "summary.json")
    return Results(
        config=config,
        verification=read_json(folder / "verification.json"),
        listing=read_json(folder / "candidates.json"),
        summary=summary,
        metrics=pd.read_csv(folder / "metrics.csv"),
        candidates=pd.read_csv(folder / "candidates.csv", dtype={"seriesuid": str}),
        series=pd.read_csv(folder / "series.csv", dtype={"seriesuid": str}),
        predictions={
            run: pd.concat(
                pd.read_csv(
                    folder / "runs" / run / f"fold{fold}" / "predictions.csv", dtype={"seriesuid": str}
                )
                for fold in judged["folds"]
            ).drop_duplicates("id")
            for run, judged in summary["runs"].items()
        },
        benchmarks=_benchmarks(folder / "benchmarks"),
    )


def write_report(results: Results, crops: CropSource, worst: int, annotations_file: Path, out: Path) -> None:
    """Write the page to `out`. `worst`: how many crops of each kind of mistake are shown for a run."""
    values = {
        "results": results,
        "runs": results.runs,
        "findings": findings(results),
        "differences": recipe_differences(results.config["runs"]),
        "pictures": _pictures(results, crops, worst),
        "plots": _plots(results, annotations_file),
        "comparisons": results.summary["comparisons"],
        "versions": {"Python": python_version()} | {name: version(name) for name in _PACKAGES},
        "window": LUNG_WINDOW_HU,
        "json": lambda value: json.dumps(value),
        "colours": [plots.colour(number) for number in range(len(results.runs))],
    }
    filters = {"figure": figure_text, "interval": interval_text}
    page = render("report.html.j2", values, filters)
    write_text(out, page)


def crop_source_for(results: Results, folder: Path) -> CropSource:
    """Where the report's crops come from: the cache or the CTs, as the config says."""
    settings = CropSettings.from_config(results.config["cache"])
    if results.config["cache"]["source"] == "none":
        return DirectCrops(results.candidates, results.series, settings)
    return CachedCrops(results.candidates, folder / "cache" / "crops", settings)


def findings(results: Results) -> list[tuple[str, str]]:
    """What stands out, as (`warning` or `note`, sentence)."""
    found: list[tuple[str, str]] = []
    for run, judged in results.runs.items():
        found += [("warning", text) for text in _run_warnings(run, judged)]
        if turn := _turning_point(results.metrics, run):
            found.append(("note", turn))
    found += _few_nodules(results.runs)
    found += [("note", text) for text in _comparison_sentences(results.summary["comparisons"])]
    split = results.listing["patients_in_two_subsets"]
    for patient, uids in split.items():
        subsets = " and ".join(map(str, sorted(uids.values())))
        found.append(
            ("warning", f"Leak: patient {patient} has series in subsets {subsets}, so in some fold the"
             " patient is on both sides. Set split.keep_patients_together to prevent it.")
        )  # fmt: skip
    for level, kind in (("problems", "warning"), ("warnings", "note")):
        count = len(results.verification[level])
        if count:
            each = results.verification[level][0]
            found.append(
                (kind, f"Verification found {count} {level[:-1] if count == 1 else level} in the data,"
                 f" the first: {each['where']}: {each['text']}.")
            )  # fmt: skip
    return found


def recipe_differences(runs: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The recipes' keys that are not the same in every run: key -> run -> value as text."""
    values = {run: {key: str(value) for key, value in flat(recipe).items()} for run, recipe in runs.items()}
    keys = list(next(iter(values.values())))
    return {
        key: {run: values[run][key] for run in values}
        for key in keys
        if len({values[run][key] for run in values}) > 1 or len(values) == 1
    }


def figure_text(value: float | None, digits: int = 3) -> str:
    """A figure, or `not defined`."""
    return "not defined" if value is None else f"{value:.{digits}f}"


def interval_text(bounds: tuple[float | None, float | None]) -> str:
    """` (lower to upper)`, or nothing where the interval is not defined."""
    lower, upper = bounds
    return "" if lower is None or upper is None else f"{lower:.3f} to {upper:.3f}"


def _run_warnings(run: str, judged: dict[str, Any]) -> list[str]:
    half, values = judged["at_threshold"]["half"], judged["figures"]
    warnings = [f"{run}: {reason}." for reason in judged["why_undefined"]]
    if half["true_positives"] + half["false_positives"] == 0:
        correct = values["correct/all"]
        warnings.append(
            f"{run} answers 'not a nodule' to everything. It is {correct:.1f} % correct and finds"
            f" none of the {values['count_pos']} candidates that are nodules: with so few nodules"
            " among the candidates, 'correct' says nothing."
        )
    elif values["correct/all"] > 95 and (half["recall"] or 0) < 0.1 and values["count_pos"]:
        warnings.append(
            f"{run} is {values['correct/all']:.1f} % correct but recognises only"
            f" {half['true_positives']} of {values['count_pos']} nodule candidates."
        )
    if judged["leaks"]:
        warnings.append(
            f"{run}: split method stride puts the same CT, even the same nodule, on both sides and has"
            " no test set. All its figures are optimistic."
        )
    return warnings


def _few_nodules(runs: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    fewest = min(judged["figures"]["count_pos"] for judged in runs.values())
    if not 0 < fewest < _FEW_NODULES:
        return []
    text = f"Only {fewest} candidates of the test are nodules: look at the intervals before the figures."
    return [("warning", text)]


def _turning_point(metrics: pd.DataFrame, run: str) -> str | None:
    """A sentence where the validation loss rose again by a fifth while training went on falling."""
    rows = metrics[(metrics["run"] == run)]
    loss = {
        split: rows[rows["split"] == split].groupby("epoch")["loss/all"].mean() for split in ("trn", "val")
    }
    if len(loss["val"]) < 4 or loss["val"].isna().any():
        return None
    lowest = int(loss["val"].idxmin())
    rises = loss["val"].iloc[-3:].mean() > 1.2 * loss["val"].min()
    falls = loss["trn"].iloc[-1] < loss["trn"].get(lowest, np.inf)
    if not (rises and falls and lowest < loss["val"].index[-1]):
        return None
    return (
        f"{run}: the validation loss was lowest in epoch {lowest} and rose afterwards, while the"
        " training loss went on falling: it overfits from there on."
    )


def _comparison_sentences(comparisons: list[dict[str, Any]]) -> list[str]:
    sentences = []
    for each in comparisons:
        if each["lower"] is None:
            continue
        better, worse = each["first"], each["second"]
        difference, lower, upper = each["difference"], each["lower"], each["upper"]
        if difference < 0:
            better, worse = worse, better
            difference, lower, upper = -difference, -upper, -lower
        interval = f"{difference:.3f} (95 % interval {lower:.3f} to {upper:.3f})"
        if lower > 0:
            sentences.append(f"{better} is better than {worse}: its CPM is higher by {interval}.")
        else:
            sentences.append(
                f"{better} and {worse} cannot be told apart: their CPM differs by {interval},"
                " which includes 0."
            )
    return sentences


def _plots(results: Results, annotations_file: Path) -> dict[str, str]:
    runs = results.summary["runs"]
    annotations, _ = read_annotations(annotations_file)
    curves, samples = {}, {}
    for run, predictions in results.predictions.items():
        curves[run] = Froc(match_marks(predictions, annotations, runs[run]["series_uids"]))
        samples[run] = (predictions["class"].to_numpy(), predictions["probability"].to_numpy())
    history = results.metrics[results.metrics["split"].isin(["trn", "val"])]
    best = {run: judged["epochs"][0] for run, judged in runs.items() if len(judged["epochs"]) == 1}
    roc, pr = plots.roc_and_pr(samples)
    return {
        "loss": plots.learning_curves(history, "loss/all", best),
        "recall": plots.learning_curves(history, "recall", best),
        "auc": plots.learning_curves(history, "auc", best),
        "froc": plots.froc_curves(curves, 1000, results.config["seed"]),
        "roc": roc,
        "pr": pr,
        "calibration": plots.calibration_curves({run: each["calibration"] for run, each in runs.items()}),
        "size": plots.size_bars({run: each["by_size"] for run, each in runs.items()}),
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


def _benchmarks(folder: Path) -> list[dict[str, Any]]:
    """Seconds and memory of each stage from Snakemake's benchmark files, jobs of a stage together."""
    rows = []
    for path in sorted(folder.glob("*.tsv")):
        table = pd.read_csv(path, sep="\t", na_values="-")
        stage = path.stem.split("_subset")[0]
        rows.append({"stage": stage, "seconds": table["s"].sum(), "mb": table["max_rss"].max()})
    if not rows:
        return []
    grouped = pd.DataFrame(rows).groupby("stage", sort=False)
    table = grouped.agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), mb=("mb", "max"))
    return table.fillna(0).reset_index().to_dict("records")

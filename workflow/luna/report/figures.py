"""The figures of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from luna.base.arrays import BoolArray, FloatArray
from luna.config.section import value_at
from luna.report.charts import (
    Chart,
    Rows,
    Spec,
    chart,
    chosen,
    diagonal,
    lines,
    numbers,
    run_colour,
    tooltip,
)
from luna.report.results import Results
from luna.scoring.froc import RATES
from luna.scoring.ranking import Ranking
from luna.scoring.records import RunSummary

_AS_FRACTION = "datum.value < 1 ? '1/' + format(1 / datum.value, 'd') : format(datum.value, 'd')"
_SHARE: Spec = {"domain": [0, 1]}
_BOUNDS = {"lower": "lower bound", "upper": "upper bound"}
"""Columns of an interval."""
_BETWEEN: Spec = {"y": {"field": "lower", "type": "quantitative"}, "y2": {"field": "upper"}}
"""From one bound to the other."""
_MOST_POINTS = 200
"""Of a curve."""
_WIDE = 8
"""From so many times the smallest value on an axis is logarithmic."""
_OF_ONE_PANEL = ("layer", "width", "height", "autosize")


def figures(results: Results) -> dict[str, Chart]:
    """All figures by name."""
    runs = results.runs
    history = results.metrics[results.metrics["split"].isin(["trn", "val"])]
    best = {run: summary.epochs[0] for run, summary in runs.items() if len(summary.epochs) == 1}
    every = [
        froc(runs),
        sizes(runs),
        roc(results),
        precision_recall(results),
        reliability(runs),
        *(learning(history, list(runs), metric, best) for metric in ("loss/all", "recall", "auc")),
        *(swept(results, sweep, key) for sweep, key in varied_keys(results)),
    ]
    return {each.name: each for each in every}


def varied_keys(results: Results) -> list[tuple[str, str]]:
    """The keys of each sweep that have more than one value."""
    return [
        (sweep, key)
        for sweep, each in results.sweeps.items()
        for key in each.keys
        if len({value_at(results.runs[run].recipe, key) for run in each.runs}) > 1
    ]


def froc(runs: Mapping[str, RunSummary]) -> Chart:
    """Sensitivity by false positives per scan, with the 95 % band and the seven operating points."""
    columns = {
        "run": "run",
        "rate": "false positives per scan",
        "sensitivity": "sensitivity",
    } | _BOUNDS
    rows = [
        {
            "run": run,
            "rate": _short(rate),
            "sensitivity": _short(value),
            "lower": _short(low),
            "upper": _short(high),
        }
        for run, summary in runs.items()
        for rate, value, low, high in zip(
            summary.froc.band.false_positives_per_scan,
            summary.froc.band.sensitivity,
            summary.froc.band.lower,
            summary.froc.band.upper,
            strict=True,
        )
        if value is not None
    ]
    scale = {"type": "log", "base": 2, "domain": [RATES[0], RATES[-1]], "nice": False}
    axis = {
        "values": list(RATES),
        "labelExpr": _AS_FRACTION,
    }
    x = numbers("rate", "false positives per scan", scale=scale, axis=axis)
    bands = [
        {
            "data": {"name": "values"},
            "transform": [{"filter": {"field": "run", "equal": run}}],
            "mark": {"type": "area", "color": colour, "opacity": 0.15, "aria": False},
            "encoding": {"x": x} | _BETWEEN,
        }
        for run, colour in zip(runs, run_colour(list(runs))["scale"]["range"], strict=True)
    ]
    y = numbers("sensitivity", "sensitivity", scale=_SHARE)
    layers = [*bands, *lines(list(runs), x, y, columns), chosen(list(runs), "rate", "sensitivity")]
    return chart("froc", "FROC: sensitivity by false positives per scan", columns, rows, layers)


def roc(results: Results) -> Chart:
    """The ROC curve."""
    columns = {"run": "run", "fpr": "false positive rate", "recall": "recall", "threshold": "threshold"}
    rows: Rows = []
    for run, (labels, probabilities) in _samples(results).items():
        if 0 < labels.sum() < len(labels):
            rows += _points(run, roc_curve(Ranking(labels, probabilities)), "fpr", "recall")
    x, y = (
        numbers("fpr", "false positive rate", scale=_SHARE),
        numbers("recall", "recall", scale=_SHARE),
    )
    runs = list(results.runs)
    layers = [diagonal(), *lines(runs, x, y, columns), chosen(runs, "fpr", "recall")]
    return chart("roc", "ROC: recall by false positive rate", columns, rows, layers)


def precision_recall(results: Results) -> Chart:
    """Precision by recall."""
    columns = {"run": "run", "recall": "recall", "precision": "precision", "threshold": "threshold"}
    rows: Rows = []
    for run, (labels, probabilities) in _samples(results).items():
        if labels.any():
            curve = precision_recall_curve(Ranking(labels, probabilities))
            rows += _points(run, curve, "recall", "precision")
    x, y = (
        numbers("recall", "recall", scale=_SHARE),
        numbers("precision", "precision", scale=_SHARE),
    )
    runs = list(results.runs)
    layers = [*lines(runs, x, y, columns, interpolate="step-before"), chosen(runs, "recall", "precision")]
    return chart("pr", "Precision by recall", columns, rows, layers)


def reliability(runs: Mapping[str, RunSummary]) -> Chart:
    """Share of nodules by probability, before and after calibration; one panel a kind."""
    columns = {
        "kind": "probabilities",
        "run": "run",
        "probability": "mean probability",
        "nodules": "share of nodules",
        "samples": "candidates",
    }
    rows = [
        {
            "kind": kind,
            "run": run,
            "probability": _short(each.probability),
            "nodules": _short(each.nodules),
            "samples": each.samples,
        }
        for kind in ("raw", "calibrated")
        for run, summary in runs.items()
        for each in summary.reliability[kind].bins
    ]
    x = numbers("probability", "predicted probability", scale=_SHARE)
    y = numbers("nodules", "share of nodules", scale=_SHARE)
    encoding = {"x": x, "y": y, "color": run_colour(list(runs))}
    panels = [
        {
            "title": {"text": kind, "fontWeight": "normal", "color": "currentColor"},
            "width": 200,
            "height": 200,
            "layer": [
                diagonal(),
                {
                    "data": {"name": "values"},
                    "transform": [{"filter": {"field": "kind", "equal": kind}}],
                    "mark": {"type": "line", "point": {"size": 45}, "strokeWidth": 2},
                    "encoding": encoding | {"tooltip": tooltip(columns)},
                },
            ],
        }
        for kind in ("raw", "calibrated")
    ]
    drawn = chart("reliability", "Reliability before and after calibration", columns, rows, [])
    spec = {key: value for key, value in drawn.spec.items() if key not in _OF_ONE_PANEL}
    return Chart(drawn.name, drawn.title, spec | {"hconcat": panels}, columns, rows)


def learning(history: pd.DataFrame, runs: Sequence[str], metric: str, best: Mapping[str, int]) -> Chart:
    """A metric by epoch, training dashed and validation solid (mean of folds); a ring at the epoch kept."""
    columns = {"run": "run", "split": "split", "epoch": "epoch", "value": metric}
    means = history.groupby(["run", "split", "epoch"], sort=False)[metric].mean().dropna().reset_index()
    rows = [
        {
            "run": row["run"],
            "split": "training" if row["split"] == "trn" else "validation",
            "epoch": int(row["epoch"]),
            "value": _short(row[metric]),
            "kept": bool(row["split"] == "val" and best.get(row["run"]) == row["epoch"]),
        }
        for row in means.to_dict("records")
    ]
    x = numbers(
        "epoch", "epoch", axis={"tickMinStep": 1, "format": "d"}, scale={"nice": False, "zero": False}
    )
    y = numbers("value", metric, scale={"zero": False})
    dash = {
        "field": "split",
        "type": "nominal",
        "scale": {"domain": ["validation", "training"], "range": [[1, 0], [4, 4]]},
    }
    encoding = {"x": x, "y": y, "color": run_colour(runs), "tooltip": tooltip(columns)}
    layers: list[Spec] = [
        {
            "data": {"name": "values"},
            "mark": {"type": "line", "point": {"size": 30}, "strokeWidth": 2},
            "encoding": encoding | {"strokeDash": dash},
        },
        {
            "data": {"name": "values"},
            "transform": [{"filter": "datum.kept"}],
            "mark": {"type": "point", "size": 220, "strokeWidth": 1.5},
            "encoding": encoding,
        },
    ]
    name = f"learning-{metric.split('/')[0]}"
    return chart(name, f"{metric} by epoch", columns, rows, layers, size=(400, 280))


def sizes(runs: Mapping[str, RunSummary]) -> Chart:
    """Share of the nodules found in each band of diameter, with 95 % intervals."""
    columns = {
        "run": "run",
        "band": "diameter",
        "nodules": "nodules",
        "share": "share found",
    } | _BOUNDS
    rows = [
        {
            "run": run,
            "band": f"{band.band}|{band.nodules} nodules",
            "nodules": band.nodules,
            "share": _short(band.sensitivity),
            "lower": _short(band.lower),
            "upper": _short(band.upper),
        }
        for run, summary in runs.items()
        for band in summary.by_size
        if band.sensitivity is not None
    ]
    bands = list(dict.fromkeys(row["band"] for row in rows))
    x = {
        "field": "band",
        "type": "ordinal",
        "title": None,
        "sort": bands,
        "axis": {"labelAngle": 0, "labelExpr": "split(datum.label, '|')"},
    }
    offset = {"field": "run", "type": "nominal", "scale": {"domain": list(runs)}}
    shared = {"x": x, "xOffset": offset, "color": run_colour(list(runs)), "tooltip": tooltip(columns)}
    layers: list[Spec] = [
        {
            "data": {"name": "values"},
            "mark": {"type": "bar"},
            "encoding": shared | {"y": numbers("share", "share of nodules found", scale=_SHARE)},
        },
        {
            "data": {"name": "values"},
            "mark": {"type": "rule", "color": "currentColor", "aria": False},
            "encoding": {"x": x, "xOffset": offset} | _BETWEEN,
        },
    ]
    return chart("sizes", "Nodules found by diameter", columns, rows, layers)


def swept(results: Results, sweep: str, key: str) -> Chart:
    """CPM of a sweep's runs by one of its keys, with 95 % intervals."""
    columns = {"run": "run", "value": key, "cpm": "CPM"} | _BOUNDS
    runs = [run for run in results.sweeps[sweep].runs if results.runs[run].froc.cpm is not None]
    values = [value_at(results.runs[run].recipe, key) for run in runs]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        given = np.array(values, dtype=float)
        is_wide = len(given) > 0 and given.min() > 0 and given.max() >= _WIDE * given.min()
        x = numbers("value", key, scale={"padding": 20} | ({"type": "log"} if is_wide else {"zero": False}))
    else:
        values = [" ".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in values]
        x = {"field": "value", "type": "nominal", "title": key, "sort": None, "axis": {"labelAngle": 0}}
    scores = [results.runs[run].froc for run in runs]
    rows = [
        {
            "run": run,
            "value": value,
            "cpm": _short(score.cpm),
            "lower": _short(score.cpm_lower),
            "upper": _short(score.cpm_upper),
        }
        for run, value, score in zip(runs, values, scores, strict=True)
    ]
    y = numbers("cpm", "CPM", scale={"zero": False})
    layers: list[Spec] = [
        {
            "data": {"name": "values"},
            "mark": {"type": "rule", "color": "currentColor", "opacity": 0.5, "aria": False},
            "encoding": {"x": x} | _BETWEEN,
        },
        {
            "data": {"name": "values"},
            "mark": {"type": "point", "filled": True, "size": 90, "color": "var(--run-0, #3a6ea5)"},
            "encoding": {"x": x, "y": y, "tooltip": tooltip(columns)},
        },
    ]
    return chart(f"sweep-{sweep}-{key}", f"{sweep}: CPM by {key}", columns, rows, layers, size=(400, 280))


def _samples(results: Results) -> dict[str, tuple[Any, Any]]:
    """Labels and probabilities of each run, in the order of the runs."""
    return {
        run: (
            results.predictions[run]["class"].to_numpy(),
            results.predictions[run]["probability"].to_numpy(),
        )
        for run in results.runs
        if run in results.predictions
    }


def roc_curve(ranked: Ranking) -> dict[str, FloatArray]:
    """Its corners."""
    nodules, others = ranked.counts()
    up, right = np.diff(nodules), np.diff(others)
    is_corner = up[:-1] * right[1:] != right[:-1] * up[1:]
    curve = {"fpr": others / others[-1], "recall": nodules / nodules[-1]}
    return _between_ends(is_corner, curve | {"threshold": np.append(1.0, ranked.scores)})


def precision_recall_curve(ranked: Ranking) -> dict[str, FloatArray]:
    """Only the ends of the falls of precision between two nodules."""
    nodules, others = ranked.counts()
    rises = np.diff(nodules) > 0
    precision = np.append(1.0, nodules[1:] / (nodules + others)[1:])
    curve = {"recall": nodules / nodules[-1], "precision": precision}
    return _between_ends(rises[:-1] | rises[1:], curve | {"threshold": np.append(1.0, ranked.scores)})


def _between_ends(kept: BoolArray, curve: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """The first and last point, and those between them that are kept."""
    which = np.concatenate([[True], kept, [True]])
    return {name: values[which] for name, values in curve.items()}


def _points(run: str, values: dict[str, FloatArray], x: str, y: str) -> Rows:
    """Rows of a curve; of one with more points than a page shows, those that lie evenly along it."""
    way = np.append(0, np.cumsum(np.abs(np.diff(values[x])) + np.abs(np.diff(values[y]))))
    kept = np.arange(len(way))
    if len(way) > _MOST_POINTS:
        kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], _MOST_POINTS)))
    return [{"run": run} | {name: _short(each[n]) for name, each in values.items()} for n in kept]


def _short(value: float | None) -> float | None:
    """A value with the digits that a page can show."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")

"""Plots of the report as inline SVG; same input, same bytes."""

import io
from collections.abc import Callable
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from luna.scoring.froc import RATES
from luna.scoring.records import CalibrationBin, FrocScore, SizeBand

matplotlib.use("svg")
# Stands for the colour of the text around the plot, light or dark.
_INK = "#010203"
COLOURS = ("#4477aa", "#cc6633", "#228833", "#aa3377", "#66a5ad", "#997700")
_STYLE: Any = {
    "svg.hashsalt": "luna", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10,
    "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK,
    "ytick.color": _INK, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.alpha": 0.25, "grid.color": "#888888", "legend.frameon": False, "lines.linewidth": 1.8,
}  # fmt: skip


def colour(number: int) -> str:
    """Colour of a run, by its place among the runs."""
    return COLOURS[number % len(COLOURS)]


def plot(draw: Callable[[Axes], None], width: float = 5.2, height: float = 3.4) -> str:
    """An SVG of one pair of axes, transparent, its text in the colour of the page."""
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
        draw(axes)
        return _svg(figure)


def learning_curves(history: pd.DataFrame, name: str, best_epoch: dict[str, int]) -> str:
    """A metric by epoch, training dashed and validation solid, a line pair a run (mean of folds)."""

    def draw(axes: Axes) -> None:
        for number, (run, rows) in enumerate(history.groupby("run", sort=False)):
            for split, style in (("trn", "--"), ("val", "-")):
                mean = rows[rows["split"] == split].groupby("epoch")[name].mean().dropna()
                label = str(run) if split == "val" else None
                marker = "o" if len(mean) < 30 else ""
                axes.plot(mean.index, mean, style, color=colour(number), label=label, marker=marker, ms=3.5)
                chosen = best_epoch.get(str(run), -1)
                if split == "val" and chosen in mean.index:
                    axes.plot(chosen, mean[chosen], "o", ms=10, mfc="none", mec=colour(number), mew=1.5)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(axes)

    return plot(draw)


def froc_curves(scores: dict[str, FrocScore]) -> str:
    """Sensitivity by false positives per scan, with the 95 % band and the seven operating points."""

    def draw(axes: Axes) -> None:
        for number, (run, score) in enumerate(scores.items()):
            if score.nodules == 0:
                continue
            rates, (low, values, high) = score.band.false_positives_per_scan, (
                np.array(each, dtype=float)
                for each in (score.band.lower, score.band.sensitivity, score.band.upper)
            )  # fmt: skip
            axes.fill_between(rates, low, high, color=colour(number), alpha=0.15, lw=0)
            axes.plot(rates, values, color=colour(number), label=run)
            points = [score.sensitivity[f"{rate:g}"] for rate in RATES]
            axes.plot(RATES, np.array(points, dtype=float), "o", ms=4.5, color=colour(number))
        axes.set_xscale("log", base=2)
        axes.set_xticks(RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
        axes.set(xlabel="false positives per scan", ylabel="sensitivity", ylim=(-0.02, 1.02))
        _legend(axes)

    return plot(draw)


def roc_and_pr(samples: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> tuple[str, str]:
    """ROC and precision-recall curves of (labels, probabilities) a run, as two plots."""

    def draw_roc(axes: Axes) -> None:
        for number, (run, (labels, probabilities)) in enumerate(samples.items()):
            if 0 < labels.sum() < len(labels):
                false, true, _ = roc_curve(labels, probabilities)
                axes.plot(false, true, color=colour(number), label=run)
        axes.plot([0, 1], [0, 1], ":", color="#888888", lw=1)
        axes.set(xlabel="false positive rate", ylabel="recall", xlim=(-0.02, 1), ylim=(0, 1.02))
        _legend(axes)

    def draw_pr(axes: Axes) -> None:
        for number, (run, (labels, probabilities)) in enumerate(samples.items()):
            if labels.any():
                precision, recall, _ = precision_recall_curve(labels, probabilities)
                axes.step(recall, precision, where="post", color=colour(number), label=run)
        axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(0, 1.02))
        _legend(axes)

    return plot(draw_roc, 4.4, 3.4), plot(draw_pr, 4.4, 3.4)


def calibration_curves(bins: dict[str, list[CalibrationBin]]) -> str:
    """Share of nodules by predicted probability; the dotted line is perfect calibration."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color="#888888", lw=1)
        for number, (run, each) in enumerate(bins.items()):
            axes.plot(
                [one.probability for one in each], [one.nodules for one in each],
                "o-", ms=4, color=colour(number), label=run,
            )  # fmt: skip
        axes.set(
            xlabel="predicted probability", ylabel="share of nodules", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02)
        )
        _legend(axes)

    return plot(draw, 4.4, 3.4)


def size_bars(bands: dict[str, list[SizeBand]]) -> str:
    """Share of the nodules found in each band of diameter, with 95 % intervals."""

    def draw(axes: Axes) -> None:
        width = 0.8 / max(1, len(bands))
        for number, (run, each) in enumerate(bands.items()):
            for place, band in enumerate(each):
                x = place + (number - (len(bands) - 1) / 2) * width
                if band.sensitivity is None:
                    continue
                axes.bar(
                    x,
                    band.sensitivity,
                    width * 0.9,
                    color=colour(number),
                    label=run if place == 0 else None,
                )
                if band.lower is not None and band.upper is not None:
                    axes.plot([x, x], [band.lower, band.upper], color=_INK, lw=1)
        names = next(iter(bands.values()))
        axes.set_xticks(range(len(names)), [f"{band.band}\n({band.nodules})" for band in names])
        axes.set(ylabel="share of nodules found", ylim=(0, 1.05))
        handles = [plt.Rectangle((0, 0), 1, 1, color=colour(k)) for k in range(len(bands))]
        axes.legend(handles, list(bands))

    return plot(draw)


def _legend(axes: Axes) -> None:
    """The runs' names, or a note where the value is not defined for any run."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    else:
        axes.text(0.5, 0.5, "not defined", ha="center", va="center", transform=axes.transAxes)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")

"""What stands out in the results, in plain sentences."""

import math

import numpy as np
import pandas as pd

from luna.config.recipe import Recipe
from luna.config.section import plain_values_of
from luna.report.results import Results
from luna.scoring.records import SIGNIFICANCE, Comparison, RunSummary, Summary

_FEW_NODULES = 20
_SMALLEST_P = 0.001
_PAIRS_NAMED = 3
"""Up to so many pairs of runs have a sentence each."""


def findings(results: Results) -> list[tuple[str, str]]:
    """What stands out, as (`warning` or `note`, sentence)."""
    found: list[tuple[str, str]] = []
    for run, summary in results.runs.items():
        found += [("warning", text) for text in _run_warnings(run, summary)]
        if turn := _turning_point(results.metrics, run):
            found.append(("note", turn))
    found += _few_nodules(results.runs)
    found += [("note", text) for text in _comparison_sentences(results)]
    found += _too_few_resamples(results.summary)
    split = results.listing.patients_in_two_subsets
    for patient, uids in split.items():
        subsets = " and ".join(map(str, sorted(uids.values())))
        found.append(
            ("warning", f"Leak: patient {patient} has series in subsets {subsets}, so in some fold the"
             " patient is on both sides. Set split.keep_patients_together to prevent it.")
        )  # fmt: skip
    verification = results.verification
    for level, kind, problems in (
        ("problem", "warning", verification.problems), ("warning", "note", verification.warnings),
    ):  # fmt: skip
        if problems:
            count = f"{len(problems)} {level}{'s' if len(problems) > 1 else ''}"
            first = f"{problems[0].where}: {problems[0].text}"
            found.append((kind, f"Verification found {count} in the data, the first: {first}."))
    return found


def recipe_differences(recipes: dict[str, Recipe]) -> dict[str, dict[str, str]]:
    """The recipes' keys that are not the same in every run: key -> run -> value as text."""
    values = {
        run: {key: str(value) for key, value in plain_values_of(recipe).items()}
        for run, recipe in recipes.items()
    }
    keys = list(next(iter(values.values())))
    return {
        key: {run: values[run][key] for run in values}
        for key in keys
        if len({values[run][key] for run in values}) > 1 or len(values) == 1
    }


def p_text(value: float | None) -> str:
    """A p-value as text; it is never 0."""
    if value is None:
        return "not defined"
    return f"{value:.3f}" if value >= _SMALLEST_P else f"below {_SMALLEST_P}"


def _run_warnings(run: str, summary: RunSummary) -> list[str]:
    half, values = summary.at_threshold["half"], summary.metrics
    correct = values["correct/all"] or 0
    warnings = [f"{run}: {reason}." for reason in summary.why_undefined]
    if half.true_positives + half.false_positives == 0:
        warnings.append(
            f"{run} predicts 'not a nodule' for everything. It is {correct:.1f} % correct and finds"
            f" none of the {values['count_pos']} candidates that are nodules: with so few nodules"
            " among the candidates, 'correct' means nothing."
        )
    elif correct > 95 and (half.recall or 0) < 0.1 and values["count_pos"]:
        warnings.append(
            f"{run} is {correct:.1f} % correct but finds only"
            f" {half.true_positives} of {values['count_pos']} nodule candidates."
        )
    if summary.leaks:
        warnings.append(
            f"{run}: split method stride puts the same CT, even the same nodule, on both sides and has"
            " no test set. All its results are optimistic."
        )
    return warnings


def _few_nodules(runs: dict[str, RunSummary]) -> list[tuple[str, str]]:
    fewest = min(summary.metrics["count_pos"] or 0 for summary in runs.values())
    if not 0 < fewest < _FEW_NODULES:
        return []
    text = f"Only {fewest} of the test's candidates are nodules: look at the intervals before the values."
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


def _comparison_sentences(results: Results) -> list[str]:
    """A sentence for each pair of runs or, of many runs, one on how the best compares with the others."""
    comparisons = [each for each in results.summary.comparisons if each.p_holm is not None]
    if len(comparisons) <= _PAIRS_NAMED:
        return [_comparison_sentence(each, len(comparisons)) for each in comparisons]
    best = next(iter(results.runs))
    beaten: list[str] = []
    unclear: list[str] = []
    for each in comparisons:
        if best in (each.first, each.second):
            other = each.second if each.first == best else each.first
            (beaten if each.is_real else unclear).append(other)
    parts = [f"{best} has the highest CPM"]
    if beaten:
        parts.append(f"it is better than {', '.join(beaten)}")
    if unclear:
        parts.append(f"it cannot be distinguished from {', '.join(unclear)}")
    return [f"{'; '.join(parts)} (p corrected for {len(comparisons)} comparisons)."]


def _comparison_sentence(each: Comparison, count: int) -> str:
    better, worse = each.first, each.second
    difference, lower, upper = each.difference or 0.0, each.lower or 0.0, each.upper or 0.0
    if difference < 0:
        better, worse = worse, better
        difference, lower, upper = -difference, -upper, -lower
    value = p_text(each.p_holm)
    p = f"p {value if value[0].isalpha() else f'= {value}'}" + (" after correction" if count > 1 else "")
    interval = f"{difference:.3f} (95 % interval {lower:.3f} to {upper:.3f}; {p})"
    if each.is_real:
        return f"{better} is better than {worse}: its CPM is higher by {interval}."
    return f"{better} and {worse} cannot be distinguished: their CPM differs by {interval}."


def _too_few_resamples(summary: Summary) -> list[tuple[str, str]]:
    """A warning where even the smallest p-value is too large once it is corrected."""
    count = sum(each.p is not None for each in summary.comparisons)
    needed = math.ceil(2 * count / SIGNIFICANCE)
    if not count or summary.bootstrap + 1 >= needed:
        return []
    text = (
        f"{count} comparisons need at least {needed} resamples before any difference can count as real, and"
        f" there are {summary.bootstrap}: raise evaluation.bootstrap."
    )
    return [("warning", text)]

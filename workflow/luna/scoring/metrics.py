"""Metrics of a classifier; undefined ones are None, never NaN."""

import numpy as np

from luna.base.arrays import FloatArray, IntArray
from luna.scoring.ranking import Ranking, areas

Metrics = dict[str, float | None]
"""Values by name; None where a metric is not defined."""

CLASSES = ("all", "neg", "pos")
NAMES = [
    *(f"{kind}/{name}" for kind in ("loss", "correct") for name in CLASSES),
    "precision", "recall", "f1", "auc", "average_precision",
]  # fmt: skip
"""Names of the metrics: the same in logs, TensorBoard tags and CSV columns."""
COUNTS = ["samples", *(f"{kind}_{name}" for name in ("neg", "pos") for kind in ("count", "correct"))]
SMALLER_IS_BETTER = {"loss/all", "loss/neg", "loss/pos"}


def compute_metrics(
    labels: IntArray, probabilities: FloatArray, losses: FloatArray, threshold: float = 0.5
) -> Metrics:
    """NAMES and COUNTS for samples, all (n,): label 0 or 1, probability of a nodule, loss.

    correct/* are per cent. A probability that is not a number counts as wrong, whatever the label.
    """
    positive = labels == 1
    finite = np.isfinite(probabilities)
    predicted = probabilities > threshold
    correct = (predicted == positive) & finite
    values: Metrics = {"samples": len(labels)}
    for name, members in (("all", np.ones_like(positive)), ("neg", ~positive), ("pos", positive)):
        count = int(members.sum())
        if name != "all":
            values |= {f"count_{name}": count, f"correct_{name}": int(correct[members].sum())}
        values[f"loss/{name}"] = _finite(losses[members].mean()) if count else None
        values[f"correct/{name}"] = 100 * float(correct[members].mean()) if count else None
    values |= precision_recall_f1(labels, probabilities, threshold)
    return values | ranking(labels, probabilities)


def precision_recall_f1(
    labels: IntArray, probabilities: FloatArray, threshold: float | FloatArray
) -> Metrics:
    """Precision, recall and F1 of 'probability above threshold'.

    Precision is None where nothing is predicted to be a nodule, recall where there is none, F1
    where neither happens.
    """
    positive, predicted = labels == 1, probabilities > threshold
    return rates(int((positive & predicted).sum()), int(predicted.sum()), int(positive.sum()))


def rates(hits: int, predicted: int, positive: int) -> Metrics:
    """Precision, recall and F1 from counts: predicted nodules that are some, predicted ones, and nodules."""
    return {
        "precision": hits / predicted if predicted else None,
        "recall": hits / positive if positive else None,
        "f1": 2 * hits / (predicted + positive) if predicted + positive else None,
    }


def ranking(labels: IntArray, probabilities: FloatArray) -> Metrics:
    """Area under the ROC curve and average precision; None unless both classes are present."""
    both = 0 < int((labels == 1).sum()) < len(labels)
    if not both or not np.isfinite(probabilities).all():
        return {"auc": None, "average_precision": None}
    auc, average_precision = areas(*Ranking(labels, probabilities).counts())
    return {"auc": auc, "average_precision": average_precision}


def best_threshold(labels: IntArray, probabilities: FloatArray) -> float:
    """The threshold with the highest F1 for 'probability above it'; 0.5 where F1 is undefined.

    Of equal ones the lowest. It is midway between two scores, so that it does not depend on the last digit
    of one.
    """
    if not (labels == 1).any() or not np.isfinite(probabilities).all():
        return 0.5
    ranked = Ranking(labels, probabilities)
    nodules, others = (counts[1:] for counts in ranked.counts())
    f1 = 2 * nodules / (nodules + others + nodules[-1])
    return just_below(float(ranked.scores[np.flatnonzero(f1 == f1.max())[-1]]), probabilities)


def just_below(score: float, probabilities: FloatArray) -> float:
    """The threshold midway between a score and the next lower probability, or 0: the score is above it."""
    if score == 0:
        return -1e-6
    lower = probabilities[probabilities < score]
    return (score + (float(lower.max()) if len(lower) else 0.0)) / 2


def is_better(value: float | None, best: float | None, name: str) -> bool:
    """Whether a metric beats the best so far; a defined one beats an undefined one."""
    if value is None:
        return False
    if best is None:
        return True
    return value < best if name in SMALLER_IS_BETTER else value > best


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

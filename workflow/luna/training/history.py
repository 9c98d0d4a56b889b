"""The metrics of every epoch: logged, sent to TensorBoard, and collected as rows of history.csv."""

import logging

from luna.base.arrays import FloatArray, IntArray
from luna.scoring.metrics import COUNTS, NAMES, Metrics, compute_metrics
from luna.training.state import Row, TrainingState
from luna.training.tensorboard import TensorBoardLogs

log = logging.getLogger(__name__)

HISTORY_COLUMNS = ["run", "fold", "epoch", "split", "samples_seen", *COUNTS, *NAMES]


class History:
    """Computes an epoch's metrics and passes them on."""

    def __init__(self, run: str, fold: int, logs: TensorBoardLogs) -> None:
        self._run, self._fold, self._logs = run, fold, logs

    def add(
        self,
        split: str,
        state: TrainingState,
        labels: IntArray,
        probabilities: FloatArray,
        losses: FloatArray,
    ) -> Row:
        """Log the epoch just finished for its "trn" or "val" samples, (n,); add its row, and return it."""
        metrics = compute_metrics(labels, probabilities, losses)
        for name in ("all", "neg", "pos"):
            log.info("%s", _log_line(state.epoch, split, name, metrics))
        self._logs.write(split, state.samples_seen, metrics, labels, probabilities)
        row: Row = {
            "run": self._run, "fold": self._fold, "epoch": state.epoch, "split": split,
            "samples_seen": state.samples_seen,
        }  # fmt: skip
        row |= metrics
        state.history.append(row)
        return row


def metrics_of(history: list[Row], epoch: int, split: str) -> Metrics:
    """The metrics of one row, without those that are not defined; empty where there is no such row."""
    for row in history:
        if (row["epoch"], row["split"]) == (epoch, split):
            return {name: float(value) for name in NAMES if (value := row[name]) is not None}
    return {}


def _log_line(epoch: int, split: str, name: str, metrics: Metrics) -> str:
    loss, correct = metrics[f"loss/{name}"], metrics[f"correct/{name}"]
    if correct is None:
        return f"E{epoch} {split} {name}: no samples"
    classes = ("neg", "pos") if name == "all" else (name,)
    n_correct, count = (
        sum(int(metrics[f"{kind}_{each}"] or 0) for each in classes) for kind in ("correct", "count")
    )
    loss_text = "not finite" if loss is None else f"{loss:.4f}"
    line = (
        f"E{epoch} {split} {name}: loss/{name} {loss_text}, correct/{name} {correct:.1f}%"
        f" ({n_correct} of {count})"
    )
    if name == "all" and metrics["auc"] is not None:
        line += f", auc {metrics['auc']:.4f}"
    return line

"""TensorBoard logs: named by the options, and opened only when there is something to write."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import Prepared
from luna.config.machine import Logs
from unit.training.test_loop import job, run


@pytest.mark.parametrize(
    ("logs", "folders", "tag"),
    [
        (Logs(), ["test-fold0-trn", "test-fold0-val"], "loss/all"),
        (
            Logs(tensorboard_prefix="mine", comment="try2"),
            ["mine/test-fold0-try2-trn", "mine/test-fold0-try2-val"],
            "auc",
        ),
        (Logs(tensorboard_writers="one"), ["test-fold0"], "val/loss/pos"),
    ],
)
def test_tensorboard(prepared: Prepared, tmp_path: Path, logs: Logs, folders: list[str], tag: str) -> None:
    """Names by the options; scalars, curves, histograms, pictures and the recipe by samples seen."""
    folder = tmp_path / "logs"
    run(prepared, job(tmp_path), logs.model_copy(update={"tensorboard": str(folder)}))
    written = {str(path.parent.relative_to(folder)) for path in folder.rglob("events.*")}
    assert sorted(written) == folders
    events = EventAccumulator(str(folder / folders[-1]))
    events.Reload()
    tags = events.Tags()
    assert [event.step for event in events.Scalars(tag)] == [60, 120]
    assert any(name.endswith("worst/missed_nodule") for name in tags["images"])
    assert any(name.endswith("pr") for name in tags["tensors"])
    assert "_hparams_/session_start_info" in str(events.PluginTagToContent("hparams").keys())


def test_without_epochs_no_log_is_opened(prepared: Prepared, tmp_path: Path) -> None:
    run(prepared, job(tmp_path, {"epochs": 0}), Logs(tensorboard=str(tmp_path / "logs")))
    assert not (tmp_path / "logs").exists()

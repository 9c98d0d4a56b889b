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


def scalars(folder: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "test-fold0-val"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("loss/all")]


def test_a_finished_training_that_runs_again_keeps_its_logs(prepared: Prepared, tmp_path: Path) -> None:
    logs = Logs(tensorboard=str(tmp_path / "logs"))
    run(prepared, job(tmp_path), logs)
    before = scalars(tmp_path / "logs")
    run(prepared, job(tmp_path), logs)
    assert scalars(tmp_path / "logs") == before
    assert len(before) == 2


def test_a_training_from_scratch_starts_its_logs_afresh(prepared: Prepared, tmp_path: Path) -> None:
    """The old ones are kept beside."""
    logs = Logs(tensorboard=str(tmp_path / "logs"), tensorboard_prefix="mine")
    old = []
    for number, rate in enumerate((0.001, 0.01, 0.02)):
        run(prepared, job(tmp_path, {"learning_rate": rate}), logs)
        assert len(scalars(tmp_path / "logs" / "mine")) == 2
        for split in ("trn", "val"):
            kept = tmp_path / "logs-replaced" / "mine" / f"test-fold0-{split}-{number}"
            assert kept.exists() == (number > 0)
        old.append(scalars(tmp_path / "logs" / "mine"))
    assert len({tuple(each) for each in old}) == 3

"""Training: resumed bit for bit, stopped with clear words, shared among processes."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import train as train_program
from pydantic import ValidationError

from conftest import PROJECT, SMALL_CROP, Prepared, training_outputs
from luna.base.errors import UserError
from luna.cli.options import option_words
from luna.config.machine import Logs, MachineSettings
from luna.config.recipe import NetworkSettings, Recipe
from luna.config.split import SplitSettings
from luna.crops.sources import CachedCrops
from luna.data.folds import split_rows
from luna.model.build import build_model
from luna.model.file import ModelFile, load_tensors
from luna.runtime.device import uses_bf16
from luna.scoring.calibration import Isotonic
from luna.scoring.metrics import NAMES
from luna.training import loop
from luna.training.checkpoints import Checkpoints
from luna.training.job import TrainingJob
from luna.training.loop import train
from luna.training.optim import build_optimizer, build_schedule
from luna.training.state import TrainingState
from luna.training.tensorboard import TensorBoardLogs
from unit.deploy.conftest import KEY

RECIPE: dict[str, Any] = {
    "epochs": 2, "batch_size": 8, "balance": 1, "samples_per_epoch": 60, "optimizer": "adamw",
    "schedule": "onecycle", "model": {"channels": [2, 4]},
    "augmentation": {"flip": 0.5, "shift": 1, "scale": 0.05, "rotate": 20, "noise": 10},
}  # fmt: skip


OTHER_PRECISION = "fp32" if uses_bf16(torch.device("cpu"), "auto") else "bf16"


def recipe_with(**changes: Any) -> Recipe:
    """The tests' recipe with some keys changed."""
    return Recipe.model_validate(RECIPE | changes)


def job(folder: Path, recipe: dict[str, Any] | None = None, **changes: Any) -> TrainingJob:
    settings: dict[str, Any] = {
        "run": "test", "fold": 0, "recipe": recipe_with(**(recipe or {})), "split": SplitSettings(),
        "seed": 0, "code": "code", "model_file": folder / "model.pt",
        "history_file": folder / "history.csv", "validation_file": folder / "validation.csv",
        "state_folder": folder / "state",
    }  # fmt: skip
    return TrainingJob(**(settings | changes))


def run(prepared: Prepared, job: TrainingJob, logs: Logs | None = None, **machine: Any) -> pd.DataFrame:
    source = CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP)
    cpu = MachineSettings(device="cpu", **({"num_workers": 1} | machine))
    train(job, cpu, logs or Logs(), prepared.candidates, source)
    return pd.read_csv(job.history_file)


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("model.pt", "history.csv", "validation.csv")]


@pytest.fixture(scope="module")
def undisturbed(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(prepared, job(folder))
    return folder


def test_history_and_model_file(prepared: Prepared, undisturbed: Path) -> None:
    history = pd.read_csv(undisturbed / "history.csv")
    assert history[["epoch", "split", "samples_seen"]].to_numpy().tolist() == [
        [1, "trn", 60], [1, "val", 60], [2, "trn", 120], [2, "val", 120],
    ]  # fmt: skip
    assert set(NAMES) <= set(history.columns)
    validation = history[history["split"] == "val"]
    best = int(validation["epoch"][validation["loss/all"].idxmin()])
    model = ModelFile.load(undisturbed / "model.pt")
    assert (model.epoch, model.crop, model.clip) == (best, (16, 16, 16), (-1000, 1000))
    assert (model.recipe, model.key.code, model.seed) == (recipe_with(), "code", 0)


@pytest.mark.parametrize(
    "machine", [{"loader": "workers"}, {"loader": "device"}, {"num_workers": 0}, {"num_workers": 2}]
)
def test_how_crops_are_loaded_changes_nothing(
    prepared: Prepared, undisturbed: Path, tmp_path: Path, machine: dict[str, Any]
) -> None:
    run(prepared, job(tmp_path), **machine)
    assert results(tmp_path) == results(undisturbed)


KILLED = """
import os, signal, sys
from luna.training import loop
loss, left = loop.weighted_loss, [int(sys.argv.pop(1))]
def dying(*arguments):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(*arguments)
loop.weighted_loss = dying
import train
train.main()
"""


def command(prepared: Prepared, out: Path, recipe: Recipe, minutes: str = "0.000001") -> list[str]:
    return [
        *prepared.options(), *training_outputs(out), *option_words(recipe),
        "--device", "cpu", "--num-workers", "1", "--checkpoint-minutes", minutes,
    ]  # fmt: skip


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{PROJECT}/workflow:{PROJECT}/workflow/scripts"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=120,
    )


@pytest.fixture(scope="module")
def undisturbed_program(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed_program")
    train_program.main(command(prepared, folder, recipe_with()))
    return folder


@pytest.mark.parametrize("step", [0, 3, 8, 13])
def test_killed_at_any_step_it_ends_with_the_same_files(
    prepared: Prepared,
    undisturbed_program: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    step: int,
) -> None:
    """SIGKILL before a step of the first or the second epoch, with a checkpoint after every step."""
    arguments = command(prepared, tmp_path / "killed", recipe_with())
    assert start("-c", KILLED, str(step), *arguments).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.pt").exists()
    caplog.set_level(logging.INFO)
    train_program.main(arguments)
    assert ("resuming" in caplog.text) == (step > 0)
    assert results(tmp_path / "killed") == results(undisturbed_program)


def never(*_: object) -> None:
    raise AssertionError("trains again")


def test_a_finished_training_is_kept(
    prepared: Prepared, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without its checkpoints, and when only samples that it does not see are others."""
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "state")
    tested = split_rows(prepared.candidates, 0, SplitSettings()).tst
    labels = prepared.candidates["class"].copy()
    labels[tested[0]] = 1 - labels[tested[0]]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", never)
        for candidates in (prepared.candidates, prepared.candidates.assign(**{"class": labels})):
            for name in ("model.pt", "history.csv", "validation.csv"):
                os.utime(tmp_path / name, (0, 0))
            run(replace(prepared, candidates=candidates), job(tmp_path))
            assert results(tmp_path) == results(undisturbed)
            assert (tmp_path / "model.pt").stat().st_mtime > 0 < (tmp_path / "history.csv").stat().st_mtime
        for changes in ({"seed": 1}, {"run": "other"}, {"fold": 1}):
            with pytest.raises(AssertionError, match="trains again"):
                run(prepared, job(tmp_path, **changes))
        (tmp_path / "model.pt").write_bytes(b"damaged")
        with pytest.raises(AssertionError, match="trains again"):
            run(prepared, job(tmp_path))


def test_another_calibration_trains_nothing(
    prepared: Prepared, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished training is calibrated anew; the result is that of a training with it."""
    shutil.copytree(undisturbed, tmp_path / "again")
    isotonic = {"calibration": "isotonic"}
    run(prepared, job(tmp_path / "new", isotonic))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", never)
        run(prepared, job(tmp_path / "again", isotonic))
    assert results(tmp_path / "again")[1:] == results(tmp_path / "new")[1:] == results(undisturbed)[1:]
    again, new = (ModelFile.load(tmp_path / name / "model.pt") for name in ("again", "new"))
    assert isinstance(new.calibration, Isotonic)
    assert (again.calibration, again.recipe, again.key) == (new.calibration, new.recipe, new.key)
    assert all(torch.equal(again.weights[name], weights) for name, weights in new.weights.items())


def test_averaged_weights(prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exponential moving average over all steps is what is kept; a resumed training has the same."""
    recipe = {"average": 0.8, "epochs": 1}
    seen = []
    step_on = TrainingState.step_on

    def noting(self: TrainingState) -> None:
        step_on(self)
        seen.append(self.model.head_linear.bias.detach().clone())

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "step_on", noting)
        run(prepared, job(tmp_path, recipe))
    expected = seen[0]
    for count, bias in enumerate(seen[1:], start=1):
        decay = min(0.8, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * bias
    kept = ModelFile.load(tmp_path / "model.pt").weights["head_linear.bias"]
    torch.testing.assert_close(kept, expected)
    assert not torch.equal(kept, seen[-1])
    whole = results(tmp_path)
    for name in ("model.pt", "history.csv", "validation.csv"):
        (tmp_path / name).unlink()

    def stopping(self: TrainingState) -> None:
        if self.step == 4:
            raise KeyboardInterrupt
        step_on(self)

    shutil.rmtree(tmp_path / "state")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingState, "step_on", stopping)
        run(prepared, job(tmp_path, recipe), Logs(checkpoint_minutes=1e-9))
    run(prepared, job(tmp_path, recipe))
    assert results(tmp_path) == whole


def test_a_decay_of_kernels_spares_biases_and_normalisations() -> None:
    model = build_model(NetworkSettings(channels=(2, 4)), SMALL_CROP.crop)
    spared = [each for name, each in model.named_parameters() if "bias" in name or "norm" in name]
    for decay, decayed in (("all", []), ("kernels", spared)):
        optimizer = build_optimizer(model, recipe_with(weight_decay=0.1, decay=decay))
        of = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
        assert len(of) == len(list(model.parameters()))
        assert {key for key, value in of.items() if value == 0} == {id(each) for each in decayed}


def test_a_warm_up_rises_and_then_follows_the_schedule() -> None:
    def rates(**recipe: Any) -> list[float]:
        settings = recipe_with(learning_rate=1.0, epochs=1, **recipe)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = build_schedule(optimizer, settings, steps_per_epoch=12)
        found = []
        for _ in range(12):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return [*found, optimizer.param_groups[0]["lr"]]

    assert rates(schedule="constant", warmup=4) == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 10)
    cosine = rates(schedule="cosine", warmup=4)
    assert cosine[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert cosine[8] == pytest.approx(0.5)
    assert cosine[12] == pytest.approx(0)
    assert cosine[4:] == sorted(cosine[4:], reverse=True)
    with pytest.raises(ValidationError, match="rises by itself"):
        recipe_with(schedule="onecycle", warmup=4)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_recipe_sets_the_threads(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Whatever the cores: another number rounds gradients differently."""
    used = []
    monkeypatch.setattr(loop, "validate", lambda _: used.append(torch.get_num_threads()))
    run(prepared, job(tmp_path, {"threads": threads, "epochs": 1}))
    assert used == [threads]


def stopped_before_the_end(prepared: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TensorBoardLogs, "write_recipe", stop)
        with pytest.raises(KeyboardInterrupt):
            run(prepared, job(folder))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"recipe": {"learning_rate": 0.01}}, "the recipe"),
        ({"code": "new"}, "the code"),
        ({"seed": 1}, "the seed"),
    ],
)
def test_what_changed_starts_from_scratch(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, changes: dict[str, Any], what: str,
) -> None:  # fmt: skip
    stopped_before_the_end(prepared, tmp_path, monkeypatch)
    caplog.set_level(logging.INFO)
    run(prepared, job(tmp_path, **changes))
    assert f"training starts from scratch, because this changed: {what}\n" in caplog.text
    run(prepared, job(tmp_path / "whole", **changes))
    assert results(tmp_path) == results(tmp_path / "whole")


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_a_damaged_checkpoint_is_renamed(
    prepared: Prepared, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, keep: int,
) -> None:  # fmt: skip
    """The one before it is used, and the end is the same."""
    stopped_before_the_end(prepared, tmp_path, monkeypatch)
    newest = tmp_path / "state" / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:keep])
    run(prepared, job(tmp_path))
    assert "is damaged; it was renamed" in caplog.text
    assert newest.with_suffix(".damaged").exists()
    assert results(tmp_path) == results(undisturbed)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path}/run",)

    torch.save({"key": KEY.model_dump(), "state": Evil()}, tmp_path / "checkpoint.pt")
    assert Checkpoints(tmp_path, KEY).load() is None
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_names_candidates(prepared: Prepared, tmp_path: Path) -> None:
    wild = job(tmp_path, {"optimizer": "sgd", "learning_rate": 1e30, "schedule": "constant"})
    with pytest.raises(UserError, match=r"not finite in epoch 1, from batch \d+ on \(candidates \d+, "):
        run(prepared, wild)
    assert not wild.model_file.exists()


def test_a_state_that_is_not_finite_is_never_saved(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a checkpoint after every step: the newest one is from before the weights went wrong."""
    record_step = TrainingState.record_step

    def spoiling(self: TrainingState, *arguments: Any) -> None:
        record_step(self, *arguments)
        if self.step == 3:
            with torch.no_grad():
                self.model.head_linear.bias.fill_(float("nan"))

    monkeypatch.setattr(TrainingState, "record_step", spoiling)
    with pytest.raises(UserError, match="in epoch 1, from batch 4 on"):
        run(prepared, job(tmp_path), Logs(checkpoint_minutes=1e-9))
    kept = load_tensors(tmp_path / "state" / "checkpoint.pt")["state"]
    assert kept["step"] == 2
    assert all(weights.isfinite().all() for weights in kept["model"].values())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_too_little_memory_names_the_batch_size(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(loop, "fit", fail)
    with pytest.raises(UserError, match="too small for batch_size 8; try 4, or close other programs"):
        run(prepared, job(tmp_path))


def test_initial_weights_from_a_file(prepared: Prepared, undisturbed: Path, tmp_path: Path) -> None:
    """Without epochs the model is what the file holds; another content of the file starts afresh."""
    weights = tmp_path / "weights.pt"
    torch.save(ModelFile.load(undisturbed / "model.pt").weights, weights)
    run(prepared, job(tmp_path, {"epochs": 0, "init_weights": str(weights)}))
    first = ModelFile.load(tmp_path / "model.pt").weights
    assert all(torch.equal(first[name], value) for name, value in load_tensors(weights).items())
    torch.save({name: 2 * value for name, value in first.items()}, weights)
    run(prepared, job(tmp_path, {"epochs": 0, "init_weights": str(weights)}))
    second = ModelFile.load(tmp_path / "model.pt").weights
    assert all(torch.equal(second[name], 2 * value) for name, value in first.items())


def test_no_epochs_give_the_model_as_it_begins(prepared: Prepared, tmp_path: Path) -> None:
    assert not len(run(prepared, job(tmp_path, {"epochs": 0})))
    assert ModelFile.load(tmp_path / "model.pt").epoch == 0


def test_early_stopping(prepared: Prepared, tmp_path: Path) -> None:
    """The first epoch stays the best one, because afterwards nothing is learned."""
    history = run(prepared, job(tmp_path, {"epochs": 9, "early_stopping": 2, "learning_rate": 1e-12}))
    best = ModelFile.load(tmp_path / "model.pt").epoch
    assert history["epoch"].max() == best + 2 < 9


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "sgd", "schedule": "constant"}, {"schedule": "cosine", "weight_decay": 0.01},
        {"gradient_clip": 0.1}, {"positive_weight": 20, "balance": 0}, {"focal_gamma": 2},
        {"select": "auc"}, {"precision": OTHER_PRECISION},
        {"model": {"name": "residual", "channels": [2, 4]}},
    ],
    ids=str,
)  # fmt: skip
def test_recipes(prepared: Prepared, undisturbed: Path, tmp_path: Path, recipe: dict[str, Any]) -> None:
    history = run(prepared, job(tmp_path, recipe))
    assert np.isfinite(history["loss/all"]).all()
    changed, before = (ModelFile.load(folder / "model.pt").weights for folder in (tmp_path, undisturbed))
    differ = changed.keys() != before.keys() or any(
        not torch.equal(changed[name], before[name]) for name in before
    )
    assert differ or recipe == {"select": "auc"}, "the key has no effect on the weights"


@pytest.mark.parametrize(
    ("schedule", "last"), [("constant", 0.01), ("cosine", 0.0), ("onecycle", 0.01 / 25 / 1e4)]
)
def test_a_schedule_ends_where_it_should(
    prepared: Prepared, tmp_path: Path, schedule: str, last: float
) -> None:
    """After the last step of the last epoch, by the checkpoint."""
    run(prepared, job(tmp_path, {"schedule": schedule, "learning_rate": 0.01}))
    state = load_tensors(tmp_path / "state" / "checkpoint.pt")["state"]
    assert state["schedule"]["last_epoch"] == 2 * 8
    assert state["optimizer"]["param_groups"][0]["lr"] == pytest.approx(last, abs=1e-9)


def test_bf16_learns_like_fp32(prepared: Prepared, tmp_path: Path) -> None:
    losses = [
        run(prepared, job(tmp_path / precision, {"precision": precision}))["loss/all"].to_numpy()
        for precision in ("fp32", "bf16")
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("machines", [1, 2])
def test_two_processes_train_as_one(prepared: Prepared, tmp_path: Path, machines: int) -> None:
    """With gloo: half the batch each, augmentation, normalisation and an uneven last batch included.
    On one machine, and with the launch line for two."""
    shared = {"precision": "fp32", "samples_per_epoch": 61, "positive_weight": 3}
    one, two = (recipe_with(**shared, **each) for each in ({"batch_size": 8}, {"batch_size": 4, "gpus": 2}))
    train_program.main(command(prepared, tmp_path / "one", one, "10"))
    damaged = tmp_path / "two" / "state" / "checkpoint.pt"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"PK damaged")
    launcher = ["-m", "torch.distributed.run", "--nnodes", str(machines)]
    launcher += ["--nproc-per-node", str(2 // machines), "--rdzv-backend", "c10d", "--rdzv-id", "test"]
    launcher += ["--rdzv-endpoint", f"127.0.0.1:{free_port()}", str(tmp_path / "impatient.py")]
    # Where Python threads hardly ever take turns, threads of gloo that wait for Python's lock at the end
    # have stopped the whole training for ever.
    (tmp_path / "impatient.py").write_text("import sys, train\nsys.setswitchinterval(1000)\ntrain.main()\n")
    with ThreadPoolExecutor(machines) as pool:
        teams = [
            pool.submit(start, *launcher, *command(prepared, tmp_path / "two", two, "10"))
            for _ in range(machines)
        ]
    together = [team.result() for team in teams]
    assert all(each.returncode == 0 for each in together), together[0].stderr + together[-1].stderr
    logged = sum(each.stderr.count("E1 trn all:") for each in together)
    assert logged == 1, "only the first process logs"
    assert damaged.with_suffix(".damaged").read_bytes() == b"PK damaged", "only the first process renames"
    histories = [pd.read_csv(tmp_path / name / "history.csv") for name in ("one", "two")]
    for name in ("loss/all", "loss/neg", "loss/pos"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], atol=1e-4)
    assert (histories[0]["samples"] == histories[1]["samples"]).all()


def test_from_a_notebook(prepared: Prepared, tmp_path: Path) -> None:
    """In-process with a list of arguments, the chapter's options and split among them."""
    options = command(prepared, tmp_path, Recipe(model=NetworkSettings(channels=(2, 4))))
    chapter = ["--epochs=1", "--batch-size=64", "--split.method=stride", "--split.stride=5"]
    train_program.LunaTrainingApp([*options, *chapter]).main()
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["samples"].tolist() == [
        len(prepared.candidates) - -(-len(prepared.candidates) // 5), -(-len(prepared.candidates) // 5),
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"--epochs: '-1' is not allowed"):
        train_program.LunaTrainingApp([*options, "--epochs=-1"]).main()


@pytest.mark.parametrize("part", ["trn", "val"])
def test_other_labels_start_from_scratch(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, part: str,
) -> None:  # fmt: skip
    """The same places with another class, among the samples that train or those that choose."""
    stopped_before_the_end(prepared, tmp_path, monkeypatch)
    rows = getattr(split_rows(prepared.candidates, 0, SplitSettings()), part)
    labels = prepared.candidates["class"].copy()
    labels[rows[0]] = 1 - labels[rows[0]]
    relabelled = replace(prepared, candidates=prepared.candidates.assign(**{"class": labels}))
    caplog.set_level(logging.INFO)
    run(relabelled, job(tmp_path))
    assert "training starts from scratch, because this changed: the data\n" in caplog.text


def test_an_epoch_without_the_metric_never_beats_one_with_it() -> None:
    """An F1 and a loss cannot be compared."""
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    state = TrainingState(model, optimizer, schedule, torch.device("cpu"))
    best = []
    for value, metric in (
        (0.7, "loss/all"), (0.9, "loss/all"), (0.1, "f1"), (0.05, "loss/all"), (None, "loss/all"),
        (0.3, "f1"), (0.2, "f1"), (5.0, "loss/all"),
    ):  # fmt: skip
        state.epoch += 1
        state.keep_if_best(value, metric, np.zeros(3))
        best.append(state.best.epoch)
    assert best == [1, 1, 3, 3, 3, 6, 6, 6]


def test_a_second_stage_on_larger_crops(prepared: Prepared, tmp_path: Path) -> None:
    """It starts from the first stage's convolutions; the last layer, of another size, starts anew."""
    small = {"crop": [8, 12, 12], "epochs": 1}
    run(prepared, job(tmp_path / "first", small))
    first = ModelFile.load(tmp_path / "first" / "model.pt")
    assert first.crop == (8, 12, 12)
    weights = tmp_path / "first" / "model.pt"
    second_stage = {"init_weights": "run:first", "epochs": 0}
    run(prepared, job(tmp_path / "second", second_stage, weights_of_run=weights))
    run(prepared, job(tmp_path / "scratch", {"epochs": 0}))
    second, scratch = (ModelFile.load(tmp_path / name / "model.pt") for name in ("second", "scratch"))
    assert second.crop == (16, 16, 16)
    for name, value in second.weights.items():
        is_head = name == "head_linear.weight"
        assert torch.equal(value, (scratch if is_head else first).weights[name]), name
    with pytest.raises(UserError, match="init_weights is run:first: give"):
        run(prepared, job(tmp_path / "third", second_stage))


def test_a_file_of_weights_must_fit(prepared: Prepared, undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"head_linear.weight: shape \(2, .*\), the model has"):
        run(prepared, job(tmp_path, {"crop": [8, 12, 12], "init_weights": str(undisturbed / "model.pt")}))

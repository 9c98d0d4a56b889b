"""Training: resumed bit for bit, stopped with clear words, shared among processes."""

import logging
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as functional
import train as train_program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import PROJECT, SMALL_CROP, Prepared
from luna.checkpoints import Checkpoints, load_tensors
from luna.config import complete_recipe
from luna.crops import CachedCrops
from luna.gpus import claim_gpu
from luna.inference import load_model_file
from luna.metrics import NAMES
from luna.program import UserError
from luna.tensorboard import LogNames
from luna.training import Machine, Training, TrainingJob, train, weighted_loss

RECIPE = {
    "epochs": 2, "batch_size": 8, "balance": 1, "samples_per_epoch": 60, "optimizer": "adamw",
    "schedule": "onecycle", "model": {"channels": [2, 4]},
    "augmentation": {"flip": 0.5, "shift": 1, "scale": 0.05, "rotate": 20, "noise": 10},
}  # fmt: skip
CACHE = '{"crop": [16, 16, 16], "margin": [1, 2, 2]}'


def job(folder: Path, recipe: dict[str, Any] | None = None, **changes: Any) -> TrainingJob:
    settings: dict[str, Any] = {
        "run": "test", "fold": 0, "recipe": complete_recipe(RECIPE | (recipe or {})),
        "split": {"method": "subset", "stride": 10}, "seed": 0, "code": "code",
        "model_file": folder / "model.pt", "history_file": folder / "history.csv",
        "state_folder": folder / "state",
    }  # fmt: skip
    return TrainingJob(**(settings | changes))


def run(prepared: Prepared, job: TrainingJob, **machine: Any) -> pd.DataFrame:
    source = CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP)
    train(
        job, Machine(device="cpu", threads=1, **({"num_workers": 1} | machine)), prepared.candidates, source
    )
    return pd.read_csv(job.history_file)


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("model.pt", "history.csv")]


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
    model = load_model_file(undisturbed / "model.pt")
    assert (model["epoch"], model["crop"], model["clip"]) == (best, [16, 16, 16], [-1000, 1000])
    assert {"threshold", "class_names", "recipe", "code", "data", "seed", "split"} <= set(model)


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
from luna.training import Training
step, left = Training.train_step, [int(sys.argv.pop(1))]
def dying(self, *arguments):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *arguments)
Training.train_step = dying
import train
train.main()
"""


def command(prepared: Prepared, out: Path, recipe: str = "{}", minutes: str = "0.000001") -> list[str]:
    return [
        "--series", f"{prepared.folder}/series.csv", "--candidates", f"{prepared.folder}/candidates.csv",
        "--crops", str(prepared.crops), "--cache", CACHE, "--out", str(out), "--recipe", recipe,
        "--device", "cpu", "--threads", "1", "--num-workers", "1", "--checkpoint-minutes", minutes,
    ]  # fmt: skip


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{PROJECT}/workflow:{PROJECT}/workflow/scripts"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment
    )


FULL_RECIPE = str(complete_recipe(RECIPE)).replace("'", '"')


@pytest.fixture(scope="module")
def undisturbed_program(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed_program")
    done = start("-m", "train", *command(prepared, folder, FULL_RECIPE))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("step", [0, 3, 8, 13])
def test_killed_at_any_step_it_ends_with_the_same_files(
    prepared: Prepared, undisturbed_program: Path, tmp_path: Path, step: int
) -> None:
    """SIGKILL before a step of the first or the second epoch, with a checkpoint after every step."""
    arguments = command(prepared, tmp_path / "killed", FULL_RECIPE)
    assert start("-c", KILLED, str(step), *arguments).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.pt").exists()
    again = start("-m", "train", *arguments)
    assert again.returncode == 0, again.stderr
    assert ("resuming" in again.stderr) == (step > 0)
    assert results(tmp_path / "killed") == results(undisturbed_program)


def stopped_after_first_epoch(prepared: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Training) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Training, "log_recipe", stop)
        with pytest.raises(KeyboardInterrupt):
            run(prepared, job(folder))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"recipe": complete_recipe(RECIPE | {"learning_rate": 0.01})}, "the recipe"),
        ({"code": "new"}, "the code"),
        ({"seed": 1}, "the seed"),
    ],
)
def test_what_changed_starts_afresh(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, changes: dict[str, Any], what: str,
) -> None:  # fmt: skip
    stopped_after_first_epoch(prepared, tmp_path, monkeypatch)
    caplog.set_level(logging.INFO)
    run(prepared, job(tmp_path, **changes))
    assert f"training starts afresh, because this changed: {what}\n" in caplog.text
    run(prepared, job(tmp_path / "whole", **changes))
    assert results(tmp_path) == results(tmp_path / "whole")


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_a_damaged_checkpoint_is_set_aside(
    prepared: Prepared, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, keep: int,
) -> None:  # fmt: skip
    """The one before it is used, and the end is the same."""
    stopped_after_first_epoch(prepared, tmp_path, monkeypatch)
    newest = tmp_path / "state" / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:keep])
    run(prepared, job(tmp_path))
    assert "is damaged; it is set aside" in caplog.text
    assert newest.with_suffix(".damaged").exists()
    assert results(tmp_path) == results(undisturbed)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path}/run",)

    torch.save({"keys": {"k": ""}, "state": Evil()}, tmp_path / "checkpoint.pt")
    assert Checkpoints(tmp_path, {"k": ""}).load() is None
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
    step = Training.train_step

    def spoiling(self: Training, *arguments: Any) -> Any:
        outcome = step(self, *arguments)
        if self.step == 2:
            with torch.no_grad():
                self.model.head_linear.bias.fill_(float("nan"))
        return outcome

    monkeypatch.setattr(Training, "train_step", spoiling)
    with pytest.raises(UserError, match="in epoch 1, from batch 4 on"):
        run(prepared, job(tmp_path), checkpoint_minutes=1e-9)
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
    def fail(self: Training) -> None:
        raise error

    monkeypatch.setattr(Training, "run", fail)
    with pytest.raises(UserError, match="too small for batch_size 8; try 4, or close other programs"):
        run(prepared, job(tmp_path))


def test_initial_weights_from_a_file(prepared: Prepared, undisturbed: Path, tmp_path: Path) -> None:
    """Without epochs the model is what the file holds; another content of the file starts afresh."""
    weights = tmp_path / "weights.pt"
    torch.save(load_model_file(undisturbed / "model.pt")["weights"], weights)
    run(prepared, job(tmp_path, {"epochs": 0, "init_weights": str(weights)}))
    loaded = load_model_file(tmp_path / "model.pt")["weights"]
    assert all(torch.equal(loaded[name], value) for name, value in load_tensors(weights).items())


def test_no_epochs_give_the_model_as_it_begins(prepared: Prepared, tmp_path: Path) -> None:
    assert not len(run(prepared, job(tmp_path, {"epochs": 0})))
    assert load_model_file(tmp_path / "model.pt")["epoch"] == 0


def test_early_stopping(prepared: Prepared, tmp_path: Path) -> None:
    """The first epoch stays the best one, because afterwards nothing is learned."""
    history = run(prepared, job(tmp_path, {"epochs": 9, "early_stopping": 2, "learning_rate": 1e-12}))
    best = load_model_file(tmp_path / "model.pt")["epoch"]
    assert history["epoch"].max() == best + 2 < 9


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "sgd", "schedule": "constant"}, {"schedule": "cosine", "weight_decay": 0.01},
        {"gradient_clip": 0.1}, {"positive_weight": 20, "balance": 0}, {"focal_gamma": 2},
        {"select": "auc"}, {"precision": "bf16"}, {"model": {"name": "residual", "channels": [2, 4]}},
    ],
    ids=str,
)  # fmt: skip
def test_recipes(prepared: Prepared, undisturbed: Path, tmp_path: Path, recipe: dict[str, Any]) -> None:
    history = run(prepared, job(tmp_path, recipe))
    assert np.isfinite(history["loss/all"]).all()
    assert results(tmp_path) != results(undisturbed), "the key has an effect"


def test_bf16_learns_like_fp32(prepared: Prepared, tmp_path: Path) -> None:
    losses = [
        run(prepared, job(tmp_path / precision, {"precision": precision}))["loss/all"].to_numpy()
        for precision in ("fp32", "bf16")
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)


def test_losses_follow_their_formulas() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    losses = functional.cross_entropy(logits, labels, reduction="none")
    plain = {"focal_gamma": 0, "positive_weight": 1}
    torch.testing.assert_close(weighted_loss(losses, labels, plain), losses.mean())
    weighted = weighted_loss(losses, labels, plain | {"positive_weight": 3})
    torch.testing.assert_close(
        weighted, functional.cross_entropy(logits, labels, weight=torch.tensor([1.0, 3.0]))
    )
    right = logits.softmax(1)[torch.arange(3), labels]
    focal = weighted_loss(losses, labels, plain | {"focal_gamma": 2})
    torch.testing.assert_close(focal, ((1 - right) ** 2 * -right.log()).mean())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("machines", [1, 2])
def test_two_processes_train_as_one(prepared: Prepared, tmp_path: Path, machines: int) -> None:
    """With gloo: half the batch each, augmentation, normalisation and an uneven last batch included.
    On one machine, and with the launch line for two."""
    shared = complete_recipe(RECIPE | {"precision": "fp32", "samples_per_epoch": 61, "positive_weight": 3})
    one, two = (
        str(shared | each).replace("'", '"') for each in ({"batch_size": 8}, {"batch_size": 4, "gpus": 2})
    )
    alone = start("-m", "train", *command(prepared, tmp_path / "one", one, "10"))
    launcher = ["-m", "torch.distributed.run", "--nnodes", str(machines)]
    launcher += ["--nproc-per-node", str(2 // machines), "--rdzv-backend", "c10d", "--rdzv-id", "test"]
    launcher += ["--rdzv-endpoint", f"127.0.0.1:{free_port()}", "-m", "train"]
    with ThreadPoolExecutor(machines) as pool:
        teams = [
            pool.submit(start, *launcher, *command(prepared, tmp_path / "two", two, "10"))
            for _ in range(machines)
        ]
    together = [team.result() for team in teams]
    assert alone.returncode == 0, alone.stderr
    assert all(each.returncode == 0 for each in together), together[0].stderr + together[-1].stderr
    told = sum(each.stderr.count("E1 trn all:") for each in together)
    assert told == 1, "only the first process tells"
    histories = [pd.read_csv(tmp_path / name / "history.csv") for name in ("one", "two")]
    for name in ("loss/all", "loss/neg", "loss/pos"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], atol=1e-4)
    assert (histories[0]["samples"] == histories[1]["samples"]).all()


CLAIM = """
import sys
from pathlib import Path
from luna.gpus import claim_gpu
print(claim_gpu(["GPU-a", "GPU-b"], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_jobs_side_by_side_claim_different_gpus(tmp_path: Path) -> None:
    """A claim ends with its process, also when that is killed."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "workflow")}

    def job_that_claims() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment,
        )  # fmt: skip

    first, second = job_that_claims(), job_that_claims()
    claimed = [job.stdout.readline().strip() for job in (first, second)]
    assert sorted(claimed) == ["0", "1"]
    third = job_that_claims()
    first.kill()
    assert third.stdout.readline().strip() == claimed[0]
    for each in (first, second, third):
        each.kill()
        each.wait()
    assert claim_gpu(["GPU-a"], tmp_path) == 0
    assert claim_gpu(["GPU-a"], tmp_path) == 0, "a second training in the same notebook"


@pytest.mark.parametrize(
    ("names", "folders", "tag"),
    [
        (LogNames(Path("logs")), ["test-fold0-trn", "test-fold0-val"], "loss/all"),
        (
            LogNames(Path("logs"), "mine", "try2"),
            ["mine/test-fold0-try2-trn", "mine/test-fold0-try2-val"],
            "auc",
        ),
        (LogNames(Path("logs"), writers="one"), ["test-fold0"], "val/loss/pos"),
    ],
)
def test_tensorboard(
    prepared: Prepared, tmp_path: Path, names: LogNames, folders: list[str], tag: str
) -> None:
    """Names by the options; scalars, curves, histograms, pictures and the recipe by samples seen."""
    moved = LogNames(tmp_path / names.folder, names.prefix, names.comment, names.writers)
    run(prepared, job(tmp_path), log_names=moved)
    logs = {str(path.parent.relative_to(moved.folder)) for path in moved.folder.rglob("events.*")}
    assert sorted(logs) == folders
    events = EventAccumulator(str(moved.folder / folders[-1]))
    events.Reload()
    tags = events.Tags()
    assert [event.step for event in events.Scalars(tag)] == [60, 120]
    assert any(name.endswith("worst/missed_nodule") for name in tags["images"])
    assert any(name.endswith("pr") for name in tags["tensors"])
    assert "_hparams_/session_start_info" in str(events.PluginTagToContent("hparams").keys())


def test_without_epochs_no_log_is_opened(prepared: Prepared, tmp_path: Path) -> None:
    run(prepared, job(tmp_path, {"epochs": 0}), log_names=LogNames(tmp_path / "logs"))
    assert not (tmp_path / "logs").exists()


def test_from_a_notebook(prepared: Prepared, tmp_path: Path) -> None:
    """In-process with a list of arguments, the chapter's options among them."""
    arguments = command(prepared, tmp_path, '{"model": {"channels": [2, 4]}}')
    train_program.LunaTrainingApp([*arguments, "--epochs=1", "--batch-size=64", "--val-stride=5"]).main()
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["samples"].tolist() == [
        len(prepared.candidates) - -(-len(prepared.candidates) // 5), -(-len(prepared.candidates) // 5),
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"epochs: .*minimum"):
        train_program.LunaTrainingApp([*arguments, "--epochs=-1"]).main()

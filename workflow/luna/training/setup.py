"""Everything a training needs before its first step."""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from luna.base.digests import digest
from luna.base.randomness import torch_seed
from luna.batches.dataset import LunaDataset
from luna.batches.epoch import Epoch
from luna.batches.loaders import Loader, make_loader
from luna.config.machine import Logs, MachineSettings
from luna.config.recipe import Recipe
from luna.model.arithmetic import check_arithmetic
from luna.model.build import build_model
from luna.model.file import HEAD, load_weights, weights_digest
from luna.model.key import TrainingKey
from luna.model.parallel import share
from luna.runtime.device import place, uses_bf16
from luna.runtime.team import Team
from luna.training.checkpoints import Checkpoints
from luna.training.history import History
from luna.training.job import TrainingJob
from luna.training.optim import build_optimizer, build_schedule
from luna.training.state import TrainingState
from luna.training.tensorboard import TensorBoardLogs

log = logging.getLogger(__name__)


@dataclass
class Setup:
    """A training that is ready to start or to be resumed.

    network: the model as the team trains it; state.model holds the same weights.
    """

    job: TrainingJob
    device: torch.device
    team: Team
    training: Loader
    validation: Loader
    network: nn.Module
    state: TrainingState
    checkpoints: Checkpoints
    history: History
    logs: TensorBoardLogs


def set_up(
    job: TrainingJob,
    key: TrainingKey,
    machine: MachineSettings,
    logs: Logs,
    device: torch.device,
    team: Team,
    training_set: LunaDataset,
    validation_set: LunaDataset,
) -> Setup:
    """Build model, optimizer and loaders; resume from a checkpoint if there is one of this very job."""
    recipe = job.recipe
    torch.manual_seed(torch_seed(job.seed, "weights"))
    model = build_model(recipe.model, training_set.crop_size)
    if job.weights_file:
        load_weights(model, job.weights_file, may_differ=HEAD if job.may_change_head else "")
    place(model, device)
    check_arithmetic(model, training_set.crop_size, device, recipe.precision)
    network = share(model, device, team)
    first = Epoch(1, training_set.labels, recipe, job.seed, team)
    optimizer = build_optimizer(model, recipe)
    schedule = build_schedule(optimizer, recipe, len(first.batches))
    state = TrainingState(model, optimizer, schedule, device, recipe.average)
    checkpoints = Checkpoints(job.state_folder, key, logs.checkpoint_minutes)
    tensorboard = TensorBoardLogs(logs if team.is_first else Logs(), job.run, job.fold)
    with team.first_before_others():
        saved = checkpoints.load()
    if saved is not None:
        state.load_state_dict(saved)
        log.info("resuming after epoch %d, step %d", state.epoch, state.step)
    else:
        tensorboard.set_aside()
    training, validation = (
        make_loader(dataset, device, machine.loader, machine.num_workers // team.size)
        for dataset in (training_set, validation_set)
    )
    return Setup(
        job, device, team, training, validation, network, state, checkpoints,
        History(job.run, job.fold, tensorboard), tensorboard,
    )  # fmt: skip


def trained_by(recipe: Recipe) -> dict[str, Any]:
    """The keys of a recipe that a training depends on: all but how its probabilities are calibrated."""
    return recipe.model_dump(mode="json", exclude={"calibration"})


def training_key(
    job: TrainingJob, device_kind: str, training_set: LunaDataset, validation_set: LunaDataset
) -> TrainingKey:
    """What this training depends on."""
    recipe = job.recipe
    return TrainingKey(
        recipe=digest([trained_by(recipe), job.split.model_dump(mode="json")]),
        seed=digest(job.seed),
        code=job.code,
        data=digest([training_set.digest, validation_set.digest]),
        weights=weights_digest(job.weights_file) if job.weights_file else "",
        device=device_kind,
        arithmetic="bf16" if uses_bf16(torch.device(device_kind), recipe.precision) else "fp32",
        torch=str(torch.__version__),
    )

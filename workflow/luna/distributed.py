"""Several processes that train one model together, one GPU each, started by torchrun."""

import os
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from luna.dataset import IntArray
from luna.model import InputNorm


@dataclass(frozen=True)
class Team:
    """This process' place among those that train together; alone without torchrun."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def part(self, indices: IntArray) -> slice:
        """Which of these samples are this process'; every one belongs to exactly one."""
        cuts = [len(indices) * number // self.size for number in range(self.size + 1)]
        return slice(cuts[self.rank], cuts[self.rank + 1])

    def sum(self, values: Tensor) -> None:
        """Replace the values by their sum over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(values)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            torch.distributed.barrier()


ALONE = Team()


def team_size() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join_team(device: torch.device) -> Team:
    """Join the processes that torchrun started; a team of one without it."""
    if team_size() == 1:
        return ALONE
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Team(torch.distributed.get_rank(), torch.distributed.get_world_size())


def leave_team() -> None:
    """End what `join_team` began."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def share(model: nn.Module, device: torch.device, team: Team) -> nn.Module:
    """The model as the team trains it: gradients are averaged, batches are normalised as one."""
    if team.size == 1:
        return model
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm3d):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], _shared(module))
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids)


class SharedBatchNorm3d(InputNorm):
    """Batch normalisation by mean and variance of all processes' samples.

    torch's own SyncBatchNorm does this on GPUs only; this is the same on every device, so what is
    tested on a CPU is what runs on GPUs.
    """

    def standardised(self, crops: Tensor) -> Tensor:
        """(n, channels, d, h, w), n may differ from process to process."""
        if not self.training:
            return super().standardised(crops)
        axes = [0, 2, 3, 4]
        values = crops.double()
        voxels = values.new_tensor([crops.numel() / crops.shape[1]])
        sums: Tensor = all_reduce(torch.cat([voxels, values.sum(axes), values.square().sum(axes)]))
        count, total, squares = sums.split([1, crops.shape[1], crops.shape[1]])
        mean = total / count
        variance = squares / count - mean.square()
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            with torch.no_grad():
                self.running_mean.lerp_(mean.float(), self.momentum)
                self.running_var.lerp_((variance * count / (count - 1)).float(), self.momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked += 1
        factor = torch.rsqrt(variance + self.eps).float()
        return (crops - _of_channels(mean.float())) * _of_channels(factor)

    def forward(self, crops: Tensor) -> Tensor:
        """Standardised, scaled and shifted."""
        return self.standardised(crops) * _of_channels(self.weight) + _of_channels(self.bias)


def _of_channels(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1, 1)


def _shared(norm: nn.BatchNorm3d) -> SharedBatchNorm3d:
    shared = SharedBatchNorm3d(norm.num_features, norm.eps, norm.momentum or 0.1)
    shared.load_state_dict(norm.state_dict())
    return shared.to(norm.weight.device)

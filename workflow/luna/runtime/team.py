"""Several processes that train one model together, one GPU each, started by torchrun."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch.distributed
from torch import Tensor

from luna.base.arrays import IntArray


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

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Let the first process do something before all others do the same."""
        if self.size > 1 and not self.is_first:
            torch.distributed.barrier()
        yield
        if self.size > 1 and self.is_first:
            torch.distributed.barrier()


ALONE = Team()


def team_size() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def team_size_here() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


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
        torch.distributed.barrier()
        # gloo's threads need Python's lock to free what they have just sent, and destroying the group
        # waits for them with that lock held: for ever, unless they are done by then (torch 2.13).
        time.sleep(0.2)
        torch.distributed.destroy_process_group()

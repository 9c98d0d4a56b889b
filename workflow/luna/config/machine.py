"""How a program is run and what it writes on the way. Nothing here changes a result."""

from typing import Annotated, Literal

from pydantic import Field

from luna.config.section import Section, ShortOption

Name = Annotated[str, Field(pattern="^[A-Za-z0-9_.-]*$")]


class MachineSettings(Section):
    """The device, and how crops reach it."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` uses a CUDA GPU where there is one."""

    loader: Literal["auto", "threads", "workers", "device"] = "auto"
    """How crops reach the model: read by `threads`, by `workers` (processes of torch's
    DataLoader), or all held on the `device`; `auto` chooses by what fits and logs why."""

    num_workers: Annotated[int, Field(ge=0, le=256)] = 8
    """Readers of crops beside the model, at most one per core; 0 reads between the steps."""


class LogSettings(Section):
    """Checkpoints and TensorBoard logs of a training."""

    checkpoint_minutes: Annotated[float, Field(gt=0)] = 10
    """Minutes between checkpoints within an epoch; there is always one after each epoch."""

    tensorboard_prefix: Annotated[Name, ShortOption("--tb-prefix")] = ""
    """Folder of the TensorBoard logs below results/tensorboard."""

    tensorboard_writers: Annotated[Literal["two", "one"], ShortOption("--tb-writers")] = "two"
    """`two` logs, training and validation, which TensorBoard draws into one plot; or `one`
    with keys trn/ and val/."""

    comment: Name = ""
    """A comment at the end of the names of the TensorBoard logs."""


class Machine(MachineSettings):
    """The machine a finished model is used on: the device, how crops reach it, and the threads."""

    threads: Annotated[int, Field(ge=1)] = 64
    """Threads to compute with, never more than the cores; they change no probability."""


class Logs(LogSettings):
    """Checkpoints and TensorBoard logs of a training, and where the logs go."""

    tensorboard: str = ""
    """Folder of the TensorBoard logs; empty for none."""

"""A recipe: everything about a training that changes the trained model."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from luna.config.cache import Size as CropSize
from luna.config.section import GivenPath, Section

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
CalibrationMethod = Literal["platt", "temperature", "isotonic", "none"]


class Augmentation(Section):
    """Random changes to every training crop, drawn again in each epoch. All off by default."""

    flip: Share = 0
    """Probability of mirroring each axis."""

    shift: NotNegative = 0
    """Largest shift along each axis, in voxels."""

    scale: Annotated[float, Field(ge=0, le=0.9)] = 0
    """Largest change of size, as a fraction (0.1 means 90 to 110 per cent)."""

    rotate: Annotated[float, Field(ge=0, le=180)] = 0
    """Largest rotation in the row-column plane, in degrees."""

    contrast: Annotated[float, Field(ge=0, lt=1)] = 0
    """Largest change of contrast about -850 HU, the lung, as a fraction (0.1 means 90 to 110 per cent)."""

    brightness: NotNegative = 0
    """Largest shift of all voxels of a crop, in HU."""

    blur: Share = 0
    """Probability of a slight blur in the row-column plane."""

    noise: NotNegative = 0
    """Standard deviation of added Gaussian noise, in HU."""


class NetworkSettings(Section):
    """The network."""

    name: Literal["luna", "residual"] = "luna"
    """Architecture: a module of luna/model/."""

    init: Literal["chapter", "torch"] = "chapter"
    """Initial weights: `chapter` draws them as the book does; `torch` starts to learn three times sooner."""

    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1)] = (
        8,
        16,
        32,
        64,
    )
    """Channels of each block; every block halves the crop."""


class Recipe(Section):
    """A recipe. The same keys in `training` set what all runs share."""

    epochs: Annotated[int, Field(ge=0)] = 1
    """Passes over the training samples."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    """Samples in one training step, on one GPU."""

    gpus: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs that train the run together; a step then has as many times the samples."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """The optimizer; momentum applies to sgd only."""

    learning_rate: Positive = 0.001
    """Step size; its maximum with the schedules onecycle and cosine."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Momentum of sgd."""

    weight_decay: NotNegative = 0
    """Weight decay of the optimizer."""

    decay: Literal["all", "kernels"] = "all"
    """What the weight decay acts on: `kernels` spares biases and the weights of normalisations."""

    schedule: Literal["constant", "onecycle", "cosine"] = "constant"
    """How the learning rate changes from step to step."""

    warmup: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises at the start; not with onecycle, which rises by itself."""

    average: Annotated[float, Field(ge=0, lt=1)] = 0
    """Decay of an exponential moving average of the weights, step by step, such as 0.997. The averaged
    weights are those that are validated and kept; 0 keeps the weights themselves. In the first steps the
    decay is smaller: (1 + n) / (10 + n) after n of them."""

    balance: NotNegative = 0
    """Negatives for each positive in an epoch; 0 keeps the natural ratio."""

    samples_per_epoch: Annotated[int, Field(ge=0)] = 0
    """Training samples in one epoch; 0 means all."""

    augmentation: Augmentation = Augmentation()

    gradient_clip: NotNegative = 0
    """Largest norm of the gradient; 0 does not clip it."""

    positive_weight: Positive = 1
    """Weight of a nodule's loss relative to that of other samples."""

    focal_gamma: NotNegative = 0
    """How strongly the focal loss favours samples that are still wrong; 0 is plain cross entropy."""

    early_stopping: Annotated[int, Field(ge=0)] = 0
    """Stop after this many epochs without a better one; 0 never stops early."""

    select: Literal["loss/all", "correct/all", "auc", "average_precision", "f1"] = "loss/all"
    """The validation metric that chooses the best epoch."""

    calibration: CalibrationMethod = "platt"
    """How probabilities are calibrated on the validation subset: `temperature` scales logits, `platt` shifts
    them too, `isotonic` is a rising curve of steps. A change of it trains nothing anew."""

    crop: tuple[CropSize, ...] = ()
    """Size of the crops that the network sees, in voxels (index, row, column): the middle of those of
    the cache; empty for all of these."""

    model: NetworkSettings = NetworkSettings()

    init_weights: GivenPath = ""
    """Weights of this network to start from: a file, such as published ones; `run:NAME` for those of
    another run and the same fold; or `shipped` for those that come with the project, for fine-tuning.
    With the last two the last layer starts anew where the crops have another size."""

    threads: Annotated[int, Field(ge=1, le=256)] = 2
    """Threads that compute on a CPU, shared by the processes of a run. Their number changes how gradients
    are rounded, so it belongs to the recipe; `--cores` does not change it."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network's layers; `auto` is bf16 where the device gains by it."""

    @field_validator("crop")
    @classmethod
    def _three_sizes_or_none(cls, crop: tuple[int, ...]) -> tuple[int, ...]:
        if len(crop) not in (0, 3):
            raise ValueError("has not three sizes: index, row, column")
        return crop

    @property
    def crop_size(self) -> tuple[int, int, int] | None:
        """The crops' size, where it is not that of the cache."""
        return (self.crop[0], self.crop[1], self.crop[2]) if self.crop else None

    @property
    def starts_from_shipped(self) -> bool:
        """Whether it starts from the weights that come with the project."""
        return self.init_weights == "shipped"

    @property
    def starts_from_file(self) -> bool:
        """Whether it starts from weights of a file, of which nothing more is known."""
        return bool(self.init_weights) and not self.starts_from_shipped and self.earlier_run is None

    @property
    def earlier_run(self) -> str | None:
        """The run whose weights this one starts from, if there is one."""
        before, _, name = self.init_weights.partition(":")
        return name if before == "run" else None

    @model_validator(mode="after")
    def _one_rise(self) -> "Recipe":
        if self.schedule == "onecycle" and self.warmup:
            raise ValueError("has a warmup beside the schedule onecycle, which rises by itself")
        return self

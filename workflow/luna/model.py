"""The networks, by name in MODELS, and how they are built from a config."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from luna.program import UserError

CLASS_NAMES = ("not a nodule", "nodule")


class LunaBlock(nn.Module):
    """Two 3x3x3 convolutions with ReLU, then a pooling that halves every axis."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, channels, kernel_size=3, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv3d(channels, channels, kernel_size=3, padding=1)
        self.relu2 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(2)

    def forward(self, batch: Tensor) -> Tensor:
        """(n, in_channels, d, h, w) -> (n, channels, d/2, h/2, w/2)."""
        batch = self.relu1(self.conv1(batch))
        batch = self.relu2(self.conv2(batch))
        return self.maxpool(batch)


class LunaModel(nn.Module):
    """Chapter 11's network: batch normalisation, one block for each of `channels`, a linear head.

    With the default channels and crop its parameters have the published names and shapes.
    """

    def __init__(self, crop: Sequence[int] = (32, 48, 48), channels: Sequence[int] = (8, 16, 32, 64)) -> None:
        super().__init__()
        self.tail_batchnorm = nn.BatchNorm3d(1)
        self.blocks = []
        for number, (before, after) in enumerate(zip((1, *channels), channels, strict=False), start=1):
            setattr(self, f"block{number}", LunaBlock(before, after))
            self.blocks.append(f"block{number}")
        voxels = math.prod(size // 2 ** len(channels) for size in crop)
        self.head_linear = nn.Linear(channels[-1] * voxels, len(CLASS_NAMES))
        self.head_softmax = nn.Softmax(dim=1)
        initialise(self)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, index, row, column) in HU, float -> logits and probabilities, both (n, 2)."""
        features = self.tail_batchnorm(crops)
        for name in self.blocks:
            features = getattr(self, name)(features)
        # In channels_last_3d the memory is not in this order: reshape copies where view would fail.
        logits = self.head_linear(features.reshape(features.size(0), -1))
        return logits, self.head_softmax(logits.float())


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut; the first halves every axis (He et al. 2016)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, channels, kernel_size=3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(channels)
        self.shortcut = nn.Conv3d(in_channels, channels, kernel_size=1, stride=2, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, batch: Tensor) -> Tensor:
        """(n, in_channels, d, h, w) -> (n, channels, d/2, h/2, w/2)."""
        straight = self.norm1(self.conv1(batch))
        straight = self.norm2(self.conv2(self.relu(straight)))
        return self.relu(straight + self.shortcut(batch))


class ResidualModel(nn.Module):
    """A residual 3-D network: a block for each of `channels`, then the mean over all voxels."""

    def __init__(self, crop: Sequence[int] = (32, 48, 48), channels: Sequence[int] = (8, 16, 32, 64)) -> None:
        super().__init__()
        self.tail_batchnorm = nn.BatchNorm3d(1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(*pair) for pair in zip((1, *channels), channels, strict=False))
        )
        self.head_linear = nn.Linear(channels[-1], len(CLASS_NAMES))
        self.head_softmax = nn.Softmax(dim=1)
        initialise(self)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, index, row, column) in HU, float -> logits and probabilities, both (n, 2)."""
        features = self.blocks(self.tail_batchnorm(crops)).mean(dim=(2, 3, 4))
        logits = self.head_linear(features)
        return logits, self.head_softmax(logits.float())


def initialise(model: nn.Module) -> None:
    """Kaiming-normal weights (fan out, ReLU); biases normal with mean and std of 1/sqrt(fan out)."""
    for module in model.modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=0, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                _, fan_out = nn.init._calculate_fan_in_and_fan_out(module.weight)
                bound = 1 / math.sqrt(fan_out)
                nn.init.normal_(module.bias, -bound, bound)


MODELS: dict[str, Callable[..., nn.Module]] = {"luna": LunaModel, "residual": ResidualModel}


def build_model(model: dict[str, Any], crop: Sequence[int]) -> nn.Module:
    """The network of a recipe's `model` section for a crop size; weights from torch's seed.

    Raises UserError when the crop is too small for so many halvings.
    """
    blocks = len(model["channels"])
    if min(crop) < 2**blocks:
        raise UserError(
            f"model.channels: {blocks} blocks halve a crop of {list(crop)} voxels to nothing;"
            f" take fewer channels, or a cache.crop of at least {2**blocks} on each axis"
        )
    built = MODELS[model["name"]](crop=tuple(crop), channels=model["channels"])
    if model.get("init", "chapter") == "torch":
        for module in built.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                module.reset_parameters()
    return built

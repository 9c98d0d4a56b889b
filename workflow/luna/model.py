"""The networks, by name in MODELS, and how they are built from a config."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from luna.program import UserError

CLASS_NAMES = ("not a nodule", "nodule")


class InputNorm(nn.BatchNorm3d):
    """Batch normalisation of the crops, the first layer of every network here."""

    def standardised(self, crops: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the batch (when training) or by the running statistics."""
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        return functional.batch_norm(
            crops, self.running_mean, self.running_var, training=self.training,
            momentum=self.momentum or 0.0, eps=self.eps,
        )  # fmt: skip

    def then(self, convolution: nn.Conv3d, crops: Tensor) -> Tensor:
        """`convolution` of the normalised crops (n, 1, d, h, w).

        In training, scale and shift are moved into the kernel: conv(a x + b) is a convolution of the
        two channels x and 1 with the kernels a W and b W. Both channels are data, so the gradient with
        respect to the convolution's input, the dearest of the whole network, is never computed.
        """
        if not self.training:
            return convolution(self(crops))
        standardised = self.standardised(crops)
        channels = torch.cat([standardised, torch.ones_like(standardised)], dim=1)
        kernel = torch.cat([convolution.weight * self.weight, convolution.weight * self.bias], dim=1)
        return functional.conv3d(
            channels.contiguous(memory_format=torch.channels_last_3d), kernel, convolution.bias,
            convolution.stride, convolution.padding,
        )  # fmt: skip


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
        return self.after_first(self.conv1(batch))

    def after_first(self, convolved: Tensor) -> Tensor:
        """The block from the first convolution's output on."""
        # A maximum and a ReLU can change places; on the pooled voxels it is an eighth of the work.
        return self.relu2(self.maxpool(self.conv2(self.relu1(convolved))))


class LunaModel(nn.Module):
    """Chapter 11's network: batch normalisation, one block for each of `channels`, a linear head.

    With the default channels and crop its parameters have the published names and shapes.
    """

    def __init__(self, crop: Sequence[int] = (32, 48, 48), channels: Sequence[int] = (8, 16, 32, 64)) -> None:
        super().__init__()
        self.tail_batchnorm = InputNorm(1)
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
        first, *others = (getattr(self, name) for name in self.blocks)
        features = first.after_first(self.tail_batchnorm.then(first.conv1, crops))
        for block in others:
            features = block(features)
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
        self.tail_batchnorm = InputNorm(1)
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

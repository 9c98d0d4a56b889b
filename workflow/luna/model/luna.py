"""Chapter 11's network."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from luna.model.layers import CLASS_NAMES, Conv3d, InputConv3d, InputNorm, Scaled, initialise


class LunaBlock(nn.Module):
    """Two 3x3x3 convolutions with ReLU, then a pooling that halves every axis."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = InputConv3d(in_channels, channels, kernel_size=3, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = Conv3d(channels, channels, kernel_size=3, padding=1)
        self.relu2 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(2)

    def forward(self, batch: Tensor | Scaled) -> Tensor:
        """(n, in_channels, d, h, w) -> (n, channels, d/2, h/2, w/2)."""
        features = self.relu1(self.conv1(batch))
        # The book pools after the ReLU. The result is the same, and an eighth of the voxels need a ReLU.
        return self.relu2(self.maxpool(self.conv2(features)))


class LunaModel(nn.Module):
    """Chapter 11's network: batch normalisation, one block for each of `channels`, a linear head.

    With the default channels and crop its parameters have the published names and shapes.
    """

    def __init__(self, crop: Sequence[int] = (32, 48, 48), channels: Sequence[int] = (8, 16, 32, 64)) -> None:
        super().__init__()
        self.tail_batchnorm = InputNorm(1)
        for number, (before, after) in enumerate(zip((1, *channels), channels, strict=False), start=1):
            setattr(self, f"block{number}", LunaBlock(before, after))
        voxels = math.prod(size // 2 ** len(channels) for size in crop)
        self.head_linear = nn.Linear(channels[-1] * voxels, len(CLASS_NAMES))
        self.head_softmax = nn.Softmax(dim=1)
        initialise(self)

    @property
    def blocks(self) -> list[LunaBlock]:
        """block1, block2, and so on, in order."""
        return [module for module in self.children() if isinstance(module, LunaBlock)]

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, index, row, column) in HU, float -> logits and probabilities, both (n, 2)."""
        features = self.tail_batchnorm(crops)
        for block in self.blocks:
            features = block(features)
        # In channels_last_3d the memory is not in this order: reshape copies where view would fail.
        flat = features.reshape(features.size(0), -1)
        logits = self.head_linear(flat)
        return logits, self.head_softmax(logits.float())

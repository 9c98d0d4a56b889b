"""A residual network."""

from collections.abc import Sequence

from torch import Tensor, nn

from luna.model.layers import CLASS_NAMES, Conv3d, InputConv3d, InputNorm, Scaled, initialise


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut; the first halves every axis (He et al. 2016)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = InputConv3d(in_channels, channels, kernel_size=3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv2 = Conv3d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(channels)
        self.shortcut = InputConv3d(in_channels, channels, kernel_size=1, stride=2, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, batch: Tensor | Scaled) -> Tensor:
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

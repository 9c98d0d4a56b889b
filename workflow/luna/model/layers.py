"""Layers that networks share, and the trick that makes the first of them fast."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

CLASS_NAMES = ("not a nodule", "nodule")


@dataclass(frozen=True)
class Scaled:
    """The tensor `scale * values + shift`, not computed yet; scale and shift hold one number per channel."""

    values: Tensor
    scale: Tensor
    shift: Tensor


class InputNorm(nn.BatchNorm3d):
    """Batch normalisation of the crops, the first layer of a network.

    In training it leaves scale and shift to the convolution behind it, which must be an
    `InputConv3d`.
    """

    def forward(self, crops: Tensor) -> Tensor | Scaled:  # type: ignore[override]
        """(n, 1, index, row, column) -> the same shape, normalised."""
        if not self.training:
            return super().forward(crops)
        return Scaled(self.standardised(crops), self.weight, self.bias)

    def standardised(self, crops: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the batch; the running statistics follow."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        return functional.batch_norm(
            crops, self.running_mean, self.running_var, training=True, momentum=self.momentum or 0.0,
            eps=self.eps,
        )  # fmt: skip


class InputConv3d(nn.Conv3d):
    """A convolution that takes scaled and shifted input without computing it.

    conv(a x + b) is a convolution of the two channels x and 1 with the kernels a W and b W. Both
    channels are data, so no gradient into the input is computed: as an ordinary layer behind the
    normalisation, that gradient would be the most expensive operation of the whole network.
    """

    def forward(self, batch: Tensor | Scaled) -> Tensor:
        """(n, in_channels, d, h, w), or one channel scaled -> (n, out_channels, d, h, w)."""
        if isinstance(batch, Tensor):
            return super().forward(batch)
        channels = torch.cat([batch.values, torch.ones_like(batch.values)], dim=1)
        kernel = torch.cat([self.weight * batch.scale, self.weight * batch.shift], dim=1)
        return functional.conv3d(
            channels.contiguous(memory_format=torch.channels_last_3d), kernel, self.bias,
            self.stride, self.padding,
        )  # fmt: skip


def initialise(model: nn.Module) -> None:
    """The book's initial weights.

    Kaiming-normal weights (fan out, ReLU); biases normal with mean -1 / sqrt(fan out) and standard
    deviation 1 / sqrt(fan out).
    """
    for module in model.modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=0, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                _, fan_out = nn.init._calculate_fan_in_and_fan_out(module.weight)
                bound = 1 / math.sqrt(fan_out)
                nn.init.normal_(module.bias, -bound, bound)

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
    """Batch normalisation of the crops, the first layer of a network; it has one channel.

    In training it leaves scale and shift to the convolutions behind it, which must be
    `InputConv3d`.
    """

    def forward(self, crops: Tensor) -> Tensor | Scaled:  # type: ignore[override]
        """(n, 1, index, row, column) -> the same shape, normalised."""
        if not self.training:
            return super().forward(crops)
        return Scaled(self.standardised(crops), self.weight, self.bias)

    def standardised(self, crops: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the batch; the running statistics follow."""
        # Not torch's batch_norm: it gives each channel one block of the GPU, and here there is one channel.
        # For 512 crops on an H100 that takes 30 ms, a third of a training step; on a CPU it is slower too.
        mean = crops.mean()
        centred = crops - mean
        variance = centred.square().mean()
        update_running_statistics(self, mean, variance, crops.numel())
        return centred * torch.rsqrt(variance + self.eps)


@torch.no_grad()
def update_running_statistics(
    norm: nn.BatchNorm3d, mean: Tensor, variance: Tensor, count: Tensor | int
) -> None:
    """What batch normalisation remembers of a batch: mean and variance (channels,) of `count` voxels each."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    momentum = norm.momentum or 0.0
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
    norm.running_var.lerp_((variance * count / (count - 1)).to(norm.running_var.dtype), momentum)
    norm.num_batches_tracked += 1


class Conv3d(nn.Conv3d):
    """A convolution for every network here: torch's, but for what its CPU kernels compute wrongly.

    Where an axis has fewer than 3 voxels, oneDNN 3.12 (in torch 2.13) computes the bf16 gradient of a
    3x3x3 kernel, and some outputs, from memory that nobody wrote. Such layers compute in float32; they
    are too small for it to take time. To be removed when `tests/unit/model/test_arithmetic.py` passes
    without it.
    """

    def forward(self, batch: Tensor) -> Tensor:
        """(n, in_channels, d, h, w) -> (n, out_channels, d, h, w)."""
        return self.convolve(batch, self.weight)

    def convolve(self, batch: Tensor, kernel: Tensor) -> Tensor:
        """The convolution with another kernel than `weight`."""
        if batch.device.type == "cpu" and min(batch.shape[2:]) < 3:
            with torch.autocast("cpu", enabled=False):
                return functional.conv3d(batch.to(kernel.dtype), kernel, self.bias, self.stride, self.padding)
        return functional.conv3d(batch, kernel, self.bias, self.stride, self.padding)


class InputConv3d(Conv3d):
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
        channels = channels.contiguous(memory_format=torch.channels_last_3d)
        kernel = torch.cat([self.weight * batch.scale, self.weight * batch.shift], dim=1)
        if channels.is_cuda:
            channels, kernel = with_channels_for_cudnn(channels), with_channels_for_cudnn(kernel)
        return self.convolve(channels, kernel)


def with_channels_for_cudnn(tensor: Tensor) -> Tensor:
    """The tensor (n, channels, d, h, w) with channels of zeros added, at least 4.

    cuDNN's fast bf16 convolutions start there: with two channels a training step of 32 crops takes
    22.7 ms on an H100, with four 6.3 ms.
    """
    missing = 4 - tensor.shape[1]
    return tensor if missing <= 0 else functional.pad(tensor, (0, 0, 0, 0, 0, 0, 0, missing))


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

"""A network as several processes train it together."""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from luna.model.layers import InputNorm, update_running_statistics
from luna.runtime.team import Team


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


class SharedBatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation by mean and variance of all processes' samples.

    torch's own SyncBatchNorm does this on GPUs only; this is the same on every device, so what is
    tested on a CPU is what runs on GPUs.
    """

    def forward(self, batch: Tensor) -> Tensor:
        """(n, channels, d, h, w), n may differ between processes -> the same shape, normalised."""
        if not self.training:
            return super().forward(batch)
        return _standardise_together(self, batch) * _per_channel(self.weight) + _per_channel(self.bias)


class SharedInputNorm(InputNorm):
    """An InputNorm by mean and variance of all processes' samples."""

    def standardised(self, crops: Tensor) -> Tensor:
        """(n, 1, d, h, w), n may differ between processes."""
        return _standardise_together(self, crops)


def _standardise_together(norm: nn.BatchNorm3d, batch: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the batches of all processes; the running statistics follow."""
    axes = [0, 2, 3, 4]
    values = batch.double()
    voxels = values.new_tensor([batch.numel() / batch.shape[1]])
    sums: Tensor = all_reduce(torch.cat([voxels, values.sum(axes), values.square().sum(axes)]))
    count, total, squares = sums.split([1, batch.shape[1], batch.shape[1]])
    mean = total / count
    variance = squares / count - mean.square()
    update_running_statistics(norm, mean, variance, count)
    factor = torch.rsqrt(variance + norm.eps).float()
    return (batch - _per_channel(mean.float())) * _per_channel(factor)


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1, 1)


def _shared(norm: nn.BatchNorm3d) -> nn.BatchNorm3d:
    kind = SharedInputNorm if isinstance(norm, InputNorm) else SharedBatchNorm3d
    shared = kind(norm.num_features, norm.eps, norm.momentum or 0.1)
    shared.load_state_dict(norm.state_dict())
    return shared.to(norm.weight.device)

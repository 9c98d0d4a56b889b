"""Loss, optimizer and learning-rate schedule of a recipe."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from luna.config.recipe import Recipe
from luna.runtime.team import ALONE, Team


def weighted_loss(losses: Tensor, labels: Tensor, recipe: Recipe, team: Team = ALONE) -> Tensor:
    """The mean loss that is trained on, from each sample's cross entropy (n,), over the whole team.

    positive_weight multiplies the nodules' losses (the weights then sum to n again); focal_gamma
    lowers the weight of samples that are already right: (1 - p)^gamma (Lin et al. 2017, eq. 4).
    """
    if recipe.focal_gamma > 0:
        losses = (1 - torch.exp(-losses)) ** recipe.focal_gamma * losses
    weights = 1 + (recipe.positive_weight - 1) * labels.float()
    total = weights.sum()
    team.sum(total)
    # Gradients are averaged over the processes, so each computes `size` times its share.
    return (losses * weights).sum() / total * team.size


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW."""
    groups = _groups(model, recipe)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, fused=True)


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The parameters with their weight decay. Kernels have two axes or more; biases and scales one."""
    parameters = list(model.parameters())
    if recipe.decay == "all":
        return [{"params": parameters, "weight_decay": recipe.weight_decay}]
    return [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]


def build_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of each step: constant, one cycle with its peak at 30 %, or a cosine to 0.

    With a warm-up the rate rises in equal steps first, and a cosine fills what is left.
    """
    steps = max(1, recipe.epochs * steps_per_epoch)
    if recipe.warmup:

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / recipe.warmup)
            if recipe.schedule == "constant":
                return rise
            after = max(0, step - recipe.warmup) / max(1, steps - recipe.warmup)
            return rise * (1 + math.cos(math.pi * min(1.0, after))) / 2

        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    if recipe.schedule == "onecycle":
        # One step more than there are: the scheduler raises when it is asked for another.
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps + 1, cycle_momentum=False
        )
    if recipe.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)

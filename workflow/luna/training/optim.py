"""Loss, optimizer and learning-rate schedule of a recipe."""

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
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
    return torch.optim.SGD(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay,
        momentum=recipe.momentum, fused=True,
    )  # fmt: skip


def build_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of each step: constant, one cycle with its peak at 30 %, or a cosine to 0."""
    steps = max(1, recipe.epochs * steps_per_epoch)
    if recipe.schedule == "onecycle":
        # One step more than there are: the scheduler raises when it is asked for another.
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps + 1, cycle_momentum=False
        )
    if recipe.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)

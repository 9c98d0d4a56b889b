"""The losses follow their formulas."""

import torch
import torch.nn.functional as functional

from luna.config.recipe import Recipe
from luna.training.optim import weighted_loss


def test_losses_follow_their_formulas() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    losses = functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(weighted_loss(losses, labels, Recipe()), losses.mean())
    weighted = weighted_loss(losses, labels, Recipe(positive_weight=3))
    torch.testing.assert_close(
        weighted, functional.cross_entropy(logits, labels, weight=torch.tensor([1.0, 3.0]))
    )
    right = logits.softmax(1)[torch.arange(3), labels]
    focal = weighted_loss(losses, labels, Recipe(focal_gamma=2))
    torch.testing.assert_close(focal, ((1 - right) ** 2 * -right.log()).mean())

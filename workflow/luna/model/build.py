"""The networks by name, built from a recipe."""

from collections.abc import Callable, Sequence

from torch import nn

from luna.base.errors import UserError
from luna.config.recipe import NetworkSettings


def network_class(name: str) -> Callable[..., nn.Module]:
    """The network's class: it takes `crop` and `channels`, and returns logits and probabilities."""
    match name:
        case "luna":
            from luna.model.luna import LunaModel

            return LunaModel
        case "residual":
            from luna.model.residual import ResidualModel

            return ResidualModel
        case _:
            raise ValueError(f"no network is called {name!r}")


def build_model(network: NetworkSettings, crop: Sequence[int]) -> nn.Module:
    """The network of a recipe for a crop size, with weights from torch's random numbers.

    Raises UserError when the crop is too small for so many halvings.
    """
    blocks = len(network.channels)
    if min(crop) < 2**blocks:
        raise UserError(
            f"model.channels: {blocks} blocks halve a crop of {list(crop)} voxels to nothing;"
            f" use fewer channels, or a cache.crop of at least {2**blocks} on each axis"
        )
    model = network_class(network.name)(crop=tuple(crop), channels=network.channels)
    if network.init == "torch":
        for module in model.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                module.reset_parameters()
    return model

"""The networks by name, and the names and shapes of the published weights."""

from typing import get_args

from luna.config.recipe import NetworkSettings

NETWORKS = get_args(NetworkSettings.model_fields["name"].annotation)

PUBLISHED = {
    "tail_batchnorm.weight": (1,), "tail_batchnorm.bias": (1,),
    "tail_batchnorm.running_mean": (1,), "tail_batchnorm.running_var": (1,),
    "tail_batchnorm.num_batches_tracked": (),
    "head_linear.weight": (2, 1152), "head_linear.bias": (2,),
}  # fmt: skip
for _block, (_before, _after) in enumerate([(1, 8), (8, 16), (16, 32), (32, 64)], start=1):
    for _conv, _in in (("conv1", _before), ("conv2", _after)):
        PUBLISHED[f"block{_block}.{_conv}.weight"] = (_after, _in, 3, 3, 3)
        PUBLISHED[f"block{_block}.{_conv}.bias"] = (_after,)

"""Predictions: averaged over mirror images, whatever the batch."""

from itertools import product

import numpy as np
import pytest
import torch

from conftest import SMALL_CROP, Prepared
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import make_loader
from luna.config.recipe import NetworkSettings
from luna.crops.sources import CachedCrops
from luna.model.build import build_model
from luna.model.inference import predict
from luna.runtime.device import place

CPU = torch.device("cpu")


def test_flips_are_the_mean_over_eight_mirror_images(prepared: Prepared) -> None:
    dataset = LunaDataset(
        prepared.candidates, CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP), np.arange(20)
    )
    torch.manual_seed(0)
    model = build_model(NetworkSettings(channels=(2, 4)), SMALL_CROP.crop).eval()
    with torch.no_grad():  # as it begins, all its probabilities are nearly the same
        model.head_linear.weight.mul_(100)
    loader = make_loader(dataset, CPU, "threads", 1)
    crops = torch.stack([torch.from_numpy(dataset.crop(index).copy()) for index in range(20)])[
        :, None
    ].float()
    with torch.inference_mode():
        each = [
            model(crops.flip([axis + 2 for axis in range(3) if mirrored[axis]]))[1][:, 1]
            for mirrored in product((False, True), repeat=3)
        ]
    averaged = predict(model, loader, CPU, "fp32", batch_size=7, flips=True)
    np.testing.assert_allclose(averaged.probabilities, torch.stack(each).mean(0).numpy(), atol=1e-6)
    plain = predict(model, loader, CPU, "fp32", batch_size=20)
    np.testing.assert_allclose(plain.probabilities, each[0].numpy(), atol=1e-6)
    assert np.abs(averaged.probabilities - plain.probabilities).max() > 0.01
    labels = dataset.labels
    right = np.where(labels == 1, plain.probabilities, 1 - plain.probabilities)
    np.testing.assert_allclose(np.exp(-plain.losses), right, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("network", [NetworkSettings(), NetworkSettings(name="residual")], ids=str)
def test_the_number_of_threads_changes_no_prediction(
    prepared: Prepared, network: NetworkSettings, precision: str
) -> None:
    dataset = LunaDataset(
        prepared.candidates, CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP), np.arange(40)
    )
    torch.manual_seed(0)
    model = place(build_model(network, SMALL_CROP.crop), CPU).eval()
    threads_before = torch.get_num_threads()
    predictions = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        predictions.append(predict(model, make_loader(dataset, CPU, "threads", 1), CPU, precision))
    torch.set_num_threads(threads_before)
    for each in predictions[1:]:
        assert each.probabilities.tobytes() == predictions[0].probabilities.tobytes()

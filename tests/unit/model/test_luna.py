"""The networks: names, shapes, initial weights, published weights."""

import copy

import pytest
import torch
import torch.nn.functional as functional

from luna.config.recipe import NetworkSettings
from luna.model.build import build_model
from luna.model.layers import with_channels_for_cudnn
from luna.model.luna import LunaModel
from unit.model.conftest import NETWORKS, PUBLISHED


def test_parameters_have_the_published_names_and_shapes() -> None:
    state = LunaModel().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == PUBLISHED


def test_forward_gives_logits_and_probabilities() -> None:
    model = LunaModel().eval()
    logits, probabilities = model(torch.randn(3, 1, 32, 48, 48) * 300)
    assert logits.shape == probabilities.shape == (3, 2)
    torch.testing.assert_close(probabilities, logits.softmax(1))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))


def test_a_training_step_is_that_of_the_plain_layers() -> None:
    """Scale and shift inside the first kernel, ReLU after the pooling: the same outputs and gradients."""
    torch.manual_seed(0)
    model = LunaModel((16, 16, 24), [4, 8]).double()
    with torch.no_grad():
        model.tail_batchnorm.weight.fill_(1.7)
        model.tail_batchnorm.bias.fill_(-0.6)
    plain = copy.deepcopy(model)
    crops = torch.randn(3, 1, 16, 16, 24, dtype=torch.float64) * 400 - 300
    norm = plain.tail_batchnorm
    features = functional.batch_norm(
        crops, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=True, momentum=0.1
    )
    for block in (plain.block1, plain.block2):
        features = block.maxpool(block.conv2(block.conv1(features).relu()).relu())
    expected = plain.head_linear(features.flatten(1))
    logits, _ = model(crops)
    torch.testing.assert_close(logits, expected)
    for output in (logits, expected):
        functional.cross_entropy(output, torch.tensor([0, 1, 1])).backward()
    for (name, parameter), reference in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            parameter.grad, reference.grad, msg=lambda text, name=name: f"{name}: {text}"
        )
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(model.tail_batchnorm, name), getattr(norm, name))
    assert model.tail_batchnorm.num_batches_tracked == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_is_that_of_torch_s_normalisation(name: str) -> None:
    """Scale and shift of the input inside the first kernels: the same outputs and gradients."""
    torch.manual_seed(0)
    model = build_model(NetworkSettings(name=name, channels=(4, 8)), (16, 16, 24)).double()
    with torch.no_grad():
        model.tail_batchnorm.weight.fill_(1.7)
        model.tail_batchnorm.bias.fill_(-0.6)
    plain = copy.deepcopy(model)
    plain.tail_batchnorm = torch.nn.BatchNorm3d(1).double()
    plain.tail_batchnorm.load_state_dict(model.tail_batchnorm.state_dict())
    crops = torch.randn(3, 1, 16, 16, 24, dtype=torch.float64) * 400 - 300
    for network in (model, plain):
        functional.cross_entropy(network(crops)[0], torch.tensor([0, 1, 1])).backward()
    for (parameter_name, parameter), reference in zip(
        model.named_parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(
            parameter.grad, reference.grad, msg=lambda text, name=parameter_name: f"{name}: {text}"
        )
    torch.testing.assert_close(model.state_dict(), plain.state_dict())


def test_memory_format_changes_nothing() -> None:
    model = LunaModel().eval()
    crops = torch.randn(2, 1, 32, 48, 48) * 300
    plain, _ = model(crops)
    last, _ = model.to(memory_format=torch.channels_last_3d)(crops.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(plain, last, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("crop", "channels"), [((32, 48, 48), [8, 16]), ((16, 24, 40), [4, 8, 16])])
def test_the_head_follows_crop_and_channels(name: str, crop: tuple[int, ...], channels: list[int]) -> None:
    model = build_model(NetworkSettings(name=name, channels=channels), crop)
    assert model(torch.zeros(2, 1, *crop))[0].shape == (2, 2)


def test_initial_weights() -> None:
    torch.manual_seed(0)
    model = LunaModel()
    weight = model.block4.conv2.weight
    fan_out = 64 * 27
    assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
    assert model.block4.conv2.bias.mean().item() == pytest.approx(-1 / fan_out**0.5, rel=0.5)


def test_same_seed_same_weights() -> None:
    torch.manual_seed(3)
    first = LunaModel().state_dict()
    torch.manual_seed(3)
    second = LunaModel().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_channels_added_for_cudnn_change_nothing() -> None:
    crops, kernel = torch.randn(2, 1, 6, 6, 6), torch.randn(8, 1, 3, 3, 3)
    wider, wider_kernel = with_channels_for_cudnn(crops), with_channels_for_cudnn(kernel)
    assert wider.shape[1] == wider_kernel.shape[1] == 4
    expected = functional.conv3d(crops, kernel)
    torch.testing.assert_close(functional.conv3d(wider, wider_kernel), expected, atol=1e-5, rtol=1e-5)
    assert with_channels_for_cudnn(wider) is wider

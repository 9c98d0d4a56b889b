"""The networks: names, shapes, initial weights, published weights."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from luna.augment import DRAWS, draw, draw_noise, to_input
from luna.inference import load_weights
from luna.model import MODELS, LunaModel, build_model
from luna.program import UserError

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


def test_memory_format_changes_nothing() -> None:
    model = LunaModel().eval()
    crops = torch.randn(2, 1, 32, 48, 48) * 300
    plain, _ = model(crops)
    last, _ = model.to(memory_format=torch.channels_last_3d)(crops.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(plain, last, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("crop", "channels"), [((32, 48, 48), [8, 16]), ((16, 24, 40), [4, 8, 16])])
def test_the_head_follows_crop_and_channels(name: str, crop: tuple[int, ...], channels: list[int]) -> None:
    model = build_model({"name": name, "channels": channels}, crop)
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


def test_published_weights_load(tmp_path: Path) -> None:
    weights = {name: torch.full(shape, 0.5) for name, shape in PUBLISHED.items()}
    for wrapped in (weights, {"model_state": weights}):
        torch.save(wrapped, tmp_path / "weights.pt")
        model = LunaModel()
        load_weights(model, tmp_path / "weights.pt")
        assert (model.head_linear.weight == 0.5).all()


def test_weights_that_do_not_fit_are_listed_by_name(tmp_path: Path) -> None:
    weights = {name: torch.zeros(shape) for name, shape in PUBLISHED.items()}
    del weights["block2.conv1.bias"]
    weights["block9.conv1.bias"] = torch.zeros(1)
    weights["head_linear.weight"] = torch.zeros(2, 7)
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(UserError) as caught:
        load_weights(LunaModel(), tmp_path / "weights.pt")
    text = str(caught.value)
    for words in (
        "missing: block2.conv1.bias",
        "unknown: block9.conv1.bias",
        "head_linear.weight: shape (2, 7)",
    ):
        assert words in text


OFF = {"flip": 0, "shift": 0, "scale": 0, "rotate": 0, "noise": 0}
CROP = (8, 12, 10)


@pytest.fixture
def blocks() -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(-1000, 1000, (6, 12, 18, 16), dtype=np.int16))


def test_input_without_augmentation_is_the_middle(blocks: torch.Tensor) -> None:
    crops = to_input(blocks, CROP)
    assert crops.dtype == torch.float32
    assert torch.equal(crops[:, 0], blocks[:, 2:10, 3:15, 3:13].float())


def test_flips_are_exact_mirrors(blocks: torch.Tensor) -> None:
    draws = torch.full((6, DRAWS), 0.4)
    flipped = to_input(blocks, CROP, OFF | {"flip": 0.5}, draws)
    torch.testing.assert_close(flipped, to_input(blocks, CROP).flip(2, 3, 4), atol=0.05, rtol=0)
    kept = to_input(blocks, CROP, OFF | {"flip": 0.3}, draws)
    torch.testing.assert_close(kept, to_input(blocks, CROP), atol=0.05, rtol=0)


def test_shift_shows_the_margin(blocks: torch.Tensor) -> None:
    """Draws of 1 shift by the whole amount: the voxels come from the margin, not from nowhere."""
    draws = torch.full((6, DRAWS), 1.0)
    shifted = to_input(blocks, CROP, OFF | {"shift": 2}, draws)
    torch.testing.assert_close(shifted[:, 0], blocks[:, 4:12, 5:17, 5:15].float(), atol=0.05, rtol=0)


def test_quarter_turn(blocks: torch.Tensor) -> None:
    draws = torch.full((6, DRAWS), 1.0)
    square = blocks[:, :, :16, :16]
    turned = to_input(square, (12, 16, 16), OFF | {"rotate": 90}, draws)
    expected = square.float().rot90(1, (2, 3))
    torch.testing.assert_close(turned[:, 0], expected, atol=0.05, rtol=0)


def test_scale_keeps_the_centre() -> None:
    ramp = torch.arange(17, dtype=torch.int16).repeat(1, 17, 17, 1) * 10
    draws = torch.full((1, DRAWS), 1.0)
    scaled = to_input(ramp, (9, 9, 9), OFF | {"scale": 0.5}, draws)[0, 0, 4, 4]
    torch.testing.assert_close(scaled, 80 + 15 * torch.arange(-4, 5.0), atol=0.05, rtol=0)


def test_every_sample_of_a_batch_moves_on_its_own(blocks: torch.Tensor) -> None:
    same = blocks[:1].expand(6, -1, -1, -1)
    moved = to_input(same, CROP, OFF | {"shift": 2, "rotate": 20}, torch.from_numpy(draw(6, 0, 1)))
    assert all(not torch.allclose(moved[0], other) for other in moved[1:])


def test_noise_is_seeded_and_has_its_size(blocks: torch.Tensor) -> None:
    draws = torch.zeros((6, DRAWS))
    drawn = [draw_noise(6, CROP, 20, [0, epoch], torch.device("cpu")) for epoch in (1, 1, 2)]
    noisy = [to_input(blocks, CROP, OFF, draws, noise) for noise in drawn]
    assert not torch.equal(noisy[0], noisy[2])
    assert torch.equal(noisy[0], noisy[1])
    assert (noisy[0] - to_input(blocks, CROP)).std().item() == pytest.approx(20, rel=0.05)


def test_draws_depend_on_seed_and_epoch_only() -> None:
    assert np.array_equal(draw(5, 1, 2), draw(5, 1, 2))
    assert np.array_equal(draw(9, 1, 2)[:5], draw(5, 1, 2))
    assert not np.array_equal(draw(5, 1, 2), draw(5, 1, 3))
    assert not np.array_equal(draw(5, 2, 2), draw(5, 1, 2))

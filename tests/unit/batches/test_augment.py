"""Augmentation: exact mirrors, shifts and turns, and noise that a seed fixes."""

import numpy as np
import pytest
import torch

from luna.batches.augment import DRAWS, Augmenter, draw, move, to_input
from luna.batches.epoch import Epoch, Position
from luna.config.recipe import Augmentation, Recipe
from luna.runtime.team import ALONE

CROP = (8, 12, 10)
WHOLE = Position(0, slice(0, 6), slice(0, 6))


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
    flipped = move(blocks, CROP, Augmentation(flip=0.5), draws)
    torch.testing.assert_close(flipped, to_input(blocks, CROP).flip(2, 3, 4), atol=0.05, rtol=0)
    kept = move(blocks, CROP, Augmentation(flip=0.3), draws)
    torch.testing.assert_close(kept, to_input(blocks, CROP), atol=0.05, rtol=0)


def test_shift_shows_the_margin(blocks: torch.Tensor) -> None:
    """Draws of 1 shift by the whole amount: the voxels come from the margin, not from nowhere."""
    draws = torch.full((6, DRAWS), 1.0)
    shifted = move(blocks, CROP, Augmentation(shift=2), draws)
    torch.testing.assert_close(shifted[:, 0], blocks[:, 4:12, 5:17, 5:15].float(), atol=0.05, rtol=0)


def test_quarter_turn(blocks: torch.Tensor) -> None:
    draws = torch.full((6, DRAWS), 1.0)
    square = blocks[:, :, :16, :16]
    turned = move(square, (12, 16, 16), Augmentation(rotate=90), draws)
    expected = square.float().rot90(1, (2, 3))
    torch.testing.assert_close(turned[:, 0], expected, atol=0.05, rtol=0)


def test_scale_keeps_the_centre() -> None:
    ramp = torch.arange(17, dtype=torch.int16).repeat(1, 17, 17, 1) * 10
    draws = torch.full((1, DRAWS), 1.0)
    scaled = move(ramp, (9, 9, 9), Augmentation(scale=0.5), draws)[0, 0, 4, 4]
    torch.testing.assert_close(scaled, 80 + 15 * torch.arange(-4, 5.0), atol=0.05, rtol=0)


def test_every_sample_of_a_batch_moves_on_its_own(blocks: torch.Tensor) -> None:
    same = blocks[:1].expand(6, -1, -1, -1)
    moved = move(same, CROP, Augmentation(shift=2, rotate=20), torch.from_numpy(draw(6, 0, 1)))
    assert all(not torch.allclose(moved[0], other) for other in moved[1:])


def epoch(number: int = 1, samples: int = 6) -> Epoch:
    return Epoch(number, np.zeros(samples, dtype=np.int64), Recipe(), 0, ALONE)


def augmented(blocks: torch.Tensor, number: int, position: Position = WHOLE) -> torch.Tensor:
    """Blocks with noise only, as an epoch of this number adds it."""
    augment = Augmenter(Augmentation(noise=20), CROP, 0, epoch(number), torch.device("cpu"))
    return augment(blocks, position)


def test_noise_is_seeded_and_has_its_size(blocks: torch.Tensor) -> None:
    noisy = [augmented(blocks, number) for number in (1, 1, 2)]
    assert not torch.equal(noisy[0], noisy[2])
    assert torch.equal(noisy[0], noisy[1])
    assert (noisy[0] - to_input(blocks, CROP)).std().item() == pytest.approx(20, rel=0.05)


def test_a_part_of_a_batch_gets_the_noise_it_has_in_the_whole(blocks: torch.Tensor) -> None:
    part = Position(0, slice(0, 6), slice(2, 5))
    assert torch.equal(augmented(blocks[2:5], 1, part), augmented(blocks, 1)[2:5])


def test_draws_depend_on_seed_and_epoch_only() -> None:
    assert np.array_equal(draw(5, 1, 2), draw(5, 1, 2))
    assert np.array_equal(draw(9, 1, 2)[:5], draw(5, 1, 2))
    assert not np.array_equal(draw(5, 1, 2), draw(5, 1, 3))
    assert not np.array_equal(draw(5, 2, 2), draw(5, 1, 2))

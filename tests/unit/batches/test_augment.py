"""Augmentation: exact mirrors, shifts and turns, and noise that a seed fixes."""

import numpy as np
import pytest
import torch

from luna.batches.augment import Augmenter, Motion, blurred, move, to_input, uniform
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


def motion(samples: int, flip: int = 1, shift: float = 0, scale: float = 1, angle: float = 0) -> Motion:
    """The same motion for every sample."""
    return Motion(
        torch.full((samples, 3), float(flip)), torch.full((samples, 3), float(shift)),
        torch.full((samples,), scale), torch.full((samples,), angle),
    )  # fmt: skip


def test_flips_are_exact_mirrors(blocks: torch.Tensor) -> None:
    flipped = move(blocks, CROP, motion(6, flip=-1))
    torch.testing.assert_close(flipped, to_input(blocks, CROP).flip(2, 3, 4), atol=0.05, rtol=0)
    kept = move(blocks, CROP, motion(6))
    torch.testing.assert_close(kept, to_input(blocks, CROP), atol=0.05, rtol=0)


def test_shift_shows_the_margin(blocks: torch.Tensor) -> None:
    """The voxels come from the margin, not from nowhere."""
    shifted = move(blocks, CROP, motion(6, shift=2))
    torch.testing.assert_close(shifted[:, 0], blocks[:, 4:12, 5:17, 5:15].float(), atol=0.05, rtol=0)


def test_quarter_turn(blocks: torch.Tensor) -> None:
    square = blocks[:, :, :16, :16]
    turned = move(square, (12, 16, 16), motion(6, angle=torch.pi / 2))
    torch.testing.assert_close(turned[:, 0], square.float().rot90(1, (2, 3)), atol=0.05, rtol=0)


def test_scale_keeps_the_centre() -> None:
    ramp = torch.arange(17, dtype=torch.int16).repeat(1, 17, 17, 1) * 10
    scaled = move(ramp, (9, 9, 9), motion(1, scale=1.5))[0, 0, 4, 4]
    torch.testing.assert_close(scaled, 80 + 15 * torch.arange(-4, 5.0), atol=0.05, rtol=0)


def epoch(number: int = 1, samples: int = 6) -> Epoch:
    return Epoch(number, np.zeros(samples, dtype=np.int64), Recipe(), 0, ALONE)


def augmented(
    blocks: torch.Tensor, number: int, position: Position = WHOLE, **amounts: float
) -> torch.Tensor:
    """Blocks as an epoch of this number changes them; with noise only, unless amounts are given."""
    augmentation = Augmentation(**(amounts or {"noise": 20}))
    return Augmenter(augmentation, CROP, 0, epoch(number), torch.device("cpu"))(blocks, position)


def test_every_sample_of_a_batch_moves_on_its_own(blocks: torch.Tensor) -> None:
    same = blocks[:1].expand(6, -1, -1, -1)
    moved = augmented(same, 1, shift=2, rotate=20)
    assert all(not torch.allclose(moved[0], other) for other in moved[1:])


@pytest.mark.parametrize(
    "name", ["flip", "shift", "scale", "rotate", "contrast", "brightness", "blur", "noise"]
)
def test_every_amount_has_an_effect(blocks: torch.Tensor, name: str) -> None:
    changed = augmented(blocks, 1, **{name: 0.5})
    assert not torch.allclose(changed, to_input(blocks, CROP))


def test_noise_is_seeded_and_has_its_size(blocks: torch.Tensor) -> None:
    noisy = [augmented(blocks, number) for number in (1, 1, 2)]
    assert not torch.equal(noisy[0], noisy[2])
    assert torch.equal(noisy[0], noisy[1])
    assert (noisy[0] - to_input(blocks, CROP)).std().item() == pytest.approx(20, rel=0.05)


def test_a_part_of_a_batch_changes_as_it_does_in_the_whole(blocks: torch.Tensor) -> None:
    part = Position(0, slice(0, 6), slice(2, 5))
    amounts = {"noise": 20.0, "shift": 1.0, "flip": 0.5}
    assert torch.equal(augmented(blocks[2:5], 1, part, **amounts), augmented(blocks, 1, **amounts)[2:5])


def test_draws_depend_on_seed_stream_and_epoch_only() -> None:
    drawn = uniform(5, 3, 1, "flip", 2)
    assert np.array_equal(drawn, uniform(5, 3, 1, "flip", 2))
    assert np.array_equal(drawn, uniform(9, 3, 1, "flip", 2)[:5])
    for other in (uniform(5, 3, 1, "flip", 3), uniform(5, 3, 2, "flip", 2), uniform(5, 3, 1, "shift", 2)):
        assert not np.array_equal(drawn, other)


def test_motions_are_drawn_evenly_within_their_amounts() -> None:
    """Mirrored with the probability given; the rest between both limits, around no change."""
    amounts = Augmentation(flip=0.3, shift=2, scale=0.1, rotate=30)
    epoch = Epoch(1, np.zeros(4000, dtype=np.int64), Recipe(batch_size=4000), 0, ALONE)
    augment = Augmenter(amounts, CROP, 0, epoch, torch.device("cpu"))
    drawn = augment._motion(Position(0, slice(0, 4000), slice(0, 4000)))
    assert sorted(drawn.flip.unique().tolist()) == [-1, 1]
    assert (drawn.flip == -1).float().mean(0).tolist() == pytest.approx([0.3] * 3, abs=0.03)
    assert len(drawn.flip.unique(dim=0)) == 8, "every axis on its own"
    assert drawn.shift.shape == (4000, 3)
    assert len(drawn.shift[0].unique()) == 3
    for values, middle, reach in (
        (drawn.shift, 0, 2), (drawn.scale, 1, 0.1), (drawn.angle, 0, np.radians(30)),
    ):  # fmt: skip
        assert float(values.mean()) == pytest.approx(middle, abs=0.05 * reach)
        assert float(values.min()) == pytest.approx(middle - reach, abs=0.01 * reach)
        assert float(values.max()) == pytest.approx(middle + reach, abs=0.01 * reach)


def test_contrast_and_brightness_change_every_voxel_of_a_crop_alike(blocks: torch.Tensor) -> None:
    plain = to_input(blocks, CROP)
    epoch = Epoch(1, np.zeros(6, dtype=np.int64), Recipe(batch_size=6), 0, ALONE)

    def changed(**amounts: float) -> torch.Tensor:
        return Augmenter(Augmentation(**amounts), CROP, 0, epoch, torch.device("cpu"))(blocks, WHOLE)

    added = (changed(brightness=30) - plain).flatten(1)
    torch.testing.assert_close(added, added[:, :1].expand_as(added), atol=1e-3, rtol=0)
    assert len(added[:, 0].unique()) == 6
    assert added.abs().max() <= 30
    factor = ((changed(contrast=0.2) + 850) / (plain + 850).where(plain != -850, 1.0)).flatten(1)
    torch.testing.assert_close(factor.median(1).values, factor[:, 0], atol=1e-3, rtol=0)
    assert 0.8 <= factor[:, 0].min() < factor[:, 0].max() <= 1.2


def test_a_blur_keeps_the_mean_and_smooths_in_the_plane() -> None:
    """A single bright voxel becomes the products of 1/4, 1/2, 1/4 in its slice; others stay dark."""
    crops = torch.zeros(1, 1, 3, 5, 5)
    crops[0, 0, 1, 2, 2] = 16
    smooth = blurred(crops)[0, 0]
    assert smooth[[0, 2]].abs().max() == 0
    assert smooth[1, 1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert smooth.sum() == 16
    assert torch.equal(blurred(torch.ones(1, 1, 2, 3, 4)), torch.ones(1, 1, 2, 3, 4)), "also at the border"


def test_a_share_of_the_crops_is_blurred() -> None:
    rng = np.random.default_rng(0)
    blocks = torch.from_numpy(rng.integers(-1000, 1000, (400, 12, 18, 16), dtype=np.int16))
    epoch = Epoch(1, np.zeros(400, dtype=np.int64), Recipe(batch_size=400), 0, ALONE)
    augment = Augmenter(Augmentation(blur=0.25), CROP, 0, epoch, torch.device("cpu"))
    crops = augment(blocks, Position(0, slice(0, 400), slice(0, 400)))
    kept = (crops == to_input(blocks, CROP)).flatten(1).all(1)
    assert 0.68 < kept.float().mean() < 0.82

"""What the phantom draws: fields, shapes, vessels and nodules have the sizes that they claim."""

import numpy as np
import pytest

from luna.phantom.body import Body, draw_body, lung_depth
from luna.phantom.fields import Axes, depth_in_ellipsoid, smooth_field
from luna.phantom.nodule_tissue import KINDS, Kind, Lungs, draw
from luna.phantom.tissue import draw_tissue
from luna.phantom.vessels import THINNEST_MM, Tube, grow, paint


def axes_of(shape: tuple[int, int, int], spacing: tuple[float, float, float], flipped: bool = False) -> Axes:
    z, y, x = ((np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True))
    x = -x if flipped else x
    return Axes.of(*(line.astype(np.float32) for line in (z, y, x)))


CUBE = axes_of((40, 60, 60), (1.25, 0.7, 0.7))


@pytest.mark.parametrize("flipped", [False, True])
def test_places_in_mm_and_in_voxels(flipped: bool) -> None:
    axes = axes_of((10, 20, 30), (2, 0.5, 0.7), flipped)
    irc = np.array([3.5, 7.25, 11])
    point = axes.at(irc)
    np.testing.assert_allclose(axes.irc_of(point), irc, atol=1e-4)
    sign = -1 if flipped else 1
    np.testing.assert_allclose(point, [-2, -1.125, sign * (11 - 14.5) * 0.7], atol=1e-4)
    box = axes.box(point - 1.1, point + 1.1)
    inside = [np.abs(axis.ravel() - p) <= 1.1 for axis, p in zip(axes, point, strict=True)]
    assert [np.arange(n)[part].tolist() for n, part in zip(axes.shape, box, strict=True)] == [
        np.flatnonzero(each).tolist() for each in inside
    ]


@pytest.mark.parametrize("length", [3.0, 12.0])
def test_a_field_s_spread_and_length(length: float) -> None:
    fields = [smooth_field(np.random.default_rng(seed), CUBE, length) for seed in range(20)]
    values = np.stack(fields)
    assert values.dtype == np.float32
    assert abs(values.std() - 1) < 0.1
    # Correlated over less than its length, not over twice as much.
    far, near = round(2.2 * length / 0.7), max(1, round(0.3 * length / 0.7))

    def correlation(steps: int) -> float:
        return float((values[..., steps:] * values[..., :-steps]).mean() / values.var())

    assert correlation(near) > 0.8
    if far < 60:
        assert abs(correlation(far)) < 0.2


def test_depth_in_a_ball_and_a_cylinder() -> None:
    point = np.array([2.0, -3, 1])
    away = np.sqrt(sum((axis - p) ** 2 for axis, p in zip(CUBE, point, strict=True)))
    np.testing.assert_allclose(depth_in_ellipsoid(CUBE, point, np.full(3, 9.0)), 9 - away, atol=1e-2)
    beside = np.hypot(CUBE.y, CUBE.x) + 0 * CUBE.z
    depth = depth_in_ellipsoid(CUBE, np.zeros(3), np.array([np.inf, 7, 7]))
    np.testing.assert_allclose(depth, 7 - beside, atol=1e-2)


def test_a_tube_has_its_volume() -> None:
    tube = Tube(np.array([-10.0, 0, 0]), np.array([10.0, 2, 0]), 3.0)
    share = paint(CUBE, [tube], 0.7)
    length = float(np.linalg.norm(tube.end - tube.start))
    expected = np.pi * 9 * length + 4 / 3 * np.pi * 27
    assert share.sum() * 1.25 * 0.7 * 0.7 == pytest.approx(expected, rel=0.05)
    assert share.max() == 1


def test_a_tree_tapers_and_obeys_murray() -> None:
    rng = np.random.default_rng(3)
    everywhere = np.full(3, -1e3), np.full(3, 1e3)
    tree = grow(rng, np.zeros(3), np.array([0.0, 0, 1]), 3.0, THINNEST_MM, everywhere)
    assert len(tree) > 20
    assert tree[0].radius == 3
    assert all(piece.radius <= 3 for piece in tree)
    children: dict[tuple[float, ...], list[float]] = {}
    for piece in tree:
        children.setdefault(tuple(piece.start.tolist()), []).append(piece.radius)
    forks = {start: radii for start, radii in children.items() if len(radii) == 2}
    assert forks
    for piece in tree:
        radii = forks.get(tuple(piece.end.tolist()))
        if radii:
            # It tapers by 1.5 % on the piece before the fork.
            assert sum(r**3 for r in radii) == pytest.approx((0.985 * piece.radius) ** 3)


def lungs(hu: float = -860) -> Lungs:
    open_lung = np.full(CUBE.shape, 40, dtype=np.float32)
    return Lungs(CUBE, np.full(CUBE.shape, hu, dtype=np.float32), open_lung, np.zeros_like(open_lung), 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_nodule_has_its_size_and_kind(kind: Kind) -> None:
    volumes, middles = [], []
    for seed in range(12):
        scene = lungs()
        assert draw(np.random.default_rng(seed), scene, np.zeros(3), 8.0, kind)
        changed = scene.hu + 860
        # Half of what the middle shows: strands are thin and do not count much.
        inside = changed > 0.5 * np.percentile(changed[changed > 20], 60)
        volumes.append(inside.sum() * 1.25 * 0.7 * 0.7)
        middles.append(float(scene.hu[19:21, 28:32, 28:32].mean()))
    if kind not in ("part-solid", "cavity", "calcified"):
        assert np.median(volumes) == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.35)
    low, high = {
        "solid": (-170, 130), "part-solid": (-800, 130), "ground glass": (-830, -300), "faint": (-720, -250),
        "calcified": (-100, 1100), "cavity": (-1000, -300),
    }[kind]  # fmt: skip
    assert low < np.median(middles) < high


def test_what_would_not_be_seen_is_not_drawn() -> None:
    scene = lungs(40)
    before = scene.hu.copy()
    assert not draw(np.random.default_rng(0), scene, np.zeros(3), 5.0, "ground glass")
    assert np.array_equal(scene.hu, before)


def body_and_axes(seed: int) -> tuple[Body, Axes]:
    return draw_body(np.random.default_rng(seed)), axes_of((36, 48, 48), (8, 8, 8))


@pytest.mark.parametrize("seed", range(5))
def test_a_body_has_two_lungs_of_an_adult_s_size(seed: int) -> None:
    body, axes = body_and_axes(seed)
    depth, _ = lung_depth(body, axes)
    sides = [float((depth[:, :, part] > 0).sum()) * 8**3 / 1e6 for part in (slice(0, 24), slice(24, 48))]
    # Litres, at full inspiration: 4 to 7 for both.
    assert all(0.7 < litres < 4.5 for litres in sides)
    assert np.abs(depth[:, 20:28, 24]).max() > 0
    assert (depth[:, :, 23:25] > 0).mean() < 0.05, "the mediastinum is between them"


def test_tissues_have_their_hu() -> None:
    body, _ = body_and_axes(1)
    axes = axes_of((40, 120, 120), (4, 3.2, 3.2))
    tissue = draw_tissue(np.random.default_rng(1), body, axes)
    deep = tissue.hu[tissue.depth > 15]
    assert abs(np.median(deep) - body.lung_hu) < 60
    outside = tissue.hu[(tissue.depth < -8) & (tissue.hu > -900)]
    assert (outside > 250).mean() > 0.005, "bone"
    assert ((outside > -130) & (outside < -70)).mean() > 0.03, "fat"
    assert ((outside > 0) & (outside < 110)).mean() > 0.2, "muscle and organs"
    assert (tissue.hu[:, 0, 0] < -950).all(), "air around the body"

"""Reading CTs and cutting crops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from luna.imaging.boxes import AIR_HU, crop_start, cut_crop

sizes = st.tuples(*[st.integers(1, 12)] * 3)


@settings(max_examples=300, deadline=None)
@given(sizes, sizes, st.tuples(*[st.integers(-3, 15)] * 3))
def test_crop_equals_padded_volume(
    shape: tuple[int, ...], size: tuple[int, ...], center: tuple[int, ...]
) -> None:
    """Against the plain definition: pad with air, move the window inwards, cut."""
    hu = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    start = crop_start(center, shape, size)
    crop = cut_crop(hu, start, size)
    padded = np.pad(hu, [(each, each) for each in size], constant_values=AIR_HU)
    window = tuple(slice(s + n, s + 2 * n) for s, n in zip(start, size, strict=True))
    np.testing.assert_array_equal(crop, padded[window])
    for axis in range(3):
        if shape[axis] >= size[axis]:
            assert 0 <= start[axis] <= shape[axis] - size[axis]
        else:
            assert shape[axis] - size[axis] <= start[axis] <= 0


def test_centre_is_kept_where_there_is_room() -> None:
    assert crop_start([50, 60, 70], [100, 100, 100], [32, 48, 48]).tolist() == [34, 36, 46]


def test_crop_is_a_copy() -> None:
    hu = np.zeros((8, 8, 8), dtype=np.int16)
    assert cut_crop(hu, (0, 0, 0), (4, 4, 4)).base is None

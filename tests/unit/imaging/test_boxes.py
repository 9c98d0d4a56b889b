"""Reading CTs and cutting crops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luna.imaging.boxes import AIR_HU, crop_start, cut_crop

sizes = st.tuples(*[st.integers(1, 12)] * 3)


@settings(max_examples=300, deadline=None)
@given(sizes, sizes, st.tuples(*[st.integers(-3, 15)] * 3))
def test_crop_equals_padded_volume(
    shape: tuple[int, ...], size: tuple[int, ...], center: tuple[int, ...]
) -> None:
    """Against the plain definition: pad with air, cut around the centre."""
    hu = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    crop = cut_crop(hu, crop_start(center, size), size)
    padded = np.pad(hu, 30, constant_values=AIR_HU)
    window = tuple(slice(c + 30 - n // 2, c + 30 - n // 2 + n) for c, n in zip(center, size, strict=True))
    np.testing.assert_array_equal(crop, padded[window])


@pytest.mark.parametrize("center", [(50, 60, 70), (0, 0, 0), (99, 99, 99), (3, 97, 50)])
def test_the_candidate_is_in_the_middle_of_its_crop(center: tuple[int, int, int]) -> None:
    hu = np.zeros((100, 100, 100), dtype=np.int16)
    hu[center] = 77
    crop = cut_crop(hu, crop_start(center, (32, 48, 48)), (32, 48, 48))
    assert np.argwhere(crop == 77).tolist() == [[16, 24, 24]]


def test_crop_is_a_copy() -> None:
    hu = np.zeros((8, 8, 8), dtype=np.int16)
    assert cut_crop(hu, (0, 0, 0), (4, 4, 4)).base is None

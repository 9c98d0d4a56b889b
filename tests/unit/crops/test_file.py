"""The crop cache: exact to the bit, and it notices what is not right."""

import numpy as np
import pytest

from conftest import Prepared
from luna.base.errors import UserError
from unit.conftest import first_file
from unit.crops.conftest import read_all


def test_every_flipped_byte_is_noticed(damaged: Prepared) -> None:
    path = first_file(damaged)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    places = [*range(40), *rng.integers(0, len(whole), 60)]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(UserError) as caught:
            read_all(damaged)
        assert path.name in str(caught.value)
        assert "--forcerun cache_subset" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 60, 5000, -1])
def test_truncation_is_noticed(damaged: Prepared, keep: int) -> None:
    path = first_file(damaged)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"truncated|not a crop cache|damaged"):
        read_all(damaged)

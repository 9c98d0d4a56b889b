"""The folds, and who trains, chooses and tests in them."""

import pytest

from conftest import Prepared
from luna.base.errors import UserError
from luna.config.split import SplitSettings
from luna.data.folds import fold_subsets, split_rows


def test_folds_of_ten_subsets() -> None:
    for fold in range(10):
        sides = fold_subsets(fold, range(10))
        assert sides.tst == fold
        assert sides.val == (fold + 1) % 10
        assert sorted([*sides.trn, sides.val, sides.tst]) == list(range(10))


def test_folds_of_a_partial_download() -> None:
    assert fold_subsets(9, [1, 3, 9]) == ([3], 1, 9)
    with pytest.raises(UserError, match="fold 0 tests on subset 0"):
        fold_subsets(0, [1, 3, 9])
    with pytest.raises(UserError, match="three subsets"):
        fold_subsets(1, [1, 3])


def test_subset_split_keeps_a_series_on_one_side(prepared: Prepared) -> None:
    sides = split_rows(prepared.candidates, 4, SplitSettings())
    uids = [set(prepared.candidates["seriesuid"].iloc[rows]) for rows in sides]
    assert not (uids[0] & uids[1] or uids[0] & uids[2] or uids[1] & uids[2])
    assert sum(map(len, sides)) == len(prepared.candidates)


def test_stride_split_is_the_chapters(prepared: Prepared) -> None:
    sides = split_rows(prepared.candidates, 0, SplitSettings(method="stride", stride=10))
    assert sides.val.tolist() == list(range(0, len(prepared.candidates), 10))
    assert len(sides.trn) + len(sides.val) == len(prepared.candidates)
    assert len(sides.tst) == 0

"""Datasets, the order of an epoch, and loaders that all give the same batches."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from conftest import Prepared
from luna.base.errors import UserError
from luna.batches.dataset import LunaDataset


def test_torch_s_own_loader_works_with_the_dataset(dataset: LunaDataset, exact: np.ndarray) -> None:
    crops, labels, uids, centers = next(iter(DataLoader(dataset, batch_size=8)))
    assert crops.dtype == torch.int16
    assert (crops[:, 0].numpy() == exact[:8]).all()
    assert (labels.numpy() == dataset.labels[:8]).all()
    assert list(uids) == list(dataset.series_uids[:8])
    assert (centers.numpy() == dataset.centers_irc[:8]).all()


def test_dataset_options(prepared: Prepared, dataset: LunaDataset) -> None:
    candidates, source = prepared.candidates, dataset.source
    uid = candidates["seriesuid"][0]
    assert set(LunaDataset(candidates, source, series_uid=uid).series_uids) == {uid}
    validation = LunaDataset(candidates, source, val_stride=5, isValSet_bool=True)
    training = LunaDataset(candidates, source, val_stride=5, isValSet_bool=False)
    assert validation.rows.tolist() == list(range(0, len(candidates), 5))
    assert sorted([*validation.rows, *training.rows]) == list(range(len(candidates)))
    by_size = LunaDataset(candidates, source, sortby_str="label_and_size")
    positives = int(by_size.labels.sum())
    assert by_size.labels[:positives].all()
    diameters = candidates["diameter_mm"].to_numpy()[by_size.rows[:positives]]
    assert (np.diff(diameters) <= 0).all()
    by_uid = LunaDataset(candidates, source, sortby_str="series_uid")
    assert list(by_uid.series_uids) == sorted(candidates["seriesuid"])
    shuffled = [LunaDataset(candidates, source, sortby_str="random", seed=seed).rows for seed in (1, 1, 2)]
    assert (shuffled[0] == shuffled[1]).all()
    assert (shuffled[0] != shuffled[2]).any()
    for wrong in ({"series_uid": "1.2"}, {"sortby_str": "size"}, {"isValSet_bool": True}):
        with pytest.raises(UserError):
            LunaDataset(candidates, source, **wrong)


def test_a_smaller_crop_is_the_middle_of_the_cached_one(dataset: LunaDataset, prepared: Prepared) -> None:
    small = LunaDataset(prepared.candidates, dataset.source, crop=(8, 12, 10))
    for index in (0, 50):
        assert np.array_equal(small.crop(index), dataset.crop(index)[4:12, 2:14, 3:13])
    with pytest.raises(UserError, match="set cache"):
        LunaDataset(prepared.candidates, dataset.source, crop=(8, 17, 10))

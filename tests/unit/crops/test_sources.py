"""The crop cache: exact to the bit, and it notices what is not right."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import SMALL_CROP, Prepared, checked_headers, prepare
from luna.base.errors import UserError
from luna.config.cache import CropSettings
from luna.crops.cache import CropCache
from luna.crops.cut import cut_block
from luna.crops.sources import CachedCrops, DirectCrops
from luna.imaging.ct import read_ct
from unit.conftest import first_file
from unit.crops.conftest import assert_exact, read_all


@pytest.mark.parametrize("codec", ["lz4", "none"])
@pytest.mark.parametrize("crop", [(16, 16, 16), (32, 48, 48), (9, 70, 11)])
def test_every_crop_is_exact(phantom: Path, tmp_path: Path, codec: str, crop: tuple[int, int, int]) -> None:
    """Flipped directions, borders and short axes included, for both codecs."""
    data = prepare(phantom, tmp_path, CropSettings(crop=crop, margin=(2, 3, 4), codec=codec))
    assert_exact(data, CachedCrops(data.candidates, data.crops, data.settings))


def test_crops_without_a_cache_are_the_same(prepared: Prepared) -> None:
    assert_exact(prepared, DirectCrops(prepared.candidates, prepared.series, prepared.settings))


def test_real_slabs_are_exact_and_padded(real_data: Path, tmp_path: Path) -> None:
    from luna.data.candidates import list_candidates
    from luna.data.verify import verify_dataset

    tables = (real_data / "luna16" / "annotations.csv", [real_data / "slabs" / "candidates.csv"])
    series, _ = verify_dataset(checked_headers(real_data / "slabs"), *tables)
    candidates, _ = list_candidates(series, *tables)
    settings = CropSettings(margin=(1, 2, 3))
    CropCache(tmp_path / "cache" / "crops", settings).update(series, candidates)
    data = Prepared(real_data / "slabs", tmp_path, series, candidates, settings)
    assert_exact(data, CachedCrops(candidates, data.crops, settings))
    assert len(candidates) == 23


def test_margin_holds_real_voxels(prepared: Prepared) -> None:
    """Where the CT goes on beyond the crop, the margin shows it instead of an invented border."""
    ct = read_ct(Path(prepared.series["path"][0]))
    settings = CropSettings(crop=(8, 8, 8), margin=(2, 2, 2))
    block = cut_block(ct, [12, 32, 32], settings)
    np.testing.assert_array_equal(block, np.clip(ct.hu[6:18, 26:38, 26:38], -1000, 1000))


def test_other_settings_are_noticed_all_at_once(damaged: Prepared) -> None:
    with pytest.raises(UserError) as caught:
        read_all(damaged, CropSettings(crop=(16, 16, 16), margin=(0, 0, 0)))
    assert len(caught.value.problems) == 10
    assert "another margin" in caught.value.problems[0]
    with pytest.raises(UserError, match="another clip"):
        read_all(damaged, SMALL_CROP.model_copy(update={"clip": (-900, 900)}))


def test_a_missing_file_is_named(damaged: Prepared) -> None:
    first_file(damaged).unlink()
    with pytest.raises(UserError, match="is missing"):
        read_all(damaged)


@pytest.mark.parametrize("cached", [True, False])
def test_a_digest_covers_its_rows_and_no_others(prepared: Prepared, cached: bool) -> None:
    def digest_of(rows: list[int], candidates: pd.DataFrame = prepared.candidates) -> str:
        if cached:
            return CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP).digest_of(np.array(rows))
        return DirectCrops(candidates, prepared.series, SMALL_CROP).digest_of(np.array(rows))

    some = [0, 1, 30, 90]
    others = [[1, 0, 30, 90], [0, 1, 30], [0, 1, 31, 90], [0, 1, 30, 91]]
    assert digest_of(some) == digest_of(some)
    assert len({digest_of(rows) for rows in [some, *others]}) == 5
    moved = prepared.candidates.copy()
    moved.loc[100, "row"] += 1
    assert digest_of(some, moved) == digest_of(some)

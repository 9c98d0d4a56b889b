"""The crop cache: exact to the bit, and it notices what is not right."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from conftest import SMALL_CROP, TINY, Prepared, prepare
from luna import crops as crops_module
from luna.crops import (
    CachedCrops,
    CropFile,
    CropSettings,
    DirectCrops,
    cache_series_crops,
    crop_file,
    cut_block,
    write_crops,
)
from luna.ct import read_ct
from luna.phantom import PhantomSettings, make_phantom
from luna.program import UserError


def crop_from_simpleitk(path: str, center: np.ndarray, settings: CropSettings) -> np.ndarray:
    """The crop with its margin by the plain definition, from SimpleITK's own array."""
    volume = sitk.GetArrayFromImage(sitk.ReadImage(path)).astype(np.int16)
    pad = [(n, n) for n in settings.block]
    padded = np.pad(volume, pad, constant_values=-1000)
    window = []
    for c, n, size, margin, block in zip(
        center, volume.shape, settings.crop, settings.margin, settings.block, strict=True
    ):
        start = min(max(c - size // 2, min(0, n - size)), max(0, n - size)) - margin + block
        window.append(slice(start, start + block))
    return np.clip(padded[tuple(window)], *settings.clip)


def assert_exact(data: Prepared, source: CachedCrops | DirectCrops) -> None:
    path_of = dict(zip(data.series["seriesuid"], data.series["path"], strict=True))
    out = np.empty(data.settings.block, dtype=np.int16)
    for row, candidate in enumerate(data.candidates.itertuples()):
        center = data.candidates.loc[row, ["index", "row", "col"]].to_numpy(dtype=int)
        source.read(row, out)
        expected = crop_from_simpleitk(path_of[candidate.seriesuid], center, data.settings)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("codec", ["lz4", "none"])
@pytest.mark.parametrize("crop", [(16, 16, 16), (32, 48, 48), (9, 70, 11)])
def test_every_crop_is_exact(phantom: Path, tmp_path: Path, codec: str, crop: tuple[int, int, int]) -> None:
    """Flipped directions, borders and short axes included, for both codecs."""
    data = prepare(phantom, tmp_path, CropSettings(crop, (2, 3, 4), codec=codec))
    assert_exact(data, CachedCrops(data.candidates, data.crops, data.settings))


def test_crops_without_a_cache_are_the_same(prepared: Prepared) -> None:
    assert_exact(prepared, DirectCrops(prepared.candidates, prepared.series, prepared.settings))


def test_real_slabs_are_exact_and_padded(real_data: Path, tmp_path: Path) -> None:
    from luna.candidates import list_candidates
    from luna.verify import verify_dataset, verify_subset

    tables = (real_data / "luna16" / "annotations.csv", [real_data / "slabs" / "candidates.csv"])
    checked = pd.concat([verify_subset(real_data / "slabs", n, "full") for n in range(10)])
    series, _ = verify_dataset(checked, *tables)
    candidates, _ = list_candidates(series, *tables)
    settings = CropSettings(margin=(1, 2, 3))
    cache_series_crops(series, candidates, tmp_path / "cache" / "crops", settings)
    data = Prepared(real_data / "slabs", tmp_path, series, candidates, settings)
    assert_exact(data, CachedCrops(candidates, data.crops, settings))
    assert len(candidates) == 23


def test_margin_holds_real_voxels(prepared: Prepared) -> None:
    """Where the CT goes on beyond the crop, the margin shows it instead of an invented border."""
    ct = read_ct(Path(prepared.series["path"][0]))
    settings = CropSettings((8, 8, 8), (2, 2, 2))
    block = cut_block(ct, [12, 32, 32], settings)
    np.testing.assert_array_equal(block, np.clip(ct.hu[6:18, 26:38, 26:38], -1000, 1000))


def test_unchanged_series_are_kept(phantom: Path, tmp_path: Path) -> None:
    data = prepare(phantom, tmp_path, SMALL_CROP)
    before = {path.name: path.stat().st_mtime_ns for path in data.crops.iterdir()}
    again = cache_series_crops(data.series, data.candidates, data.crops, SMALL_CROP)
    assert (again["built"], again["kept"]) == (0, 10)
    assert {path.name: path.stat().st_mtime_ns for path in data.crops.iterdir()} == before


def test_one_changed_series_rebuilds_only_itself(tmp_path: Path) -> None:
    root = tmp_path / "data"
    make_phantom(root, TINY)
    data = prepare(root, tmp_path, SMALL_CROP)
    raw = Path(data.series["path"][3]).with_suffix(".raw")
    raw.write_bytes(raw.read_bytes()[::-1])
    changed = prepare(root, tmp_path / "other", SMALL_CROP)
    again = cache_series_crops(changed.series, changed.candidates, data.crops, SMALL_CROP)
    assert again["built"] == 1
    assert_exact(changed, CachedCrops(changed.candidates, data.crops, SMALL_CROP))


def test_an_added_candidate_rebuilds_only_its_series(phantom: Path, tmp_path: Path) -> None:
    data = prepare(phantom, tmp_path, SMALL_CROP)
    more = pd.concat([data.candidates, data.candidates.iloc[:1]], ignore_index=True)
    again = cache_series_crops(data.series, more, data.crops, SMALL_CROP)
    assert again["built"] == 1


@pytest.fixture
def damaged(prepared: Prepared, tmp_path: Path) -> Prepared:
    """A copy of the prepared data whose cache may be damaged."""
    shutil.copytree(prepared.crops, tmp_path / "cache" / "crops")
    return Prepared(prepared.root, tmp_path, prepared.series, prepared.candidates, prepared.settings)


def first_file(data: Prepared) -> Path:
    return crop_file(data.crops, data.candidates["seriesuid"][0])


def read_all(data: Prepared, settings: CropSettings = SMALL_CROP) -> None:
    source = CachedCrops(data.candidates, data.crops, settings)
    out = np.empty(settings.block, dtype=np.int16)
    for row in range(len(data.candidates)):
        source.read(row, out)


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
    with pytest.raises(UserError, match=r"truncated|no crop cache|damaged"):
        read_all(damaged)


def test_damage_is_repaired_by_the_named_command(damaged: Prepared) -> None:
    path = first_file(damaged)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"xyz")
    again = cache_series_crops(damaged.series, damaged.candidates, damaged.crops, SMALL_CROP)
    assert again["built"] == 1
    assert path.read_bytes() == whole


def test_other_settings_are_noticed_all_at_once(damaged: Prepared) -> None:
    with pytest.raises(UserError) as caught:
        read_all(damaged, CropSettings((16, 16, 16), (0, 0, 0)))
    assert len(caught.value.problems) == 10
    assert "another margin" in caught.value.problems[0]
    with pytest.raises(UserError, match="another clip"):
        read_all(damaged, CropSettings((16, 16, 16), (1, 2, 2), (-900, 900)))


def test_a_missing_file_is_named(damaged: Prepared) -> None:
    first_file(damaged).unlink()
    with pytest.raises(UserError, match="is missing"):
        read_all(damaged)


def test_a_full_disk_leaves_the_old_cache(damaged: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    path = first_file(damaged)
    whole = path.read_bytes()

    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(crops_module.blosc, "compress", full)
    ct = read_ct(Path(damaged.series["path"][0]))
    with pytest.raises(UserError, match="the disk is full"):
        write_crops(path, ct, "x", [[1, 2, 3]], SMALL_CROP)
    assert path.read_bytes() == whole
    assert [each for each in path.parent.iterdir() if each.name.startswith(".")] == []


def test_a_uid_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a DICOM uid"):
        crop_file(tmp_path, "../../x")


def test_a_series_without_candidates(prepared: Prepared, tmp_path: Path) -> None:
    one = prepared.series.iloc[:1]
    made = cache_series_crops(one, prepared.candidates.iloc[:0], tmp_path, SMALL_CROP)
    assert made["series"][one["seriesuid"][0]]["crops"] == 0
    assert len(CropFile(crop_file(tmp_path, one["seriesuid"][0])).centers) == 0


def test_phantom_is_the_same_every_time(tmp_path: Path) -> None:
    settings = PhantomSettings(series=3, size=64, slices=16, candidates=10)
    make_phantom(tmp_path / "a", settings)
    make_phantom(tmp_path / "b", settings, processes=2)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()

"""The crop cache: exact to the bit, and it notices what is not right."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import SMALL_CROP, TINY, TINY_SEED, Prepared, prepare
from luna.base.errors import UserError
from luna.config.cache import CropSettings
from luna.crops import cache as cache_module
from luna.crops import file as crops_module
from luna.crops.cache import CropCache
from luna.crops.file import CropFile, crop_file, write_crops
from luna.crops.sources import CachedCrops
from luna.imaging.ct import read_ct
from luna.phantom.dataset import make_phantom
from unit.conftest import first_file
from unit.crops.conftest import assert_exact


def test_unchanged_series_are_kept(phantom: Path, tmp_path: Path) -> None:
    data = prepare(phantom, tmp_path, SMALL_CROP)
    before = {path.name: path.stat().st_mtime_ns for path in data.crops.iterdir()}
    cached, built = CropCache(data.crops, SMALL_CROP).update(data.series, data.candidates)
    assert (len(cached), built) == (10, 0)
    assert {path.name: path.stat().st_mtime_ns for path in data.crops.iterdir()} == before


def test_one_changed_series_rebuilds_only_itself(tmp_path: Path) -> None:
    root = tmp_path / "data"
    make_phantom(root, TINY, TINY_SEED)
    data = prepare(root, tmp_path, SMALL_CROP)
    raw = Path(data.series["path"][3]).with_suffix(".raw")
    np.fromfile(raw, dtype="<i2")[::-1].tofile(raw)
    changed = prepare(root, tmp_path / "other", SMALL_CROP)
    _, built = CropCache(data.crops, SMALL_CROP).update(changed.series, changed.candidates)
    assert built == 1
    assert_exact(changed, CachedCrops(changed.candidates, data.crops, SMALL_CROP))


def test_an_added_candidate_rebuilds_only_its_series(phantom: Path, tmp_path: Path) -> None:
    data = prepare(phantom, tmp_path, SMALL_CROP)
    more = pd.concat([data.candidates, data.candidates.iloc[:1]], ignore_index=True)
    _, built = CropCache(data.crops, SMALL_CROP).update(data.series, more)
    assert built == 1


def reading(cache: CropCache, data: Prepared, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The CTs that an update reads."""
    read: list[str] = []
    monkeypatch.setattr(cache_module, "read_ct", lambda path: read.append(path.stem) or read_ct(path))
    cache.update(data.series, data.candidates)
    return read


def test_a_touched_ct_is_read_and_its_crops_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_phantom(tmp_path / "data", TINY, TINY_SEED)
    data = prepare(tmp_path / "data", tmp_path, SMALL_CROP)
    path = Path(data.series["path"][3])
    path.with_suffix(".raw").touch()
    before = {each.name: each.stat().st_mtime_ns for each in data.crops.glob("*.crops")}
    cache = CropCache(data.crops, SMALL_CROP)
    assert reading(cache, data, monkeypatch) == [path.stem]
    assert {each.name: each.stat().st_mtime_ns for each in data.crops.glob("*.crops")} == before
    assert reading(cache, data, monkeypatch) == []


def test_other_code_reads_and_cuts_again(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(phantom, tmp_path, SMALL_CROP)
    before = {path.name: path.stat().st_mtime_ns for path in data.crops.glob("*.crops")}
    monkeypatch.setattr(cache_module, "code_digest", lambda _: "other")
    assert len(reading(CropCache(data.crops, SMALL_CROP), data, monkeypatch)) == 10
    after = {path.name: path.stat().st_mtime_ns for path in data.crops.glob("*.crops")}
    assert not set(before.items()) & set(after.items())


def test_the_same_names_in_another_folder_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archives may unpack every file with the same time."""
    make_phantom(tmp_path / "a", TINY, TINY_SEED)
    data = prepare(tmp_path / "a", tmp_path, SMALL_CROP)
    raw = Path(data.series["path"][3]).with_suffix(".raw")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    other = Path(str(raw).replace("/a/", "/b/"))
    np.fromfile(raw, dtype="<i2")[::-1].tofile(other)
    os.utime(other, ns=(raw.stat().st_atime_ns, raw.stat().st_mtime_ns))
    moved = data.series.assign(path=data.series["path"].str.replace("/a/", "/b/"))
    cached, read = CropCache(data.crops, SMALL_CROP).update(moved, data.candidates)
    assert read == 10
    assert cached[raw.stem].voxels.checksum != data.series["checksum"][3]


def test_other_settings_read_each_ct_once(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(phantom, tmp_path, SMALL_CROP)
    cache = CropCache(data.crops, CropSettings(crop=(8, 8, 8)))
    assert sorted(reading(cache, data, monkeypatch)) == sorted(data.series["seriesuid"])


def test_voxels_that_are_not_sound_are_named_until_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_phantom(tmp_path / "data", TINY, TINY_SEED)
    data = prepare(tmp_path / "data", tmp_path, SMALL_CROP)
    path = Path(data.series["path"][3])
    sound, times = path.with_suffix(".raw").read_bytes(), path.with_suffix(".raw").stat()
    path.with_suffix(".raw").write_bytes(bytes(len(sound)))
    cache = CropCache(data.crops, SMALL_CROP)
    for _ in range(2):
        cached, read = cache.update(data.series, data.candidates)
        assert read == 1
        (problem,) = cached[path.stem].voxels.problems
        assert (problem.kind, problem.where) == ("constant", str(path))
    path.with_suffix(".raw").write_bytes(sound)
    os.utime(path.with_suffix(".raw"), ns=(times.st_atime_ns, times.st_mtime_ns))
    assert reading(cache, data, monkeypatch) == [path.stem]
    assert_exact(data, CachedCrops(data.candidates, data.crops, SMALL_CROP))


def test_a_disk_that_fails_once_is_asked_again(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    data = prepare(phantom, tmp_path / "whole", SMALL_CROP)
    cache = CropCache(tmp_path / "crops", SMALL_CROP)
    with monkeypatch.context() as patched:
        patched.setattr(np, "fromfile", failing)
        cached, _ = cache.update(data.series.iloc[:1], data.candidates)
    ((problem,),) = [each.voxels.problems for each in cached.values()]
    assert "Input/output error" in problem.text
    assert "--forcerun cache_subset" in problem.text
    cached, read = cache.update(data.series.iloc[:1], data.candidates)
    assert (read, [each.voxels.problems for each in cached.values()]) == (1, [()])


def test_damage_is_repaired_by_the_named_command(damaged: Prepared) -> None:
    path = first_file(damaged)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"xyz")
    _, built = CropCache(damaged.crops, SMALL_CROP).update(damaged.series, damaged.candidates)
    assert built == 1
    assert path.read_bytes() == whole


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
    with pytest.raises(UserError, match="not a valid DICOM uid"):
        crop_file(tmp_path, "../../x")


def test_a_series_without_candidates(prepared: Prepared, tmp_path: Path) -> None:
    one = prepared.series.iloc[:1]
    cached, _ = CropCache(tmp_path, SMALL_CROP).update(one, prepared.candidates.iloc[:0])
    assert cached[one["seriesuid"][0]].crops == 0
    assert len(CropFile(crop_file(tmp_path, one["seriesuid"][0])).centers) == 0


def test_a_changed_header_rebuilds_its_series(tmp_path: Path) -> None:
    root = tmp_path / "data"
    make_phantom(root, TINY, TINY_SEED)
    data = prepare(root, tmp_path, SMALL_CROP)
    header = Path(data.series["path"][3])
    text = header.read_text()
    turned = text.replace("CenterOfRotation = 0", "CenterOfRotation = 1")
    assert turned != text
    header.write_text(turned)
    _, built = CropCache(data.crops, SMALL_CROP).update(data.series, data.candidates)
    assert built == 1
    assert_exact(data, CachedCrops(data.candidates, data.crops, SMALL_CROP))

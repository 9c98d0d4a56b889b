"""CTs in archives and buckets are read as those in folders are, and few copies are kept."""

import errno
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from botocore.exceptions import FlexibleChecksumError, ResponseStreamingError

from conftest import SMALL_CROP, TINY
from luna.base.errors import UserError
from luna.crops.cache import CropCache
from luna.data.tables import IRC
from luna.data.verify import verify_subset
from luna.imaging.folders import files_of_ct, find_cts
from luna.phantom.dataset import make_phantom
from luna.storage.archive import Archive
from luna.storage.bucket import Bucket
from luna.storage.copies import CopiedFiles, files_of
from luna.storage.dataset import subset_files, subset_source
from luna.storage.source import Source, files_digest, local_files
from s3_server import s3_bucket, upload
from unit.imaging.images import write_dicom

NONE = pd.DataFrame(columns=["seriesuid", *IRC])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subset with CTs in five formats, one cut short, one of zeros, and what is no CT."""
    root = tmp_path_factory.mktemp("formats")
    make_phantom(root, TINY.model_copy(update={"series": 61}), 3)
    folder = root / "subset0"
    _mhd, zraw, mha, nii, dicom, short, zeros = find_cts(folder)
    image = sitk.ReadImage(str(dicom))
    sitk.WriteImage(sitk.ReadImage(str(mha)), str(mha.with_suffix(".mha")), True)
    sitk.WriteImage(sitk.ReadImage(str(nii)), str(nii.with_name(f"{nii.stem}.nii.gz")), True)
    packed = sitk.ReadImage(str(zraw))
    for path in (mha, nii, dicom, zraw):
        path.unlink()
        path.with_suffix(".raw").unlink()
    sitk.WriteImage(packed, str(zraw), True)
    write_dicom(image, folder / "1.2.3")
    raw = short.with_suffix(".raw")
    raw.write_bytes(raw.read_bytes()[:-2])
    zeros.with_suffix(".raw").write_bytes(bytes(zeros.with_suffix(".raw").stat().st_size))
    (folder / "notes.txt").write_text("fine")
    (folder / "loose.dcm").write_bytes(b"\0")
    return folder


@pytest.fixture(params=["archive", "archive with a folder", "bucket"])
def elsewhere(folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Source]:
    """The same subset in an archive or in a bucket."""
    if request.param == "bucket":
        with s3_bucket("lung") as bucket:
            upload(bucket, folder, "luna/subset0")
            yield subset_source("s3://lung/luna", 0, tmp_path / "copies")
        return
    with zipfile.ZipFile(tmp_path / "subset0.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.*")):
            start = folder.parent if "folder" in request.param else folder
            archive.write(path, path.relative_to(start))
    yield subset_source(tmp_path, 0, tmp_path / "copies")


def test_verification_and_cache_are_those_of_a_folder(
    folder: Path, elsewhere: Source, tmp_path: Path
) -> None:
    here = subset_source(folder.parent, 0)
    rows, others = (verify_subset(source, 0) for source in (here, elsewhere))
    for name in ("path", "problem"):
        others[name] = others[name].str.replace(elsewhere.folder, here.folder)
    pd.testing.assert_frame_equal(rows, others)
    assert sorted(rows["status"]) == ["not-read", *["ok"] * 6, "problem"]

    sound = rows[rows["status"] == "ok"]
    cached, read = CropCache(tmp_path / "here", SMALL_CROP, here).update(sound, NONE)
    there = sound.assign(path=sound["path"].str.replace(here.folder, elsewhere.folder))
    copied, _ = CropCache(tmp_path / "there", SMALL_CROP, elsewhere).update(there, NONE)
    assert read == 6
    problems = {uid: each.voxels.problems for uid, each in cached.items() if each.voxels.problems}
    ((uid, (problem,)),) = problems.items()
    (where,) = there["path"][there["seriesuid"] == uid]
    assert copied[uid].voxels.problems == (problem._replace(where=where),)
    assert {name: each for name, each in copied.items() if name != uid} == {
        name: each for name, each in cached.items() if name != uid
    }
    # The one that is not sound is read again.
    assert CropCache(tmp_path / "there", SMALL_CROP, elsewhere).update(there, NONE) == (copied, 1)
    assert not (tmp_path / "copies").exists()


def test_copies_are_of_one_ct(elsewhere: Source, tmp_path: Path) -> None:
    rows = verify_subset(elsewhere, 0)
    left = tmp_path / "copies" / ".being-read" / "left by a job that was killed"
    left.parent.mkdir(parents=True)
    left.touch()
    for row in rows[rows["status"] == "ok"].itertuples():
        with elsewhere.ct(row.path) as path:
            copied = [file for file in (tmp_path / "copies").rglob("*") if file.is_file()]
            assert sorted(copied) == files_of_ct(path)


def test_a_changed_copy_is_read_again(folder: Path, tmp_path: Path) -> None:
    with s3_bucket("lung") as bucket:
        upload(bucket, folder, "luna/subset0")
        source = subset_source("s3://lung/luna", 0, tmp_path / "copies")
        rows = verify_subset(source, 0)
        sound = rows[rows["status"] == "ok"]
        CropCache(tmp_path / "crops", SMALL_CROP, source).update(sound, NONE)
        files = [file for path in sound["path"] for file in source.files(path)]
        raw = next(file for file in files if file.name.endswith(".raw"))
        changed = bytearray((folder / raw.name).read_bytes())
        changed[-1] ^= 1
        bucket.put_object(Key=f"luna/subset0/{raw.name}", Body=bytes(changed))
        # This source was listed before.
        with pytest.raises(UserError, match=f"{raw.name}: has changed since this run began"):
            Bucket("s3://lung/luna/subset0").fetch(raw, tmp_path / "copy")
        again = subset_source("s3://lung/luna", 0, tmp_path / "copies")
        # And the one that is not sound.
        assert CropCache(tmp_path / "crops", SMALL_CROP, again).update(sound, NONE)[1] == 2


def test_files_of_a_ct_by_their_names_alone(folder: Path) -> None:
    listed = local_files(folder)
    for path in find_cts(folder):
        names = [file.relative_to(folder).as_posix() for file in files_of_ct(path)]
        assert [file.name for file in files_of(path.name, listed)] == names


def test_every_change_of_a_file_changes_the_digest(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    copy = Path(shutil.copytree(folder, root / "subset0"))
    seen = {files_digest(subset_files(str(root))[0])}

    def is_new() -> bool:
        before = len(seen)
        seen.add(files_digest(subset_files(str(root))[0]))
        return len(seen) > before

    assert not is_new()
    raw = next(copy.glob("*.raw"))
    raw.touch()
    assert is_new()
    raw.write_bytes(raw.read_bytes() + b"x")
    assert is_new()
    raw.rename(raw.with_suffix(".zraw"))
    assert is_new()
    next((copy / "1.2.3").iterdir()).unlink()
    assert is_new()


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "subset0.zip", "w") as archive:
        archive.writestr("../../x.mhd", "x")
    with pytest.raises(UserError, match=r"subset0\.zip/\.\./\.\./x\.mhd: leads out of its folder"):
        subset_source(tmp_path, 0, tmp_path / "copies")


def test_archives_that_hold_a_name_twice_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "subset0.zip", "w") as archive:
        archive.writestr("1.2.raw", "x")
        archive.writestr("./subset0/1.2.raw", "y")
    with pytest.raises(UserError, match=r"subset0\.zip: holds 1\.2\.raw twice"):
        subset_source(tmp_path, 0, tmp_path / "copies")


def test_slices_with_long_private_attributes(folder: Path, tmp_path: Path) -> None:
    """Their pixels begin beyond what is fetched of a header."""
    series = Path(shutil.copytree(folder / "1.2.3", tmp_path / "subset0" / "1.2.3"))
    for path in series.iterdir():
        data = pydicom.dcmread(path)
        data.add_new(0x00190010, "LO", "OURS")
        data.add_new(0x00191001, "OB", bytes(80_000))
        data.save_as(path)
    shutil.make_archive(str(tmp_path / "subset0"), "zip", tmp_path, "subset0")
    shutil.rmtree(tmp_path / "subset0")
    rows = verify_subset(subset_source(tmp_path, 0, tmp_path / "copies"), 0)
    assert rows["status"].tolist() == ["ok"], rows["problem"][0]


def test_problems_in_an_archive_in_a_folder_with_quotes(tmp_path: Path) -> None:
    root = tmp_path / 'of "Ann\\", Müller'
    root.mkdir()
    with zipfile.ZipFile(root / "subset0.zip", "w") as archive:
        archive.writestr("1.2.mhd", "no header")
    rows = verify_subset(subset_source(root, 0, tmp_path / "copies"), 0)
    ((_, where, _),) = json.loads(rows["problem"][0])
    assert where == rows["path"][0] == str(root / "subset0.zip" / "1.2.mhd")


def test_a_full_disk_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shutil.make_archive(str(tmp_path / "subset0"), "zip", folder.parent, "subset0")
    source = subset_source(tmp_path, 0, tmp_path / "copies")
    monkeypatch.setattr(Archive, "fetch", full)
    with pytest.raises(UserError, match="the disk is full"):
        verify_subset(source, 0)


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_ENDPOINT_URL_S3", "s3.example.org"), ("AWS_PROFILE", "nobody")]
)
def test_wrong_settings_are_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"s3://lung/a: cannot be reached .*check the address"):
        Bucket("s3://lung/a")


def test_damaged_archives_are_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "subset0.zip"
    path.write_bytes(b"PK\3\4")
    with pytest.raises(UserError, match=r"subset0\.zip: is damaged .*get it again"):
        subset_source(tmp_path, 0, tmp_path / "copies")
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(next(folder.glob("*.raw")), "1.2.raw")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    source = subset_source(tmp_path, 0, tmp_path / "copies")
    assert isinstance(source, CopiedFiles)
    with pytest.raises(UserError, match=r"1\.2\.raw: is damaged"), source.ct(f"{path}/1.2.raw"):
        pass


class Client:
    """A server that answers in an odd way: `answer` makes of the part that is asked for a body, or raises."""

    def __init__(self, content: bytes, answer: Callable[[bytes, int], Iterator[bytes]]) -> None:
        self.content, self.answer, self.ranges = content, answer, list[str]()
        self.knows_ranges = True

    def get_object(self, **options: str) -> dict[str, Any]:
        self.ranges.append(options.get("Range", "all"))
        start, stop = 0, len(self.content)
        if "Range" in options and self.knows_ranges:
            start, last = map(int, options["Range"].removeprefix("bytes=").split("-"))
            stop = last + 1
        body = mock.Mock()
        body.iter_chunks = lambda _: self.answer(self.content[start:stop], len(self.ranges))
        part = {"ContentRange": "some"} if "Range" in options and self.knows_ranges else {}
        return {"Body": body} | part


def breaking(part: bytes, _number: int) -> Iterator[bytes]:
    """A transfer that ends after 1000 bytes."""
    yield part[:1000]
    if len(part) > 1000:
        raise ResponseStreamingError(error="connection lost")


def damaging(part: bytes, number: int) -> Iterator[bytes]:
    """The first transfer is damaged, which its checksum shows at its end."""
    if number == 1:
        yield bytes(len(part))
        raise FlexibleChecksumError(error_msg="wrong checksum")
    yield part


CONTENT = bytes(range(256)) * 10


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with s3_bucket("lung") as objects:
        objects.put_object(Key="a/x", Body=CONTENT)
        yield Bucket("s3://lung/a")


def test_a_broken_transfer_goes_on_where_it_was(bucket: Bucket, tmp_path: Path) -> None:
    (file,) = bucket.listed()
    bucket._client = client = Client(CONTENT, breaking)
    bucket.fetch(file, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert client.ranges == ["all", "bytes=1000-2559", "bytes=2000-2559"]


def test_a_transfer_that_breaks_off_again_and_again(bucket: Bucket, tmp_path: Path) -> None:
    (file,) = bucket.listed()
    bucket._client = Client(CONTENT * 10, breaking)
    with pytest.raises(UserError, match=r"s3://lung/a/x: cannot be read \(.*connection lost"):
        bucket.fetch(file._replace(size=len(CONTENT) * 10), tmp_path / "x")


def test_a_damaged_transfer_begins_again(bucket: Bucket, tmp_path: Path) -> None:
    (file,) = bucket.listed()
    bucket._client = Client(CONTENT, damaging)
    bucket.fetch(file, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_server_without_ranges(bucket: Bucket, tmp_path: Path) -> None:
    (file,) = bucket.listed()
    bucket._client = client = Client(CONTENT, lambda part, _: iter([part]))
    client.knows_ranges = False
    bucket.fetch(file, tmp_path / "x", first=100)
    assert (tmp_path / "x").read_bytes() == CONTENT[:100]

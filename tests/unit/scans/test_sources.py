"""Whatever a user names: every CT series in it is found, and what is left out is named with a reason."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from luna.base.errors import UserError
from luna.imaging.problem import BadCtError
from luna.scans.sources import Scan, Search

from .series import grid, slices_of, write

HU = np.random.default_rng(0).integers(-900, 100, (10, 16, 16)).astype(np.int16)


def found(*paths: Path, derived: bool = False) -> tuple[list[Scan], str]:
    """The scans, and the reasons of all that is left out."""
    work = paths[0].parent
    scans, left_out = Search(work / "unpacked", work / "out").scans(paths, derived)
    return scans, "\n".join(f"{where}: {reason}" for where, reason in left_out)


def changed(slices: list[Dataset], **attributes: object) -> list[Dataset]:
    for data in slices:
        for name, value in attributes.items():
            setattr(data, name, value)
    return slices


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two reconstructions of a chest in one folder, without suffix; and other objects beside them."""
    folder = tmp_path / "study"
    mixed = slices_of(HU, grid(), "1.2.3") + slices_of(HU[:8], grid(), "1.2.4")
    np.random.default_rng(1).shuffle(mixed)  # type: ignore[arg-type]
    write(mixed, folder, suffix="")
    write(
        changed(slices_of(HU[:1], grid(), "1.2.5"), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        folder / "top",
    )
    write(changed(slices_of(HU[:1], grid(), "1.2.6"), Modality="SR"), folder / "dose")
    write(changed(slices_of(HU, grid(), "1.2.7"), ImageType=["DERIVED", "SECONDARY", "MPR"]), folder / "mpr")
    write(changed(slices_of(HU, grid(), "1.2.8"), SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), folder / "screen")
    write(slices_of(HU[:1], grid(), "1.2.9"), folder / "one")
    (folder / "README.txt").write_text("Thank you for downloading.")
    (folder / "viewer.exe").write_bytes(b"MZ" + bytes(300))
    return folder


def test_a_study(study: Path) -> None:
    scans, left_out = found(study)
    assert {scan.name: len(scan.slices) for scan in scans} == {"1.2.3": 10, "1.2.4": 8}
    for reason in (
        "top: 1 file: a localizer", "dose: 1 file: modality SR, a report", "study: 1 file: not a DICOM file",
        "mpr: 10 files: derived from another", "screen: 10 files: a secondary capture",
        "one: series 1.2.9: 1 slice, which is no volume",
    ):  # fmt: skip
        assert reason in left_out
    (first, _) = sorted(scans, key=lambda scan: scan.name)
    np.testing.assert_array_equal(first.read().hu, HU)


def test_derived_series_where_they_are_asked_for(study: Path) -> None:
    scans, _ = found(study, derived=True)
    assert {scan.name for scan in scans} == {"1.2.3", "1.2.4", "1.2.7"}


def test_an_archive_and_one_inside(tmp_path: Path, study: Path) -> None:
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as archive:
        for path in study.iterdir():
            if path.is_file():
                archive.write(path, path.name)
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        archive.write(tmp_path / "inner.zip", "a/inner.zip")
    scans, _ = found(tmp_path / "scan.zip")
    assert {scan.name: len(scan.slices) for scan in scans} == {"1.2.3": 10, "1.2.4": 8}
    np.testing.assert_array_equal(scans[0].read().hu[:8], HU[:8])


def test_two_acquisitions_under_one_uid(tmp_path: Path) -> None:
    later = changed(slices_of(HU + 5, grid()), AcquisitionNumber=2)
    for number, data in enumerate(later):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid(
            entropy_srcs=[str(number)]
        )
    write([*slices_of(HU, grid()), *later], tmp_path / "ct")
    scans, _ = found(tmp_path / "ct")
    assert [scan.name for scan in scans] == ["1.2.3 acquisition 1", "1.2.3 acquisition 2"]
    np.testing.assert_array_equal(scans[1].read().hu, HU + 5)


def test_acquisitions_that_follow_each_other_are_one_scan(tmp_path: Path) -> None:
    slices = slices_of(HU, grid())
    changed(slices[4:], AcquisitionNumber=2)
    write(slices, tmp_path / "ct")
    (scan,), _ = found(tmp_path / "ct")
    assert len(scan.slices) == 10


def test_copies_of_slices_count_once(tmp_path: Path) -> None:
    write(slices_of(HU, grid()), tmp_path / "ct" / "a")
    write(slices_of(HU, grid())[2:4], tmp_path / "ct" / "b")
    (scan,), left_out = found(tmp_path / "ct")
    np.testing.assert_array_equal(scan.read().hu, HU)
    assert "b: 2 files: a copy of a slice that is there already" in left_out


def test_reconstructions_whose_slices_have_one_uid(tmp_path: Path) -> None:
    for name in ("1.2.3", "1.2.4"):
        write(changed(slices_of(HU, grid(), name), SOPInstanceUID="1.9"), tmp_path / "ct" / name)
    scans, left_out = found(tmp_path / "ct")
    assert [len(scan.slices) for scan in scans] == [10, 10]
    assert not left_out


def test_a_doubled_slice_is_told_even_where_each_slice_is_an_acquisition(tmp_path: Path) -> None:
    slices = slices_of(HU, grid())
    again = slices_of(HU, grid())[4]
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = "1.9.9"
    for number, data in enumerate([*slices, again]):
        data.AcquisitionNumber = number
    write([*slices, again], tmp_path / "ct")
    (scan,), _ = found(tmp_path / "ct")
    with pytest.raises(BadCtError, match="at the place of another"):
        scan.read()


def test_image_files_of_one_name_and_earlier_results(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(HU)
    for folder in ("a", "b", "out"):
        (tmp_path / folder).mkdir()
        sitk.WriteImage(image, str(tmp_path / folder / "ct.nii.gz"))
    sitk.WriteImage(image, str(tmp_path / "b" / "other.mhd"))
    (tmp_path / "b" / ".hidden.nii.gz").write_bytes(b"")
    scans, left_out = Search(tmp_path / "unpacked", tmp_path / "out").scans([tmp_path], derived=False)
    assert [(scan.name, scan.where.parent.name) for scan in scans] == [
        ("ct", "a"),
        ("ct", "b"),
        ("other", "b"),
    ]
    assert not left_out
    assert {path.suffix for path in scans[-1].files} == {".mhd", ".raw"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_odd_things_in_a_folder(tmp_path: Path) -> None:
    """A link to a folder is followed, once; a pipe is not read; a name that cannot be written is told."""
    folder = tmp_path / "all"
    write(slices_of(HU, grid()), tmp_path / "elsewhere" / "ct")
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    Path(os.fsdecode(os.fsencode(folder) + b"/T\xf6rax.nii.gz")).write_bytes(b"x")
    (scan,), left_out = found(folder)
    assert len(scan.slices) == 10
    assert "rax.nii.gz: its name is not plain UTF-8: rename it" in left_out
    left_out.encode()


def test_archives_that_are_damaged_or_too_deep(tmp_path: Path) -> None:
    """One in a folder is left out; the scans beside it are found. Nothing names where it was unpacked."""
    folder = write(slices_of(HU, grid()), tmp_path / "all" / "ct").parent
    (folder / "bad.zip").write_bytes(b"PK no archive")
    inner = folder / "ct" / "0000.dcm"
    for depth in range(5):
        outer = tmp_path / f"{depth}.zip"
        with zipfile.ZipFile(outer, "w") as archive:
            archive.write(inner, inner.name)
        inner = outer
    inner.rename(folder / "deep.zip")
    (scan,), left_out = found(folder)
    assert len(scan.slices) == 10
    assert "bad.zip: is damaged" in left_out
    assert "deep.zip/3.zip/2.zip/1.zip: an archive within 3 others" in left_out
    assert "unpacked/" not in left_out


def test_all_that_cannot_be_looked_at_is_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no scan")
    (tmp_path / "bad.zip").write_bytes(b"PK no archive")
    with pytest.raises(UserError) as caught:
        found(tmp_path / "notes.txt", tmp_path / "bad.zip", tmp_path / "gone")
    text = str(caught.value)
    assert "notes.txt: not a scan; scans are .mhd" in text
    assert "bad.zip: is damaged" in text
    assert "gone: no such file or folder" in text


def test_an_archive_cannot_write_elsewhere(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../escaped.dcm", b"x")
    found(tmp_path / "evil.zip")
    escaped = list(tmp_path.parent.rglob("escaped.dcm"))
    assert all(path.is_relative_to(tmp_path / "unpacked") for path in escaped)

"""What lies in a data folder: only files that belong to a CT count; the rest is named once or harmless."""

import os
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk

from luna.data.verify import verify_dataset, verify_subset
from luna.imaging.folders import SLICES_LOOSE, files_of_ct, find_cts, not_read
from luna.storage.source import LocalFiles

from .images import chest_image, write_dicom


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A subset with a CT in each of three forms."""
    folder = tmp_path / "subset0"
    folder.mkdir()
    sitk.WriteImage(chest_image(), str(folder / "1.1.mhd"))
    sitk.WriteImage(chest_image(), str(folder / "1.2.nii.gz"))
    write_dicom(chest_image(), folder / "1.2.3")
    return folder


def files_of_all(folder: Path) -> list[Path]:
    return [file for path in find_cts(folder) for file in files_of_ct(path)]


def test_files_that_belong_to_no_ct(folder: Path) -> None:
    before, cts = files_of_all(folder), find_cts(folder)
    assert len(cts) == 3
    assert len(before) == 2 + 1 + 10
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "note.txt").write_text("seen by Anna")
    (folder / "1.2.3" / "Thumbs.txt").write_text("x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._1.1.mhd").write_bytes(b"\0")
    (folder / "dangling.txt").symlink_to("nowhere")
    assert files_of_all(folder) == before
    assert find_cts(folder) == cts
    assert list(not_read(folder)) == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("loose.dcm", "a folder of their own"), ("a.hdr", "convert"), ("a.img", "convert"),
        ("1.9.raw.gz", "unpack"), ("subset0.zip", "unpack"), ("deep/1.9.mhd", "one level up"),
        ("{run}.mhd", "braces"), (os.fsdecode(b"M\xfcller.mhd"), "not plain UTF-8"),
        ("1.2\n.mhd", "not plain UTF-8"), ("loose.IMA", "a folder of their own"),
        ("deep/deeper/1.9.mhd", "one level up"), ("1.9.nhdr", "one .nrrd file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(folder: Path, name: str, advice: str) -> None:
    before = files_of_all(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"\0")
    assert files_of_all(folder) == before
    table = verify_subset(LocalFiles(folder), 0)
    (folder.parent / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")
    (folder.parent / "candidates.csv").write_text("seriesuid,coordX,coordY,coordZ,class\n")
    tables = folder.parent / "annotations.csv", [folder.parent / "candidates.csv"]
    usable, report = verify_dataset(table, *tables)
    assert len(usable) == report.series.found == 3
    assert report.problems == []
    assert [problem.kind for problem in report.warnings] == ["not-read"]
    assert advice in report.warnings[0].text


def test_a_dangling_link_is_a_problem_of_its_series(folder: Path) -> None:
    raw = folder / "1.1.raw"
    raw.unlink()
    raw.symlink_to("nowhere")
    table = verify_subset(LocalFiles(folder), 0).set_index("seriesuid")
    assert table["status"].to_dict() == {"1.1": "problem", "1.2": "ok", "1.2.3": "ok"}
    assert "missing-voxels" in table["problem"]["1.1"]


@pytest.mark.parametrize("suffix", [".RAW", ".Raw"])
def test_voxels_whose_suffix_is_in_capitals(folder: Path, suffix: str) -> None:
    raw = (folder / "1.1.raw").rename(folder / f"1.1{suffix}")
    header = folder / "1.1.mhd"
    header.write_text(header.read_text().replace("1.1.raw", raw.name))
    assert files_of_ct(header) == [header, raw]
    assert verify_subset(LocalFiles(folder), 0)["status"].eq("ok").all()


def test_slices_without_a_suffix_are_named(folder: Path) -> None:
    shutil.copy(folder / "1.2.3" / "0001.dcm", folder / "I0001")
    assert [problem.text for problem in not_read(folder)] == [SLICES_LOOSE]


def test_a_link_to_no_folder_is_a_problem_of_its_series(folder: Path) -> None:
    (folder / "1.2.4").symlink_to("nowhere")
    (folder / "1.2.5").mkdir()
    table = verify_subset(LocalFiles(folder), 0).set_index("seriesuid")
    assert "is a link to nothing" in table["problem"]["1.2.4"]
    assert "holds no DICOM CT series" in table["problem"]["1.2.5"]


def test_voxels_without_a_header_are_a_problem(folder: Path) -> None:
    shutil.move(folder / "1.1.mhd", folder / ".hidden")
    table = verify_subset(LocalFiles(folder), 0).set_index("seriesuid")
    assert "missing-header" in table["problem"]["1.1"]


def test_a_folder_named_otherwise_than_its_series(folder: Path) -> None:
    (folder / "1.2.3").rename(folder / "1.2.4")
    table = verify_subset(LocalFiles(folder), 0).set_index("seriesuid")
    assert "its SeriesInstanceUID is 1.2.3" in table["problem"]["1.2.4"]

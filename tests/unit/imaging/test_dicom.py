"""DICOM folders that are no single whole CT series: each is refused by name, or the rest is read."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataelem import RawDataElement
from pydicom.uid import RLELossless

from luna.imaging.ct import read_ct, read_header
from luna.imaging.problem import BadCtError

from .images import chest_image, write_dicom

Change = Callable[[pydicom.Dataset], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A series of ten slices, 2.5 mm apart from z = -200 mm on."""
    write_dicom(chest_image(), tmp_path / "1.2.3")
    return tmp_path / "1.2.3"


def edit(folder: Path, change: Change, *numbers: int) -> None:
    """Change some slices, all without numbers."""
    for path in sorted(folder.glob("*.dcm")):
        if not numbers or int(path.stem) in numbers:
            data = pydicom.dcmread(path)
            change(data)
            data.save_as(path)


def copy_of(folder: Path, number: int, name: str, change: Change) -> None:
    data = pydicom.dcmread(folder / f"{number:04}.dcm")
    change(data)
    data.save_as(folder / name)


def setting(**attributes: object) -> Change:
    def change(data: pydicom.Dataset) -> None:
        for name, value in attributes.items():
            setattr(data, name, value)

    return change


def slice_missing(folder: Path) -> None:
    (folder / "0004.dcm").unlink()


def slices_doubled(folder: Path) -> None:
    for number in range(10):
        copy_of(folder, number, f"copy{number}.dcm", setting(SOPInstanceUID=f"1.9.{number}"))


def steps_of_two_kinds(folder: Path) -> None:
    def change(data: pydicom.Dataset) -> None:
        if data.ImagePositionPatient[2] > -187:
            data.ImagePositionPatient[2] = -187.5 + 2 * (data.ImagePositionPatient[2] + 187.5)

    edit(folder, change)


def tilted(folder: Path) -> None:
    def change(data: pydicom.Dataset) -> None:
        data.ImagePositionPatient[1] += 0.2 * (data.ImagePositionPatient[2] + 200)

    edit(folder, change)


def two_series(folder: Path) -> None:
    for number in range(10):
        uids = setting(SeriesInstanceUID="1.2.4", SOPInstanceUID=f"1.9.{number}")
        copy_of(folder, number, f"other{number}.dcm", uids)


def one_truncated(folder: Path) -> None:
    path = folder / "0003.dcm"
    path.write_bytes(path.read_bytes()[:-300])


def one_empty(folder: Path) -> None:
    (folder / "0003.dcm").write_bytes(b"")


def one_is_html(folder: Path) -> None:
    (folder / "0003.dcm").write_text("<html>404</html>")


def one_of_another_size(folder: Path) -> None:
    def change(data: pydicom.Dataset) -> None:
        data.Rows, data.PixelData = data.Rows // 2, data.PixelData[: len(data.PixelData) // 2]

    edit(folder, change, 3)


def one_turned(folder: Path) -> None:
    edit(folder, setting(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), 3)


def enhanced(folder: Path) -> None:
    edit(folder, setting(NumberOfFrames=4))


def no_intercept(folder: Path) -> None:
    edit(folder, lambda data: data.__delattr__("RescaleIntercept"), 5)


def no_ct(folder: Path) -> None:
    edit(folder, setting(Modality="MR"))


def end_truncated(folder: Path) -> None:
    edit(folder, lambda data: data.compress(RLELossless))
    path = folder / "0009.dcm"
    path.write_bytes(path.read_bytes()[:300])


def no_finite_position(folder: Path) -> None:
    edit(folder, setting_raw("ImagePositionPatient", b"-50\\-60\\nan"), 9)


def two_coordinates(folder: Path) -> None:
    edit(folder, setting(ImagePositionPatient=[1, 2]))


def spacing_of_one_number(folder: Path) -> None:
    edit(folder, setting(PixelSpacing=0.7))


def decimal_commas(folder: Path) -> None:
    edit(folder, setting_raw("ImagePositionPatient", b"1,5\\2,5\\3,5 "), 3)


def no_slope(folder: Path) -> None:
    edit(folder, setting(RescaleSlope=0), 4)


def an_intercept_lost(folder: Path) -> None:
    edit(folder, lambda data: setattr(data, "RescaleIntercept", float(data.RescaleIntercept) + 1024), 4)


def a_link_to_nothing(folder: Path) -> None:
    (folder / "0009.dcm").unlink()
    (folder / "0009.dcm").symlink_to("nowhere")


def a_name_in_braces(folder: Path) -> None:
    (folder / "0004.dcm").rename(folder / "{four}.dcm")


def setting_raw(name: str, value: bytes) -> Change:
    """Write bytes that pydicom would not write."""

    def change(data: pydicom.Dataset) -> None:
        tag = pydicom.tag.Tag(name)
        data[tag] = RawDataElement(tag, "DS", len(value), value, 0, False, True)

    return change


REFUSED = {
    end_truncated: ("dicom-file", "0009.dcm: has no "),
    no_finite_position: (
        "dicom-file",
        "its ImagePositionPatient is -50 -60 nan, not 3 finite numbers",
    ),
    two_coordinates: (
        "dicom-file",
        "10 slices, 0000.dcm, 0001.dcm, 0002.dcm and 7 more: its",
    ),
    spacing_of_one_number: ("dicom-file", "its PixelSpacing is 0.7, not 2 finite numbers"),
    decimal_commas: ("dicom-file", "0003.dcm: its ImagePositionPatient"),
    no_slope: ("dicom-file", "0004.dcm: its RescaleSlope is 0"),
    an_intercept_lost: ("unequal-slices", "RescaleIntercept of 1 slices is far from 0: 0004.dcm (1024)"),
    a_link_to_nothing: ("dicom-file", "0009.dcm: is a link to nothing"),
    a_name_in_braces: ("dicom-file", "has a name with braces"),
    slice_missing: ("uneven-steps", "steps are 2.500 mm, but 5.000 mm after 0003.dcm (at -192.50 mm)"),
    slices_doubled: ("doubled-slices", "10 slices are at the place of another: 0000.dcm and copy0.dcm"),
    steps_of_two_kinds: ("uneven-steps", "steps are 2.500 mm, but 5.000 mm after 0005.dcm"),
    tilted: ("gantry-tilt", "by 11.3 degrees"),
    two_series: ("several-series", "holds 2 CT series: 1.2.3 (10 slices), 1.2.4 (10 slices)"),
    one_truncated: ("unreadable", "0003.dcm: its voxels cannot be read"),
    one_empty: ("dicom-file", "0003.dcm: is empty"),
    one_is_html: ("dicom-file", "0003.dcm: is not a DICOM file"),
    one_of_another_size: (
        "unequal-slices",
        "rows and columns of 1 slices differ from 20 25: 0003.dcm (10 25)",
    ),
    one_turned: ("unequal-slices", "orientation of 1 slices differ"),
    enhanced: ("multi-frame", "of several frames, but lacks the functional groups"),
    no_intercept: ("dicom-file", "0005.dcm: has no RescaleIntercept"),
    no_ct: ("header", "holds no DICOM CT series; left out: 10 files (MR)"),
}


@pytest.mark.parametrize("damage", REFUSED, ids=lambda damage: damage.__name__)
def test_refused_by_name(folder: Path, damage: Callable[[Path], None]) -> None:
    kind, words = REFUSED[damage]
    damage(folder)
    with pytest.raises(BadCtError) as caught:
        read_ct(folder)
    assert kind in {problem.kind for problem in caught.value.found}
    assert words in str(caught.value)


def test_all_damaged_files_are_named_at_once(folder: Path) -> None:
    one_is_html(folder)
    (folder / "0007.dcm").write_bytes(b"")
    with pytest.raises(BadCtError) as caught:
        read_ct(folder)
    assert [Path(problem.where).name for problem in caught.value.found] == ["0003.dcm", "0007.dcm"]


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.9"], ids=["of the same series", "of its own"])
def test_a_localizer_beside_the_ct_is_left_out(folder: Path, uid: str) -> None:
    before = read_ct(folder).hu
    change = setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID=uid, Rows=10,
                     ImageOrientationPatient=[0, 1, 0, 0, 0, -1])  # fmt: skip
    copy_of(folder, 0, "scout.dcm", change)
    ct = read_ct(folder)
    assert np.array_equal(ct.hu, before)
    assert ct.notes == ["left out: 1 files (localizer)"]


def test_other_files_in_the_folder(folder: Path) -> None:
    before = read_ct(folder)
    for name in ("LICENSE.txt", "LICENSE", "README", "Thumbs.db", "series.log"):
        (folder / name).write_text("free")
    (folder / ".DS_Store").write_bytes(b"\0")
    assert np.array_equal(read_ct(folder).hu, before.hu)


def test_slopes_may_differ_from_slice_to_slice(folder: Path) -> None:
    before = read_ct(folder).hu

    def half_as_steep(data: pydicom.Dataset) -> None:
        stored = data.pixel_array.astype(np.int16) * 2
        data.RescaleSlope, data.PixelData = 0.5 * float(data.RescaleSlope), stored.tobytes()

    edit(folder, half_as_steep, 2, 5)
    assert np.array_equal(read_ct(folder).hu, before)


def test_file_names_do_not_matter(folder: Path) -> None:
    before = read_ct(folder)
    for number in range(10):
        shutil.move(folder / f"{number:04}.dcm", folder / f"{(7 * number) % 10}")
    after = read_ct(folder)
    assert np.array_equal(after.hu, before.hu)
    assert after.grid.origin.tolist() == before.grid.origin.tolist() == [-50, -60, -200]


def test_compressed_slices(folder: Path) -> None:
    before = read_ct(folder).hu
    edit(folder, lambda data: data.compress(RLELossless))
    assert np.array_equal(read_ct(folder).hu, before)


def test_each_file_is_read_once(folder: Path) -> None:
    opened: list[str] | None = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and opened is not None and str(folder) in str(arguments[0]):
            opened.append(Path(str(arguments[0])).name)

    sys.addaudithook(note)  # for good: nothing can remove it
    read_ct(folder)
    names, opened = opened, None
    assert sorted(names) == [f"{number:04}.dcm" for number in range(10)]


def test_the_header_alone(folder: Path) -> None:
    header, ct = read_header(folder), read_ct(folder)
    assert header.shape == ct.hu.shape
    assert header.grid.spacing.tolist() == pytest.approx([0.7, 0.8, 2.5])


def test_one_slice_is_no_ct(folder: Path) -> None:
    with pytest.raises(BadCtError, match="known format"):
        read_ct(folder / "0003.dcm")


def test_an_oblique_series_is_placed_as_simpleitk_does(tmp_path: Path) -> None:
    image = chest_image()
    turn = sitk.Euler3DTransform((0, 0, 0), 0.1, 0.2, 0.3)
    image.SetDirection(turn.GetMatrix())
    write_dicom(image, tmp_path / "1.2.3")
    grid = read_ct(tmp_path / "1.2.3").grid
    np.testing.assert_allclose(grid.direction.ravel(), image.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(grid.origin, image.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(grid.spacing, image.GetSpacing(), atol=1e-4)

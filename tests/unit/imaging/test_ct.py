"""Reading CTs and cutting crops."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from luna.base.errors import UserError
from luna.imaging.ct import ct_checksum, read_ct, read_header
from luna.imaging.folders import find_cts, series_uid_of

from .images import chest_voxels, write_dicom


def test_phantom_reads_like_simpleitk(phantom: Path) -> None:
    paths = [path for n in range(10) for path in find_cts(phantom / f"subset{n}")]
    directions = set()
    for path in paths:
        image = sitk.ReadImage(str(path))
        ct = read_ct(path)
        np.testing.assert_array_equal(ct.hu, sitk.GetArrayFromImage(image))
        np.testing.assert_allclose(ct.grid.origin, image.GetOrigin())
        np.testing.assert_allclose(ct.grid.spacing, image.GetSpacing())
        np.testing.assert_allclose(ct.grid.direction.ravel(), image.GetDirection())
        directions.add(image.GetDirection())
    assert len(directions) == 2, "the phantom has flipped directions, as LUNA16 does"


def test_direction_columns_are_axes(tmp_path: Path) -> None:
    """A direction that is not symmetric is read as SimpleITK reads it."""
    image = sitk.GetImageFromArray(np.zeros((9, 4, 4), dtype=np.int16))
    image.SetDirection([0, -1, 0, 1, 0, 0, 0, 0, 1])
    sitk.WriteImage(image, str(tmp_path / "1.2.mhd"))
    np.testing.assert_array_equal(
        read_header(tmp_path / "1.2.mhd").grid.direction.ravel(), image.GetDirection()
    )


@pytest.mark.parametrize("suffix", [".mha", ".nii.gz", ".nrrd"])
def test_other_formats(phantom: Path, tmp_path: Path, suffix: str) -> None:
    source = find_cts(phantom / "subset0")[0]
    target = tmp_path / f"1.2.3{suffix}"
    sitk.WriteImage(sitk.ReadImage(str(source)), str(target))
    original, copy = read_ct(source), read_ct(target)
    np.testing.assert_array_equal(copy.hu, original.hu)
    np.testing.assert_allclose(copy.grid.origin, original.grid.origin, atol=1e-3)
    np.testing.assert_allclose(copy.grid.direction, original.grid.direction, atol=1e-6)
    assert series_uid_of(target) == "1.2.3"


def test_dicom_folder(phantom: Path, tmp_path: Path) -> None:
    source = find_cts(phantom / "subset0")[0]
    folder = tmp_path / "1.2.3"
    write_dicom(sitk.ReadImage(str(source)), folder)
    original, copy = read_ct(source), read_ct(folder)
    # SimpleITK's own reader of series agrees, and sorts along the normal as well.
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    np.testing.assert_array_equal(copy.hu, sitk.GetArrayFromImage(image))
    np.testing.assert_allclose(copy.grid.origin, image.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(copy.grid.spacing, image.GetSpacing(), atol=1e-3)
    np.testing.assert_allclose(copy.grid.direction.ravel(), image.GetDirection(), atol=1e-6)
    assert np.array_equal(np.sort(copy.hu, axis=0), np.sort(original.hu, axis=0))
    assert copy.series_uid == "1.2.3"


def test_float_voxels_are_rounded_and_limited(tmp_path: Path) -> None:
    values = chest_voxels().astype(np.float32)
    values[0, 0, :5] = -1000.6, 40000, 7.4, np.nan, -np.inf
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "1.2.mhd"))
    ct = read_ct(tmp_path / "1.2.mhd")
    assert ct.hu[0, 0, :5].tolist() == [-1001, 32767, 7, -1000, -1000]
    assert ct.notes == ["2 voxels are not finite numbers: they count as air"]


def test_compressed_voxels(tmp_path: Path) -> None:
    values = chest_voxels()
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "1.2.mhd"), useCompression=True)
    assert (tmp_path / "1.2.zraw").exists()
    np.testing.assert_array_equal(read_ct(tmp_path / "1.2.mhd").hu, values)


def test_missing_voxels_are_named(phantom: Path, tmp_path: Path) -> None:
    source = find_cts(phantom / "subset0")[0]
    (tmp_path / source.name).write_bytes(source.read_bytes())
    with pytest.raises(UserError, match=r"\.raw: cannot be read"):
        read_ct(tmp_path / source.name)


def test_real_ct_reads_like_simpleitk(real_data: Path) -> None:
    for path in [*real_data.glob("slabs/subset*/*.mhd"), real_data / "chest_ct" / "C3N-00247.mhd"]:
        np.testing.assert_array_equal(read_ct(path).hu, sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True"),
        ("DimSize = 64 64", "DimSize = 32 128"),
        ("CenterOfRotation = 0", "CenterOfRotation = 1"),
    ],
)
def test_a_ct_s_checksum_covers_its_header(phantom: Path, tmp_path: Path, old: str, new: str) -> None:
    source = find_cts(phantom / "subset0")[0]
    for suffix in (".mhd", ".raw"):
        shutil.copy(source.with_suffix(suffix), tmp_path)
    path = tmp_path / source.name
    before = ct_checksum(path)
    assert before == ct_checksum(source)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert ct_checksum(path) != before


@pytest.mark.parametrize("suffix", [".mhd", ".mha", ".nii", ".nrrd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_ct_s_checksum_covers_its_voxels(tmp_path: Path, suffix: str, compressed: bool) -> None:
    """Also the one that verification computes while it reads the voxels."""
    voxels = chest_voxels()
    sums = set()
    for value in (-500, -499):
        voxels[0, 0, 0] = value
        path = tmp_path / f"1.2{suffix}"
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path), compressed)
        assert read_ct(path).checksum == ct_checksum(path)
        sums.add(ct_checksum(path))
    assert len(sums) == 2


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("1.2.mha", "ObjectType = Image\nNDims = 3\nDimSize = 4 4 9\nElementSpacing = 1 1 1\n"
         "ElementType = MET_SHORT\nElementDataFile = elsewhere.raw\n"),
        ("1.2.nrrd", "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 9\nspacings: 1 1 1\n"
         "encoding: raw\nendian: little\ndata file: elsewhere.raw\n\n"),
    ],
)  # fmt: skip
def test_voxels_in_another_file_are_refused(tmp_path: Path, name: str, header: str) -> None:
    (tmp_path / name).write_text(header)
    np.zeros(144, dtype="<i2").tofile(tmp_path / "elsewhere.raw")
    assert sitk.ReadImage(str(tmp_path / name)).GetSize() == (4, 4, 9)
    with pytest.raises(UserError, match=r"its voxels are in another file \(elsewhere.raw\)"):
        read_ct(tmp_path / name)

"""CTs that are damaged or no CTs, in every format: each is refused in words that name the cause."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from luna.imaging.checks import hu_problems
from luna.imaging.ct import read_ct
from luna.imaging.folders import find_cts
from luna.imaging.problem import BadCtError

from .images import chest_image, chest_voxels

SHAPE = (40, 64, 64)


def written(path: Path, compressed: bool = False, kind: int = sitk.sitkInt16) -> Path:
    """A sound CT; the file that holds its voxels."""
    sitk.WriteImage(sitk.Cast(chest_image(SHAPE), kind), str(path), compressed)
    read_ct(path)
    beside = [path.with_suffix(".raw"), path.with_suffix(".zraw")]
    return next((file for file in beside if file.exists()), path)


def problems_of(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(BadCtError) as caught:
        read_ct(path)
    return [(problem.kind, problem.text) for problem in caught.value.found]


FORMATS = [
    ("1.2.mhd", False), ("1.2.mhd", True), ("1.2.mha", False), ("1.2.mha", True), ("1.2.nii", False),
    ("1.2.nii.gz", True), ("1.2.nrrd", False), ("1.2.nrrd", True),
]  # fmt: skip


@pytest.mark.parametrize("kind", [sitk.sitkInt16, sitk.sitkFloat32], ids=["int16", "float32"])
@pytest.mark.parametrize(("name", "compressed"), FORMATS)
def test_a_file_that_breaks_off(tmp_path: Path, name: str, compressed: bool, kind: int) -> None:
    path = tmp_path / name
    file = written(path, compressed, kind)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 6 // 10])
    ((cause, text),) = problems_of(path)
    assert cause in ("truncated-voxels", "compression")
    assert "the file ends after" in text
    share = int(text.split("the file ends after ")[1].split(" %")[0])
    assert 55 <= share <= 62


@pytest.mark.parametrize(("name", "compressed"), [each for each in FORMATS if each[1]])
def test_flipped_bytes_in_a_compressed_file(tmp_path: Path, name: str, compressed: bool) -> None:
    path = tmp_path / name
    file = written(path, compressed)
    content = bytearray(file.read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 20):
        content[place] ^= 0x55
    file.write_bytes(content)
    assert [kind for kind, _ in problems_of(path)] == ["compression"]


@pytest.mark.parametrize(("name", "compressed"), [each for each in FORMATS if each[1]])
def test_a_wrong_checksum_at_the_end(tmp_path: Path, name: str, compressed: bool) -> None:
    path = tmp_path / name
    file = written(path, compressed)
    content = bytearray(file.read_bytes())
    # gzip ends with a CRC and the size, zlib with its checksum alone.
    content[-7 if content.find(b"\x1f\x8b") >= 0 and path.suffix != ".mha" else -2] ^= 1
    file.write_bytes(content)
    assert [kind for kind, _ in problems_of(path)] == ["compression"]


def test_a_gzip_file_of_several_streams(tmp_path: Path) -> None:
    file = written(tmp_path / "1.2.nii.gz", True)
    content = gzip.decompress(file.read_bytes())
    half = len(content) // 2
    file.write_bytes(gzip.compress(content[:half]) + gzip.compress(content[half:]))
    assert np.array_equal(read_ct(file).hu, chest_voxels(SHAPE))


def test_a_second_half_of_zeros(tmp_path: Path) -> None:
    file = written(tmp_path / "1.2.mhd")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    assert problems_of(tmp_path / "1.2.mhd") == [
        ("empty-slices", "20 of 40 slices hold a single value, the first is slice 20")
    ]


def test_slices_of_padding_are_no_damage(tmp_path: Path) -> None:
    hu = chest_voxels(SHAPE)
    hu[:3] = -2048
    sitk.WriteImage(sitk.GetImageFromArray(hu), str(tmp_path / "1.2.mhd"))
    assert np.array_equal(read_ct(tmp_path / "1.2.mhd").hu, hu)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "intercept lost": lambda hu: hu + 1024,
    "intercept taken twice": lambda hu: hu - 1024,
    "bytes swapped": lambda hu: hu.astype("<i2").byteswap().astype(int),
    "inverted": lambda hu: -hu,
    "doubled": lambda hu: 2 * hu,
}


@pytest.mark.parametrize("padding", [0, -2000, -2048, -3024])
@pytest.mark.parametrize("change", CHANGES)
def test_what_cannot_be_hu(change: str, padding: int) -> None:
    """Padding, which hides the shift from who looks at the lowest value only, may be a fifth of the slice."""
    hu = chest_voxels(SHAPE).astype(int)
    if padding:
        hu[:, :, :12] = padding
    assert list(hu_problems(Path("x"), hu.astype(np.int16))) == []
    changed = CHANGES[change](hu).clip(-32768, 32767).astype(np.int16)
    assert [problem.kind for problem in hu_problems(Path("x"), changed)] == ["not-hu"]


@pytest.mark.parametrize("change", CHANGES)
def test_real_cts_pass_and_their_changes_do_not(real_data: Path, change: str) -> None:
    paths = [*real_data.glob("slabs/subset*/*.mhd"), *real_data.glob("*_ct/*.mh[ad]")]
    assert len(paths) == 5
    for path in paths:
        hu = read_ct(path).hu[::3].astype(int)
        changed = CHANGES[change](hu).clip(-32768, 32767).astype(np.int16)
        assert [problem.kind for problem in hu_problems(path, changed)] == ["not-hu"]


HEADERS: dict[str, tuple[bytes, bytes]] = {
    "HeaderSize -1": (b"ElementDataFile", b"HeaderSize = -1\nElementDataFile"),
    "a comment in Latin-1": (b"NDims", b"Comment = M\xfcller\nNDims"),
    "a comment in UTF-8": (b"NDims", "Comment = Müller\nNDims".encode()),
    "a comment with a byte that ends lines elsewhere": (b"NDims", "Comment = Ålesund\nNDims".encode()),
    "a comment that names a key": (b"NDims", b"Comment = see ElementDataFile below\nNDims"),
    "a byte-order mark": (b"ObjectType", b"\xef\xbb\xbfObjectType"),
    "CRLF": (b"\n", b"\r\n"),
}


@pytest.mark.parametrize(
    ("what", "compressed"),
    [(what, compressed) for what in HEADERS for compressed in (False, True) if what != "HeaderSize -1"]
    + [("HeaderSize -1", False)],
)
def test_headers_in_other_dress(tmp_path: Path, what: str, compressed: bool) -> None:
    path = tmp_path / "1.2.mhd"
    written(path, compressed)
    changed = path.read_bytes().replace(*HEADERS[what])
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    assert np.array_equal(read_ct(path).hu, chest_voxels(SHAPE))


def test_voxels_in_the_header_s_file(tmp_path: Path) -> None:
    path = tmp_path / "1.2.mhd"
    file = written(path)
    path.write_bytes(path.read_bytes().replace(b"1.2.raw", b"LOCAL") + file.read_bytes())
    file.unlink()
    assert np.array_equal(read_ct(path).hu, chest_voxels(SHAPE))
    path.write_bytes(path.read_bytes()[:-9])
    assert [kind for kind, _ in problems_of(path)] == ["truncated-voxels"]


@pytest.mark.parametrize("size", ["", "500", "9999999"])
def test_packed_voxels_of_another_size_than_the_header_says(tmp_path: Path, size: str) -> None:
    """SimpleITK would fill the rest with what was in memory."""
    path = tmp_path / "1.2.mha"
    written(path, compressed=True)
    before, _, after = path.read_bytes().partition(b"CompressedDataSize = ")
    line = f"CompressedDataSize = {size}\n".encode() if size else b""
    path.write_bytes(before + line + after.split(b"\n", 1)[1])
    assert problems_of(path)


def test_voxels_with_an_uncommon_name(tmp_path: Path) -> None:
    path = tmp_path / "1.2.mhd"
    file = written(path)
    file.rename(tmp_path / "1.2.bin")
    path.write_bytes(path.read_bytes().replace(b"1.2.raw", b"1.2.bin"))
    assert "call that file 1.2.raw" in problems_of(path)[0][1]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("stored", [np.int16, np.uint16])
def test_nifti_with_an_intercept(tmp_path: Path, suffix: str, stored: type) -> None:
    """A common way to store a CT: raw values, and slope and intercept in the header."""
    hu, path = chest_voxels(SHAPE), tmp_path / f"1.2{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray((hu + 1024).astype(stored)), str(tmp_path / "plain.nii"))
    content = bytearray((tmp_path / "plain.nii").read_bytes())
    struct.pack_into("<2f", content, 112, 1.0, -1024.0)
    path.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    assert np.array_equal(read_ct(path).hu, hu)
    assert "ends after" in str(problems_of(cut(path))[0]) or suffix == ".nii.gz"


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("name", ["1.2.nii", "1.2.nii.gz", "1.2.mha", "1.2.nrrd"])
def test_voxels_that_are_no_numbers_become_air(tmp_path: Path, name: str) -> None:
    hu = chest_voxels(SHAPE).astype(np.float32)
    expected = hu.copy()
    hu[0, :3, 0], hu[5, 0, 0] = np.nan, np.inf
    expected[0, :3, 0] = expected[5, 0, 0] = -1000
    sitk.WriteImage(sitk.GetImageFromArray(hu), str(tmp_path / name))
    ct = read_ct(tmp_path / name)
    assert np.array_equal(ct.hu, expected)
    assert ct.notes == ["4 voxels are not finite numbers: they count as air"]


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 1000), (0.001, 0.001, 0.001)])
def test_distances_that_no_ct_has(tmp_path: Path, spacing: tuple[float, ...]) -> None:
    image = chest_image(SHAPE)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(tmp_path / "1.2.mhd"))
    assert [kind for kind, _ in problems_of(tmp_path / "1.2.mhd")] == ["spacing"]


@pytest.mark.parametrize("air", [-1000, -1024, -2000])
def test_a_half_that_was_never_written(tmp_path: Path, air: int) -> None:
    hu = chest_voxels(SHAPE)
    hu[20:] = air
    assert [problem.kind for problem in hu_problems(Path("x"), hu)] == ["empty-slices"]


def test_slices_whose_intercept_was_lost(real_data: Path) -> None:
    """A tenth of the slices, which the shares of the whole CT do not show."""
    for path in (*real_data.glob("slabs/subset*/*.mhd"), *real_data.glob("*_ct/*.mh[ad]")):
        hu = read_ct(path).hu.copy()
        hu[: max(1, len(hu) // 10)] += 1024
        assert "not-hu" in [problem.kind for problem in hu_problems(path, hu)]


@pytest.mark.parametrize("compressed", [False, True])
def test_names_in_capitals(tmp_path: Path, compressed: bool) -> None:
    file = written(tmp_path / "1.2.mhd", compressed)
    name = file.name.upper()
    header = (tmp_path / "1.2.mhd").read_text().replace(file.name, name)
    file.rename(tmp_path / name)
    (tmp_path / "1.2.mhd").unlink()
    (tmp_path / "1.2.MHD").write_text(header)
    assert find_cts(tmp_path) == [tmp_path / "1.2.MHD"]
    ct = read_ct(tmp_path / "1.2.MHD")
    assert ct.series_uid == "1.2"
    assert np.array_equal(ct.hu, chest_voxels(SHAPE))


def test_slices_across_the_body_are_refused(tmp_path: Path) -> None:
    image = sitk.PermuteAxes(chest_image(SHAPE), (2, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "1.2.nii"))
    ((kind, text),) = problems_of(tmp_path / "1.2.nii")
    assert kind == "axes"
    assert "not axial" in text
    sitk.WriteImage(sitk.DICOMOrient(image, "LPS"), str(tmp_path / "1.3.nii"))
    assert np.array_equal(read_ct(tmp_path / "1.3.nii").hu, chest_voxels(SHAPE))


def test_sheared_axes_get_advice(tmp_path: Path) -> None:
    path = written(tmp_path / "1.2.nii")
    content = bytearray(path.read_bytes())
    np.frombuffer(content, "<f4", 4, 280)[:] = 0.7, 0.4, 0, 0  # srow_x of the header
    content[252:256] = np.array([0, 2], "<i2").tobytes()  # no quaternion, but that matrix
    path.write_bytes(content)
    ((kind, text),) = problems_of(path)
    assert kind == "direction"
    assert "resample" in text


@pytest.mark.parametrize(("name", "content"), [("1.2.nii", b"\0" * 400), ("1.2.nii.gz", b"x" * 400),
                                               ("1.2.nrrd", b"nothing"), ("1.2.mha", b"")])  # fmt: skip
def test_files_that_only_have_the_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert [kind for kind, _ in problems_of(tmp_path / name)] == ["header"]

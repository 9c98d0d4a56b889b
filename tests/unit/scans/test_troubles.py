"""What DICOM series are like in the world: each works, or is refused with a reason; never a guess."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from luna.base.arrays import HuArray
from luna.imaging.ct import Ct
from luna.imaging.geometry import irc_to_xyz
from luna.imaging.problem import BadCtError
from luna.scans.sources import Search

from .series import enhanced, grid, slices_of, write

HU = np.random.default_rng(0).integers(-900, 100, (10, 16, 20)).astype(np.int16)
Change = Callable[[list[Dataset]], list[Dataset]]


def read(folder: Path) -> Ct:
    (scan,), _ = Search(folder / "unpacked", folder.parent / "out").scans([folder], derived=False)
    return scan.read()


def is_same(ct: Ct, hu: HuArray = HU) -> None:
    np.testing.assert_array_equal(ct.hu, hu)
    np.testing.assert_allclose(irc_to_xyz([[3, 5, 7]], ct.grid), irc_to_xyz([[3, 5, 7]], grid()), atol=1e-4)


def any_order(slices: list[Dataset]) -> list[Dataset]:
    return [slices[number] for number in np.random.default_rng(0).permutation(len(slices))]


def numbered_backwards(slices: list[Dataset]) -> list[Dataset]:
    for number, data in enumerate(slices):
        data.InstanceNumber = len(slices) - number
    return slices


def numbered_from_0(slices: list[Dataset]) -> list[Dataset]:
    for number, data in enumerate(slices):
        data.InstanceNumber = number
    return slices


def slope_and_intercept_by_slice(slices: list[Dataset]) -> list[Dataset]:
    for number, (data, layer) in enumerate(zip(slices, HU, strict=True)):
        slope, intercept = (2, 1)[number % 2], -1024 - 2 * number
        even = ((layer.astype(int) - intercept) // slope * slope + intercept == layer).all()
        data.RescaleSlope, data.RescaleIntercept = (slope if even else 1), intercept
        data.PixelData = ((layer.astype(int) - intercept) // int(data.RescaleSlope)).astype("<i2").tobytes()
    return slices


def unsigned(slices: list[Dataset]) -> list[Dataset]:
    for data, layer in zip(slices, HU, strict=True):
        data.PixelRepresentation, data.PixelData = 0, (layer + 1024).astype("<u2").tobytes()
    return slices


def twelve_bits(slices: list[Dataset]) -> list[Dataset]:
    for data in unsigned(slices):
        data.BitsStored, data.HighBit = 12, 11
    return slices


def run_length_encoded(slices: list[Dataset]) -> list[Dataset]:
    for data in slices:
        data.compress(RLELossless)
    return slices


def private_tags_and_burned_in(slices: list[Dataset]) -> list[Dataset]:
    for data in slices:
        data.BurnedInAnnotation = "YES"
        block = data.private_block(0x0099, "SOMEONE", create=True)
        block.add_new(0x01, "OB", bytes(range(256)))
        block.add_new(0x02, "LO", "Ünïcode \\ and more")
    return slices


@pytest.mark.parametrize(
    "change",
    [
        any_order, numbered_backwards, numbered_from_0, slope_and_intercept_by_slice, unsigned, twelve_bits,
        run_length_encoded, private_tags_and_burned_in,
    ],
)  # fmt: skip
def test_read_as_it_is(tmp_path: Path, change: Change) -> None:
    is_same(read(write(change(slices_of(HU, grid())), tmp_path / "ct")))


def test_enhanced_multi_frame(tmp_path: Path) -> None:
    write([enhanced(slices_of(HU, grid()))], tmp_path / "ct")
    is_same(read(tmp_path / "ct"))


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_compressed(tmp_path: Path, compressor: str) -> None:
    """JPEG lossless and JPEG 2000, as ITK's own GDCM writes them."""
    write(slices_of(HU, grid()), tmp_path / "plain")
    (tmp_path / "ct").mkdir()
    for path in sorted((tmp_path / "plain").iterdir()):
        original = sitk.ReadImage(str(path))
        image = sitk.Cast(original, sitk.sitkInt16)
        for key in original.GetMetaDataKeys():
            image.SetMetaData(key, original.GetMetaData(key))
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
        writer.SetFileName(str(tmp_path / "ct" / path.name))
        writer.Execute(image)
    assert pydicom.dcmread(tmp_path / "ct" / "0000.dcm").file_meta.TransferSyntaxUID.is_compressed
    is_same(read(tmp_path / "ct"))


def test_padding_is_air(tmp_path: Path) -> None:
    hu = HU.copy()
    hu[:, :3] = -2000
    slices = slices_of(hu, grid())
    for data in slices:
        data.PixelPaddingValue = -976
    ct = read(write(slices, tmp_path / "ct"))
    assert (ct.hu[:, :3] <= -1000).all()
    np.testing.assert_array_equal(ct.hu[:, 3:], HU[:, 3:])


@pytest.mark.parametrize(
    ("position", "direction"),
    [
        ("FFS", np.diag([-1.0, 1.0, -1.0])), ("HFP", np.diag([-1.0, -1.0, 1.0])),
        ("HFS", np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])),
    ],
    ids=["feet first", "prone", "oblique"],
)  # fmt: skip
def test_however_the_patient_lay(tmp_path: Path, position: str, direction: np.ndarray) -> None:
    where = grid(direction=direction)
    slices = slices_of(HU, where)
    for data in slices:
        data.PatientPosition = position
    ct = read(write(slices, tmp_path / "ct"))
    # Slices are sorted along the normal of rows and columns, so the stack may be turned round.
    written = irc_to_xyz([[3, 5, 7]], where)
    turned = np.linalg.det(direction) < 0
    index = len(HU) - 1 - 3 if turned else 3
    np.testing.assert_allclose(irc_to_xyz([[index, 5, 7]], ct.grid), written, atol=1e-3)
    assert ct.hu[index, 5, 7] == HU[3, 5, 7]


def slice_missing(slices: list[Dataset]) -> list[Dataset]:
    return slices[:4] + slices[5:]


def slice_doubled(slices: list[Dataset]) -> list[Dataset]:
    again = slices_of(HU, grid())[4]
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = "1.9.9"
    return [*slices, again]


def uneven(slices: list[Dataset]) -> list[Dataset]:
    for data in slices[6:]:
        data.ImagePositionPatient[2] = float(data.ImagePositionPatient[2]) + 0.4
    return slices


def gantry_tilt(slices: list[Dataset]) -> list[Dataset]:
    for number, data in enumerate(slices):
        data.ImagePositionPatient[1] = float(data.ImagePositionPatient[1]) + 0.3 * number
    return slices


def sagittal(slices: list[Dataset]) -> list[Dataset]:
    return slices_of(HU, grid(direction=np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])))


def frames_without_places(slices: list[Dataset]) -> list[Dataset]:
    for data in slices[:1]:
        data.NumberOfFrames = 10
        data.PixelData = data.PixelData * 10
    return slices[:1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (slice_missing, "steps are 1.250 mm, but 2.500 mm after 0003.dcm"),
        (slice_doubled, "1 slices are at the place of another: 0004.dcm and 0010.dcm"),
        (uneven, "steps are 1.250 mm, but 1.650 mm after 0005.dcm"),
        (gantry_tilt, "slices move sideways, by 13.5 degrees"),
        (frames_without_places, "lacks the functional groups that say where"),
        (sagittal, "the slices are not axial"),
    ],
)
def test_refused_with_a_reason(tmp_path: Path, change: Change, reason: str) -> None:
    folder = write(change(slices_of(HU, grid())), tmp_path / "ct")
    with pytest.raises(BadCtError) as caught:
        read(folder)
    assert reason in str(caught.value)

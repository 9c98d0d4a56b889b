"""DICOM CT series, written with pydicom from voxels and a grid."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from luna.base.arrays import HuArray
from luna.imaging.geometry import Grid, irc_to_xyz

STRAIGHT = np.eye(3)


def grid(spacing: tuple[float, float, float] = (0.7, 0.7, 1.25), direction: np.ndarray = STRAIGHT) -> Grid:
    """A grid whose first voxel is at (-100, -80, -300) mm; spacing along x, y, z."""
    return Grid(np.array([-100.0, -80.0, -300.0]), np.array(spacing), direction)


def slices_of(hu: HuArray, grid: Grid, series: str = "1.2.3", study: str = "1.2") -> list[Dataset]:
    """The slices of a series, as a scanner writes them: one acquisition, numbered from 1 on."""
    slices = []
    for number, layer in enumerate(hu):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid("2.25.", entropy_srcs=[series, str(number)])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, f"{study}.9"
        data.Modality, data.ImageType, data.PatientPosition = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "HFS"
        data.PatientID, data.PatientName, data.PatientBirthDate, data.PatientSex = "P1", "Phantom", "", "O"
        data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20260101", "120000", "1", ""
        data.ReferringPhysicianName, data.Manufacturer, data.KVP = "", "Phantom", "120"
        data.SeriesNumber, data.AcquisitionNumber, data.InstanceNumber = 1, 1, number + 1
        data.PositionReferenceIndicator, data.SliceThickness = "", f"{grid.spacing[2]:.4f}"
        data.ImagePositionPatient = [f"{mm:.6f}" for mm in irc_to_xyz([[number, 0, 0]], grid)[0]]
        data.ImageOrientationPatient = [f"{part:.8f}" for part in grid.direction[:, :2].T.ravel()]
        data.PixelSpacing = [f"{grid.spacing[1]:.5f}", f"{grid.spacing[0]:.5f}"]
        data.Rows, data.Columns = layer.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "-1024", "1", "HU"
        data.PixelData = (layer + 1024).astype("<i2").tobytes()
        slices.append(data)
    return slices


def write(slices: list[Dataset], folder: Path, suffix: str = ".dcm") -> Path:
    """Write them, in this order, as 0000.dcm, 0001.dcm, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(slices):
        data.save_as(folder / f"{number:04}{suffix}")
    return folder


def enhanced(slices: list[Dataset]) -> Dataset:
    """The same slices as one enhanced multi-frame object, the last first."""
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    for data in slices:
        data.ContentDate, data.ContentTime = "20260101", "120000"
        data.BurnedInAnnotation = "NO"
    return LegacyConvertedEnhancedCTImage(
        slices[::-1], series_instance_uid="1.2.77", series_number=7, sop_instance_uid="1.2.77.1",
        instance_number=1,
    )  # fmt: skip

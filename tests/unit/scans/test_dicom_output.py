"""Segmentation and report: valid, and read back at the same places."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation, segread
from highdicom.sr import srread

from luna.imaging.dicom import read_dicom
from luna.imaging.geometry import Grid, irc_to_xyz
from luna.scans.dicom_output import write_dicom_findings
from luna.scans.findings import Finding
from luna.scans.outputs import LABELS, REPORT, SEGMENTATION, write_images
from luna.scans.sources import Search

from .series import enhanced, grid, slices_of, write

HU = np.random.default_rng(0).integers(-900, 100, (12, 40, 50)).astype(np.int16)
DIRECTIONS = {
    "axial": np.eye(3),
    "tilted": np.array([[1, 0, 0], [0, 0.96, -0.28], [0, 0.28, 0.96]]),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "upside down": np.diag([1.0, -1.0, -1.0]),
}


def finding(rank: int, **values: object) -> Finding:
    usual = {
        "rank": rank, "probability": 0.8 / rank, "spread": 0.1, "x": 1.0, "y": 2.0, "z": 3.0, "index": 4,
        "row": 5, "column": 6, "slice_number": 5, "sop_instance_uid": "", "diameter_mm": 7.5,
        "volume_mm3": 220.9, "side": "left", "attenuation": "solid",
    }  # fmt: skip
    return Finding.model_validate(usual | values)


FINDINGS = [
    finding(1),
    finding(2, side=None, attenuation=None),
    finding(3, side="right", attenuation="ground glass"),
]


def labels_of() -> np.ndarray:
    labels = np.zeros(HU.shape, dtype=np.uint16)
    labels[2:6, 10:14, 20:25] = 1
    labels[4:7, 30:34, 30:33] = 2
    labels[9, 3, 5] = 3
    return labels


@pytest.fixture(params=list(DIRECTIONS))
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with ct/, segmentation.dcm and report.dcm."""
    write(slices_of(HU, grid(direction=DIRECTIONS[request.param])), tmp_path / "ct")
    slices = read_dicom(tmp_path / "ct", voxels=False).slices
    write_dicom_findings(slices, labels_of(), FINDINGS, tmp_path / SEGMENTATION, tmp_path / REPORT)
    return tmp_path


def check_places(segmentation: Segmentation, ct_grid: Grid) -> None:
    """Every voxel of every segment lies where it does in the CT."""
    assert segmentation.number_of_segments == 3
    for number in (1, 2, 3):
        volume = segmentation.get_volume(segment_numbers=[number], combine_segments=True)
        found = volume.map_indices_to_reference(np.argwhere(volume.array == number))
        truth = irc_to_xyz(np.argwhere(labels_of() == number), ct_grid)
        assert len(found) == len(truth)
        order, expected = (each[np.lexsort(each.round(2).T)] for each in (found, truth))
        np.testing.assert_allclose(order, expected, atol=0.01)


def test_the_segmentation_lies_where_the_findings_are(written: Path) -> None:
    ct_grid = read_dicom(written / "ct", voxels=False).header.grid
    check_places(segread(written / SEGMENTATION), ct_grid)


def test_the_report_measures_what_it_refers_to(written: Path) -> None:
    report, segmentation = srread(written / REPORT), segread(written / SEGMENTATION)
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["Finding 1", "Finding 2", "Finding 3"]
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in (written / "ct").iterdir()}
    for group, expected in zip(groups, FINDINGS, strict=True):
        values = {each.name.meaning: each.value for each in group.get_measurements()}
        assert values == {
            "Volume": expected.volume_mm3, "Diameter": expected.diameter_mm,
            "Certainty of Finding": pytest.approx(100 * expected.probability),
        }  # fmt: skip
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert list(segment.referenced_segment_numbers) == [expected.rank]
        slices = {image.referenced_sop_instance_uid for image in segment.source_images_for_segmentation}
        assert slices <= uids
        assert len(slices) == len(np.flatnonzero((labels_of() == expected.rank).any(axis=(1, 2))))
    sides = [group.finding_sites[0].laterality for group in groups]
    assert [side and side.meaning for side in sides] == ["Left", None, "Right"]


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
def test_a_validator_finds_no_error(written: Path) -> None:
    for name in (SEGMENTATION, REPORT):
        checked = subprocess.run(["dciodvfy", str(written / name)], capture_output=True, encoding="utf-8")
        errors = [line for line in checked.stderr.splitlines() if line.startswith("Error")]
        assert not errors, name


def test_patient_and_study_are_those_of_the_ct(written: Path) -> None:
    source = pydicom.dcmread(written / "ct" / "0000.dcm")
    for name in (SEGMENTATION, REPORT):
        made = pydicom.dcmread(written / name)
        for attribute in ("PatientID", "PatientName", "StudyInstanceUID"):
            assert made[attribute].value == source[attribute].value
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert pydicom.dcmread(written / SEGMENTATION).FrameOfReferenceUID == source.FrameOfReferenceUID


def test_the_same_findings_have_the_same_uids(written: Path) -> None:
    slices = read_dicom(written / "ct", voxels=False).slices
    write_dicom_findings(slices, labels_of(), FINDINGS, written / "again.dcm", written / "report-again.dcm")
    assert segread(written / "again.dcm").SOPInstanceUID == segread(written / SEGMENTATION).SOPInstanceUID
    write_dicom_findings(
        slices, labels_of(), [*FINDINGS[:2], finding(3)], written / "other.dcm", written / "r.dcm"
    )
    assert segread(written / "other.dcm").SOPInstanceUID != segread(written / SEGMENTATION).SOPInstanceUID


def test_of_an_enhanced_multi_frame_object(tmp_path: Path) -> None:
    write([enhanced(slices_of(HU, grid()))], tmp_path / "ct")
    series = read_dicom(tmp_path / "ct", voxels=False)
    write_dicom_findings(series.slices, labels_of(), FINDINGS, tmp_path / SEGMENTATION, tmp_path / REPORT)
    check_places(segread(tmp_path / SEGMENTATION), series.header.grid)
    assert len(srread(tmp_path / REPORT).content.get_volumetric_roi_measurement_groups()) == 3


def test_an_anonymised_series(tmp_path: Path) -> None:
    """DICOM where empty attributes will do; a label map and a note where there is no frame of reference."""
    slices = slices_of(HU, grid())
    for data in slices:
        for name in ("PatientName", "PatientBirthDate", "StudyID", "ReferringPhysicianName"):
            del data[name]
    assert not notes_of(tmp_path / "a", slices)
    assert (tmp_path / "a" / SEGMENTATION).exists()
    for data in slices:
        del data.FrameOfReferenceUID
    (note,) = notes_of(tmp_path / "b", slices)
    assert "finding_labels.nii.gz was written instead of DICOM" in note
    assert (tmp_path / "b" / LABELS).exists()
    assert not (tmp_path / "b" / SEGMENTATION).exists()


def notes_of(folder: Path, slices: list[pydicom.Dataset]) -> list[str]:
    write(slices, folder / "ct")
    (scan,), _ = Search(folder / "unpacked", folder / "out").scans([folder / "ct"], derived=False)
    series = read_dicom(folder / "ct", voxels=False)
    return write_images(folder, scan.read(), series.slices, labels_of(), FINDINGS)

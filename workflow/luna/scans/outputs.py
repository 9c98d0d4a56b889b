"""The files that a scan's findings are written to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.base.errors import UserError
from luna.base.files import Record, atomic_path, write_csv, write_record
from luna.data.tables import XYZ
from luna.imaging.ct import Ct
from luna.imaging.dicom_slice import Slice
from luna.imaging.geometry import irc_to_xyz
from luna.scans.dicom_output import write_dicom_findings
from luna.scans.findings import Finding
from luna.scans.propose import Proposals
from luna.scoring.froc import SUBMISSION_COLUMNS

NOTICE = "Research software. It is no medical device."
TABLE, JSON, PAGE, SUBMISSION = "findings.csv", "findings.json", "findings.html", "submission.csv"
SEGMENTATION, REPORT, LABELS = "segmentation.dcm", "report.dcm", "finding_labels.nii.gz"
ALWAYS_WRITTEN = (TABLE, JSON, PAGE, SUBMISSION)
ALL_WRITTEN = (*ALWAYS_WRITTEN, SEGMENTATION, REPORT, LABELS)


class ScanFindings(Record):
    """findings.json: a scan's findings and what they were made with."""

    notice: str = NOTICE
    """That this is no medical device."""
    scan: str
    """The scan's name, as that of its folder."""
    series_uid: str
    """Its series uid; of an image file, its name."""
    shape: tuple[int, int, int]
    """Voxels: slices, rows, columns."""
    spacing_mm: tuple[float, float, float]
    """Of voxels along x, y and z of the scan's own axes."""
    models: list[str]
    """What judged: run, fold and epoch of each model."""
    places: int
    """How many places were judged."""
    least_probability: float
    """Less probable places are no findings."""
    notes: list[str]
    """What was changed or left out on reading the scan."""
    findings: list[Finding]
    """The most suspicious first."""


def write_tables(folder: Path, result: ScanFindings, points: pd.DataFrame) -> None:
    """Write findings.csv and .json, and the LUNA16 submission of all places that were judged."""
    names = list(Finding.model_fields)
    rows = [each.model_dump() for each in result.findings]
    write_csv(folder / TABLE, pd.DataFrame(rows, columns=names))
    write_csv(folder / SUBMISSION, points[SUBMISSION_COLUMNS])
    write_record(folder / JSON, result)


def submission(ct: Ct, proposals: Proposals) -> pd.DataFrame:
    """Proposals as a LUNA16 submission: in mm, to a tenth of a micrometre."""
    table = pd.DataFrame(irc_to_xyz(proposals.irc, ct.grid).round(4), columns=XYZ)
    return table.assign(seriesuid=ct.series_uid, probability=proposals.probability)


def write_images(
    folder: Path, ct: Ct, slices: Sequence[Slice], labels: npt.NDArray[np.uint16], findings: Sequence[Finding]
) -> list[str]:
    """Write the findings' voxels: DICOM objects for a DICOM series, else a NIfTI label map.

    Without findings there is nothing to write. Returns notes: why a DICOM series has a label map instead.
    """
    if not findings:
        return []
    notes = []
    if slices:
        try:
            write_dicom_findings(slices, labels, findings, folder / SEGMENTATION, folder / REPORT)
            return []
        except UserError as error:
            notes.append(f"{LABELS} was written instead of DICOM: {error}")
    write_label_map(folder / LABELS, ct, labels)
    return notes


def write_label_map(path: Path, ct: Ct, labels: npt.NDArray[np.uint16]) -> None:
    """Write the rank of the finding at each voxel as NIfTI, atomically."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(labels)
    image.SetOrigin(ct.grid.origin.tolist())
    image.SetSpacing(ct.grid.spacing.tolist())
    image.SetDirection(ct.grid.direction.ravel().tolist())
    with atomic_path(path) as temporary:
        written = temporary.with_name(f"{temporary.name}.nii.gz")
        try:
            sitk.WriteImage(image, str(written), useCompression=True)
            written.replace(temporary)
        except RuntimeError as error:
            written.unlink(missing_ok=True)
            raise UserError(f"{path}: cannot be written ({str(error).splitlines()[-1]})") from error

"""From one scan to its findings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from luna.base.arrays import FloatArray
from luna.base.errors import UserError
from luna.base.files import write_text
from luna.data.tables import XYZ, lines_text, read_table
from luna.imaging.ct import Ct
from luna.imaging.dicom import read_dicom_files
from luna.imaging.dicom_slice import Slice
from luna.imaging.geometry import xyz_to_irc
from luna.imaging.lungs import Lungs, find_lungs
from luna.scans.findings import Finding, measure
from luna.scans.models import Models
from luna.scans.outputs import (
    PAGE,
    ScanFindings,
    submission,
    write_images,
    write_tables,
)
from luna.scans.page import findings_page
from luna.scans.propose import Proposals, order, propose, score_places
from luna.scans.sources import Scan
from luna.scans.steps import Steps


class NoCandidatesError(UserError):
    """A table of candidates has none in a scan."""


@dataclass(frozen=True)
class Candidates:
    """A table of places to judge: rows of seriesuid and coordX, coordY, coordZ in mm."""

    path: Path
    table: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> "Candidates":
        """Read and check a table. Raises UserError that lists all that is wrong."""
        table, found = read_table(path, ["seriesuid", *XYZ])
        if found:
            raise UserError("the candidates cannot be used", [problem.sentence for problem in found])
        return cls(path, table)

    def points(self, ct: Ct) -> FloatArray:
        """Those in a CT, (n, 3) xyz in mm as they stand there; rows of other series are left out.

        Raises NoCandidatesError where there is none, and UserError for one outside the CT.
        """
        rows = self.table[self.table["seriesuid"] == ct.series_uid]
        if not len(rows):
            raise NoCandidatesError(f"{self.path}: has no row whose seriesuid is {ct.series_uid}")
        points = rows[XYZ].to_numpy(dtype=float)
        centers = xyz_to_irc(points.clip(-1e9, 1e9), ct.grid)
        outside = ((centers < 0) | (centers >= ct.hu.shape)).any(axis=1)
        if outside.any():
            lines = lines_text(rows.index[outside])
            raise UserError(f"{self.path}: points outside the scan: {outside.sum()} ({lines})")
        return points


@dataclass(frozen=True)
class Settings:
    """How scans are judged.

    candidates: places to judge; None proposes up to `proposals` places a scan. least: places less probable
    are no findings. most: findings a scan.
    """

    candidates: Candidates | None = None
    proposals: int = 200
    least: float = 0.1
    most: int = 30


def predict_scan(scan: Scan, settings: Settings, models: Models, folder: Path, steps: Steps) -> ScanFindings:
    """Write all files of a scan's findings to its folder.

    Raises UserError for what is wrong with the scan, and NoCandidatesError where candidates are given, but
    none in this scan.
    """
    with steps("reading the scan"):
        ct = scan.read()
    with steps("finding the lungs"):
        lungs = find_lungs(ct.hu, ct.grid.spacing[::-1])
    with steps("judging places"):
        places, points = _places(ct, lungs, settings, models)
    with steps("measuring findings"):
        findings, labels = measure(ct, lungs, places, settings.least, settings.most)
    slices = read_dicom_files(scan.where, scan.slices, voxels=False).slices if scan.slices else []
    findings = [_with_slice(each, slices[each.index]) if slices else each for each in findings]
    with steps("writing images"):
        notes = [*ct.notes, *write_images(folder, ct, slices, labels, findings)]
    result = ScanFindings(
        scan=scan.name, series_uid=ct.series_uid, shape=ct.hu.shape, spacing_mm=ct.grid.spacing.tolist(),
        models=models.names, places=len(points), least_probability=settings.least, notes=notes,
        findings=findings,
    )  # fmt: skip
    with steps("writing tables and page"):
        write_tables(folder, result, points)
        write_text(folder / PAGE, findings_page(ct, findings, _facts(result, settings)))
    return result


def _places(ct: Ct, lungs: Lungs, settings: Settings, models: Models) -> tuple[Proposals, pd.DataFrame]:
    """The places of a scan, the most suspicious first, and the same as a LUNA16 submission."""
    if settings.candidates is None:
        found = propose(ct, lungs.voxels(ct.hu.shape), models, settings.proposals)
        return found, submission(ct, found)
    points = settings.candidates.points(ct)
    given = score_places(ct, xyz_to_irc(points, ct.grid), models.ensemble)
    ranks = order(given.probability)
    found = given.rows(ranks)
    return found, submission(ct, found).assign(**dict(zip(XYZ, points[ranks].T, strict=True)))


def _with_slice(finding: Finding, where: Slice) -> Finding:
    """The finding with the uid of its DICOM slice, and the number that viewers show for it."""
    known = {"sop_instance_uid": str(where.data.get("SOPInstanceUID", ""))}
    if where.number is not None:
        return finding.model_copy(update=known | {"slice_number": where.number})
    return finding.model_copy(update=known)


def _facts(result: ScanFindings, settings: Settings) -> dict[str, Any]:
    """What the page says of the scan and the models."""
    origin = (
        "proposed by the project's own search"
        if settings.candidates is None
        else (f"read from {settings.candidates.path.name}")
    )
    above = sum(each.probability >= 0.5 for each in result.findings)
    return {
        "name": result.scan, "notes": result.notes, "judged": result.places, "origin": origin,
        "models": result.models, "least": result.least_probability, "likely": above,
    }  # fmt: skip

"""Findings as DICOM objects that refer to their CT: a segmentation, and a report (TID 1500).

The templates are those of DICOM PS3.16; highdicom fills them.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xxhash

from luna.base.digests import digest
from luna.base.errors import UserError
from luna.base.files import atomic_path
from luna.imaging.dicom_slice import Slice
from luna.scans.findings import Finding

if TYPE_CHECKING:
    from highdicom import UID
    from highdicom.seg import Segmentation
    from pydicom import Dataset

NAME, VERSION = "LUNA nodule workflow", "1"
NOTICE = "Research software, no medical device"
_SEGMENTATION_NUMBER, _REPORT_NUMBER = 9101, 9102
"""Series numbers, far above those of scanners."""
_PRIVATE = "99LUNA"
"""Coding scheme of what DICOM has no code for."""
_EMPTY_WHERE_MISSING = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that DICOM asks for but lets be empty, and that anonymised files often lack."""


def write_dicom_findings(
    slices: Sequence[Slice],
    labels: npt.NDArray[np.uint16],
    findings: Sequence[Finding],
    segmentation_file: Path,
    report_file: Path,
) -> None:
    """Write the segmentation and the report, atomically.

    slices: the CT's slices, in the order of `labels` (index, row, column), which holds the
    rank of the finding at each voxel. findings: at least one, as neither object may be empty. Raises
    UserError where the CT lacks what DICOM needs.
    """
    if slices[0].frame is None:
        sources = [_completed(each.data) for each in slices]
    else:
        if len({id(each.data) for each in slices}) > 1:
            raise UserError("its slices are frames of several files")
        # The frames of one file may be stored in any order.
        sources = [_completed(slices[0].data)]
        labels = labels[np.argsort([each.frame or 0 for each in slices])]
    content = [str(sources[0].get("SeriesInstanceUID")), [each.model_dump(mode="json") for each in findings]]
    key = digest([content, xxhash.xxh3_128_hexdigest(labels.tobytes())])
    try:
        with warnings.catch_warnings():
            # That a patient's name has one part only is not ours to mend.
            warnings.simplefilter("ignore")
            segmentation = _segmentation(sources, labels, findings, key)
            report = _report(sources, segmentation, findings, key)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"its slices lack what a DICOM segmentation needs ({error})") from error
    for dataset, path in ((segmentation, segmentation_file), (report, report_file)):
        with atomic_path(path) as temporary:
            dataset.save_as(temporary)


def _completed(data: "Dataset") -> "Dataset":
    for name in _EMPTY_WHERE_MISSING:
        if name not in data:
            setattr(data, name, None)
    return data


def _uid(kind: str, key: str) -> "UID":
    """A uid that is the same for the same key, as 2.25 and a number."""
    from highdicom import UID

    return UID(f"2.25.{int(digest([kind, key]), 16)}")


def _segmentation(
    sources: Sequence["Dataset"], labels: npt.NDArray[np.uint16], findings: Sequence[Finding], key: str
) -> "Segmentation":
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = AlgorithmIdentificationSequence(
        name=NAME, version=VERSION, family=codes.cid7162.ArtificialIntelligence
    )
    descriptions = [
        SegmentDescription(
            segment_number=each.rank,
            segment_label=f"Finding {each.rank}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Nodule,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=_uid(f"finding {each.rank}", key),
            tracking_id=f"Finding {each.rank}",
            anatomic_regions=[codes.SCT.Lung],
        )
        for each in findings
    ]
    used = np.flatnonzero(labels.any(axis=(1, 2))).tolist()
    if len(sources) > 1:
        sources, labels = [sources[number] for number in used], labels[used]
    return Segmentation(
        source_images=sources,
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=_uid("segmentation series", key),
        series_number=_SEGMENTATION_NUMBER,
        sop_instance_uid=_uid("segmentation", key),
        instance_number=1,
        content_label="NODULES",
        content_description=NOTICE,
        series_description="Nodule findings, research only",
        **_maker(),
    )


def _report(
    sources: Sequence["Dataset"], segmentation: "Segmentation", findings: Sequence[Finding], key: str
) -> "Dataset":
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=_uid("device", NAME), name=NAME
        ),
    )
    groups = [_measurements(segmentation, each, key) for each in findings]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=Code("24627-2", "LN", "CT Chest"),
        imaging_measurements=groups,
    )
    return sr.Comprehensive3DSR(
        evidence=[*sources, segmentation],
        content=content,
        series_instance_uid=_uid("report series", key),
        series_number=_REPORT_NUMBER,
        sop_instance_uid=_uid("report", key),
        instance_number=1,
        is_complete=True,
        series_description="Nodule measurements, research only",
        manufacturer=_maker()["manufacturer"],
    )


def _measurements(segmentation: "Segmentation", finding: Finding, key: str) -> Any:
    """A finding's group of measurements: volume, diameter and certainty, with side and attenuation."""
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    sides = {"left": codes.SCT.Left, "right": codes.SCT.Right}
    attenuation = []
    if finding.attenuation is not None:
        kind = Code(finding.attenuation.replace(" ", "-"), _PRIVATE, finding.attenuation)
        attenuation = [sr.QualitativeEvaluation(Code("attenuation", _PRIVATE, "Attenuation"), kind)]
    values = [
        (codes.SCT.Volume, finding.volume_mm3, codes.UCUM.CubicMillimeter),
        (codes.SCT.Diameter, finding.diameter_mm, codes.UCUM.Millimeter),
        (Code("111012", "DCM", "Certainty of Finding"), 100 * finding.probability, codes.UCUM.Percent),
    ]
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=_uid(f"finding {finding.rank}", key), identifier=f"Finding {finding.rank}"
        ),
        referenced_segment=sr.ReferencedSegment.from_segmentation(segmentation, segment_number=finding.rank),
        finding_type=codes.SCT.Nodule,
        finding_category=codes.SCT.MorphologicallyAbnormalStructure,
        algorithm_id=sr.AlgorithmIdentification(name=NAME, version=VERSION),
        finding_sites=[
            sr.FindingSite(codes.SCT.Lung, laterality=sides[finding.side] if finding.side else None)
        ],
        measurements=[sr.Measurement(name=name, value=value, unit=unit) for name, value, unit in values],
        qualitative_evaluations=attenuation,
    )


def _maker() -> dict[str, Any]:
    return {
        "manufacturer": NAME, "manufacturer_model_name": NAME, "software_versions": VERSION,
        "device_serial_number": VERSION,
    }  # fmt: skip

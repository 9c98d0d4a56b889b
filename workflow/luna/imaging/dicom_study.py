"""The CT series among DICOM files of any kind, such as those of a whole study."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from luna.imaging.checks import MIN_SLICES

if TYPE_CHECKING:
    from pydicom import Dataset

_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "AcquisitionNumber",
    "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "DirectoryRecordSequence",
]  # fmt: skip
_IDENTITY = ("SOPInstanceUID", "SeriesInstanceUID", "AcquisitionNumber", "ImagePositionPatient")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_KINDS = {"SR": "a report", "PR": "a presentation state", "SEG": "a segmentation"}
_SAME_PLACE_MM = 0.01


class FoundSeries(NamedTuple):
    """The files of a CT series. name: its uid, and the acquisition where it has overlapping ones."""

    name: str
    files: list[Path]


class LeftOut(NamedTuple):
    """Something that is no CT to judge: where it lies, and why it was left out."""

    where: str
    reason: str


def find_series(files: Iterable[Path], derived: bool) -> tuple[list[FoundSeries], list[LeftOut]]:
    """The CT series among some files, and why the other files are left out.

    derived: whether series that were computed from others, such as reformatted ones, are taken too. Two
    acquisitions in one series, at the same places, are two series.
    """
    series: dict[str, list[tuple[Path, Dataset]]] = {}
    known: set[tuple[str, ...]] = set()
    reasons: Counter[tuple[str, str]] = Counter()
    for path in files:
        data, reason = _header(path)
        reason = reason or _why_not(data, derived)
        # Some programs give all slices one uid: the same slice is at the same place in the same series, too.
        identity = tuple(str(data.get(name)) for name in _IDENTITY)
        if not reason and identity in known:
            reason = "a copy of a slice that is there already"
        if reason:
            reasons[str(path.parent), reason] += 1
        else:
            known.add(identity)
            series.setdefault(str(data.SeriesInstanceUID), []).append((path, data))
    left_out = [
        LeftOut(folder, f"{count} {'file' if count == 1 else 'files'}: {reason}")
        for (folder, reason), count in reasons.items()
    ]
    found = []
    for uid, members in series.items():
        for name, part in _acquisitions(uid, members):
            frames = sum(_frames(data) for _, data in part)
            if frames < MIN_SLICES:
                text = f"series {name}: {frames} slice{'s' * (frames > 1)}, which is no volume"
                left_out.append(LeftOut(str(part[0][0].parent), text))
            else:
                found.append(FoundSeries(name, [path for path, _ in part]))
    return found, left_out


def _header(path: Path) -> tuple["Dataset", str]:
    """What tells series apart in a file, and why it is no DICOM file, if so."""
    from pydicom import Dataset, dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS)), ""
    except InvalidDicomError:
        return Dataset(), "not a DICOM file"
    except OSError as error:
        return Dataset(), f"cannot be read ({error.strerror})"
    except Exception as error:
        # Damaged bytes can make the reader raise anything.
        return Dataset(), f"cannot be read ({error})"


def _why_not(data: "Dataset", derived: bool) -> str:
    """Why a file is not part of a CT to judge; empty if it is."""
    if "DirectoryRecordSequence" in data:
        return "a DICOMDIR, the table of contents"
    modality = str(data.get("Modality") or "")
    if not (data.get("SeriesInstanceUID") and data.get("SOPClassUID") and modality):
        return "a DICOM file without a series, or one that breaks off too early"
    if modality != "CT":
        return f"modality {modality}, {_KINDS.get(modality, 'not CT')}"
    if str(data.SOPClassUID).startswith(_SECONDARY_CAPTURE):
        return "a secondary capture, a picture of a screen"
    kind = [str(part).upper() for part in np.atleast_1d(data.get("ImageType") or [])]
    if "LOCALIZER" in kind:
        return "a localizer"
    if kind[:1] == ["DERIVED"] and not derived:
        return "derived from another series (--derived judges it all the same)"
    return ""


def _acquisitions(
    uid: str, members: Sequence[tuple[Path, "Dataset"]]
) -> Iterable[tuple[str, Sequence[tuple[Path, "Dataset"]]]]:
    """A series, in as many parts as it has acquisitions where those overlap and each is a volume itself."""
    parts: dict[str, list[tuple[Path, Dataset]]] = {}
    for path, data in members:
        parts.setdefault(str(data.get("AcquisitionNumber") or ""), []).append((path, data))
    whole = all(len(part) >= MIN_SLICES and not _overlap(part) for part in parts.values())
    if len(parts) == 1 or not whole or not _overlap(members):
        return [(uid, members)]
    numbers = sorted(parts, key=lambda text: (len(text), text))
    return [(f"{uid} acquisition {number or 'without number'}", parts[number]) for number in numbers]


def _overlap(members: Sequence[tuple[Path, "Dataset"]]) -> bool:
    """Whether two slices are at one place. Slices whose places are damaged overlap with none."""
    try:
        places = np.array([[float(mm) for mm in data.ImagePositionPatient] for _, data in members])
    except (AttributeError, TypeError, ValueError):
        return False
    rounded = np.round(places / _SAME_PLACE_MM).astype(np.int64)
    return len(np.unique(rounded, axis=0)) < len(rounded)


def _frames(data: "Dataset") -> int:
    try:
        return int(data.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        return 1

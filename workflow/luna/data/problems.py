"""Every kind of problem that verification finds, and what to do about it."""

from luna.data.records import Verification
from luna.imaging.checks import MIN_SLICES

ADVICE = {
    "axes": "reorient the image, for example with SimpleITK.DICOMOrient(image, 'LPS')",
    "archive": "unpack the archive; the file is still packed",
    "compression": "the compressed stream is broken: download the series again",
    "constant": "the image holds a single value: download the series again",
    "count": "the table is not the one LUNA16 publishes: download it again, or set data.expect to any",
    "dicom-file": "replace the file, or remove it if it is no part of the series",
    "direction": "the axes in the header must be at right angles: correct the header, or resample the image",
    "doubled-slices": "keep one copy of every slice",
    "duplicate-series": "keep one copy of the series and remove the others",
    "eight-bit": "the voxels look like a picture of 0..255, not HU: convert the series again",
    "element-type": "convert the voxels to a 3-D scalar image in HU",
    "empty-slices": "part of the voxels was not written: download the series again",
    "extra-series": "the series is not in LUNA16: remove it, or set data.expect to any",
    "few-slices": f"a CT needs at least {MIN_SLICES} slices",
    "gantry-tilt": "resample the series to a grid at right angles, for example with dcm2niix",
    "header": "the header cannot be used: correct it or download it again",
    "missing-header": "download the .mhd of this series, or remove its voxels",
    "missing-series": "download the subset again, or set data.on_problem to skip",
    "missing-voxels": "download the .raw (or .zraw) of this series",
    "multi-frame": "convert it to single slices, for example with dcm2niix or emf2sf of dcm4che",
    "no-series": "check data.root: it must hold the folders subset0 to subset9",
    "not-hu": "slope, intercept, sign or byte order were lost: convert the series again",
    "not-read": "it was left out; CTs are files or DICOM folders directly in subset0 to subset9",
    "origin": "the header's Offset must be three finite numbers in mm",
    "outside-ct": "the points are outside their CT: check the table and the header's Offset",
    "several-series": "put each series into a folder of its own",
    "spacing": "the distance of voxels in the header must be that of a CT, in mm",
    "surplus-voxels": "the voxel file is longer than the header implies: correct DimSize or download both",
    "table": "the table cannot be used as it is: correct it or download it again",
    "truncated-voxels": "the download is incomplete: download the voxel file again",
    "unequal-slices": "remove the slices that do not belong to the series",
    "uneven-steps": "a slice is missing, or two series are mixed: download the series again",
    "uid": "name the file after its series uid: numbers joined by dots, at most 64 characters",
    "uid-mismatch": "name file or folder after the series, and in an .mhd correct ElementDataFile",
    "unknown-series": "the table names series without a CT: check data.root and the table",
    "unreadable": "the file cannot be read: download it again",
    "wrong-subset": "move the series to the subset it belongs to",
}
"""Every kind of problem, and what the user can do about it."""


def summary(verification: Verification, shown: int = 10, file: str = "the list of problems") -> str:
    """What was found as text for a terminal: a table, the first problems, and what to do."""
    found = verification
    counts = [("", "found", "usable"), ("series", found.series.found, found.series.usable)]
    counts += [
        ("nodules", found.nodules.listed, found.nodules.usable),
        ("candidates", found.candidates.listed, found.candidates.usable),
    ]
    lines = [f"{name:<12}{number:>10}{usable:>10}" for name, number, usable in counts]
    if found.nodules.listed:
        share = found.nodules.usable / found.nodules.listed
        lines.append(f"{share:.1%} of the listed nodules are in usable series.")
    lines += [f"note: {note}" for note in found.notes]
    for level, problems in (("problem", found.problems), ("warning", found.warnings)):
        if problems:
            lines.append(f"{len(problems)} {level}{'s' if len(problems) > 1 else ''}:")
            lines += [f"  {problem}" for problem in problems[:shown]]
        if len(problems) > shown:
            lines.append(f"  ... and {len(problems) - shown} more, all in {file}")
    everything = [*found.problems, *found.warnings]
    if not everything:
        return "\n".join([*lines, "No problems found."])
    lines.append("What to do:")
    for kind in sorted({problem.kind for problem in everything}):
        count = sum(problem.kind == kind for problem in everything)
        lines.append(f"  {kind} ({count}): {ADVICE[kind]}")
    return "\n".join(lines)

"""Judge a data set: every series, the tables, and what is known of LUNA16, all problems at once."""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xxhash

from luna.ct import CtHeader, ct_checksum, find_cts, read_ct, read_header, series_uid_of
from luna.luna16 import facts, subset_of
from luna.program import UserError
from luna.progress import progress
from luna.tables import (
    SUBSETS,
    lines_text,
    locate,
    outside_ct,
    read_annotations,
    read_candidates,
)
from luna.uids import is_valid_uid

COLUMNS = [
    "seriesuid", "subset", "path", "slices", "rows", "columns", "spacing", "origin", "direction",
    "element_type", "bytes", "checksum", "hu_min", "hu_max", "status", "problem",
]  # fmt: skip
"""A row a series; spacing, origin (mm, xyz) and direction (row by row) hold numbers and blanks."""

MIN_SLICES = 8
_BLOCK = 1024 * 1024
_ARCHIVES = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z"}

ADVICE = {
    "archive": "unpack the archive; the file is still packed",
    "compression": "the compressed stream is broken: download the series again",
    "constant": "the image holds a single value: download the series again",
    "count": "the table is not the one LUNA16 publishes: download it again, or set data.expect to any",
    "direction": "the axes in the header must be orthonormal: correct or download the .mhd",
    "duplicate-series": "keep one copy of the series and remove the others",
    "eight-bit": "the voxels look like a picture of 0..255, not HU: convert the series again",
    "element-type": "convert the voxels to a 3-D scalar image in HU",
    "extra-series": "the series is not in LUNA16: remove it, or set data.expect to any",
    "few-slices": f"a CT needs at least {MIN_SLICES} slices",
    "header": "the header cannot be used: correct it or download it again",
    "missing-header": "download the .mhd of this series, or remove its voxels",
    "missing-series": "download the subset again, or set data.on_problem to skip",
    "missing-voxels": "download the .raw (or .zraw) of this series",
    "no-series": "check data.root: it must hold the folders subset0 to subset9",
    "origin": "the header's Offset must be three finite numbers in mm",
    "outside-ct": "the points lie outside their CT: check the table and the header's Offset",
    "slope": "nothing in the image is air: the rescale slope and intercept were lost",
    "spacing": "the header's ElementSpacing must be finite and positive",
    "surplus-voxels": "the voxel file is longer than the header says: correct DimSize or download both",
    "table": "the table cannot be used as it is: correct it or download it again",
    "truncated-voxels": "the download is incomplete: download the voxel file again",
    "uid": "name the file after its series uid: numbers joined by dots, at most 64 characters",
    "uid-mismatch": "the header names another series' voxels: correct ElementDataFile",
    "unknown-series": "the table names series without a CT: check data.root and the table",
    "unreadable": "the file cannot be read: download it again",
    "wrong-subset": "move the series to the subset it belongs to",
}
"""Every kind of problem, and what the user can do about it."""


class Problem(NamedTuple):
    """One thing wrong: its kind (a key of ADVICE), where, and what exactly."""

    kind: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.text}"


def verify_subset(root: Path, subset: int, mode: str) -> pd.DataFrame:
    """Check every series in root/subset{n}; a row each with COLUMNS, whatever is wrong with it.

    mode `header` reads headers and file sizes; `full` reads every voxel too (HU range, checksum,
    compressed streams).
    """
    folder = root / f"subset{subset}"
    cts = find_cts(folder)
    rows = [verify_series(path, subset, mode) for path in progress(cts, f"subset{subset}", len(cts))]
    headed = {path.with_suffix("").name for path in cts}
    for path in sorted(folder.glob("*raw")) if folder.is_dir() else []:
        if path.suffix in (".raw", ".zraw") and path.stem not in headed:
            orphan = Problem("missing-header", str(path), "voxels without a .mhd of the same name")
            rows.append(_row(path, path.stem, subset, None, [orphan]))
    return pd.DataFrame(rows, columns=COLUMNS)


def verify_series(path: Path, subset: int, mode: str) -> dict[str, Any]:
    """Check one series; its row of COLUMNS."""
    uid = series_uid_of(path)
    problems = []
    if not is_valid_uid(uid):
        problems.append(Problem("uid", str(path), f"{uid!r} is not a DICOM uid"))
    try:
        header = read_header(path)
    except UserError as error:
        kind = "element-type" if "ElementType" in str(error) or "NDims" in str(error) else "header"
        problems.append(Problem(kind, str(path), str(error).removeprefix(f"{path}: ")))
        return _row(path, uid, subset, None, problems)
    problems += _header_problems(path, header)
    voxels: dict[str, Any] = {}
    if path.suffix == ".mhd":
        problems += _file_problems(path, header)
    if mode == "full" and not problems:
        try:
            voxels = _read_voxels(path, header)
            problems += _hu_problems(path, voxels["hu_min"], voxels["hu_max"])
        except UserError as error:
            problems.append(Problem("unreadable", str(path), str(error).removeprefix(f"{path}: ")))
        except zlib.error as error:
            problems.append(Problem("compression", str(header.data_file), str(error)))
    return _row(path, uid, subset, header, problems) | voxels


def verify_dataset(
    series: pd.DataFrame,
    annotations_file: Path,
    candidate_files: Sequence[Path],
    expect: str = "any",
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Judge the whole: the subsets' rows together, the tables, and LUNA16's known counts.

    Gives the usable series (COLUMNS) and a report, ready for JSON, with `problems`, `warnings`
    (problems that are no reason to stop), `notes`, and counts of series, nodules and candidates.
    """
    problems = [
        Problem(*text.split(": ", 2)) for cell in series["problem"].dropna() for text in cell.split("\n")
    ]
    problems += _across_subsets(series, expect)
    repeated = series.duplicated("seriesuid", keep=False)
    usable = series[(series["status"] == "ok") & ~repeated].reset_index(drop=True)
    annotations, annotation_problems = read_annotations(annotations_file)
    candidates, candidate_problems = read_candidates(candidate_files)
    problems += [_table_problem(text) for text in annotation_problems + candidate_problems]
    notes: list[str] = []
    for name, table in ((annotations_file.name, annotations), ("candidates", candidates)):
        problems += _points_problems(name, table, series, usable, notes)
    if expect == "luna16":
        problems += _count_problems(annotations, candidates)
    # One bad point must not end a run: it is left out. Only of LUNA16 it is known that none is bad.
    mild = [p for p in problems if p.kind == "outside-ct" and expect == "any"]
    usable_nodules = int(annotations["seriesuid"].isin(usable["seriesuid"]).sum())
    usable_candidates = candidates["seriesuid"].isin(usable["seriesuid"])
    return usable, {
        "series": {"found": len(series), "usable": len(usable)},
        "subsets": {str(n): int((usable["subset"] == n).sum()) for n in range(SUBSETS)},
        "nodules": {"listed": len(annotations), "usable": usable_nodules},
        "candidates": {
            "listed": len(candidates),
            "usable": int(usable_candidates.sum()),
            "positive": int(candidates["class"][usable_candidates].sum()),
        },
        "problems": [problem._asdict() for problem in problems if problem not in mild],
        "warnings": [problem._asdict() for problem in mild],
        "notes": notes,
    }


def summary(report: dict[str, Any], shown: int = 10) -> str:
    """The report as text for a terminal: a table, the first problems, and what to do."""
    series, nodules, candidates = report["series"], report["nodules"], report["candidates"]
    counts = [("", "found", "usable"), ("series", series["found"], series["usable"])]
    counts += [
        (name, each["listed"], each["usable"])
        for name, each in (("nodules", nodules), ("candidates", candidates))
    ]
    lines = [f"{name:<12}{found:>10}{usable:>10}" for name, found, usable in counts]
    if nodules["listed"]:
        share = nodules["usable"] / nodules["listed"]
        lines.append(f"{share:.1%} of the listed nodules lie in usable series.")
    lines += [f"note: {note}" for note in report["notes"]]
    told = []
    for level in ("problem", "warning"):
        found = [Problem(**each) for each in report[f"{level}s"]]
        told += found
        if found:
            lines.append(f"{len(found)} {level}{'s' if len(found) > 1 else ''}:")
            lines += [f"  {problem}" for problem in found[:shown]]
        if len(found) > shown:
            lines.append(f"  ... and {len(found) - shown} more, all in verify/problems.txt")
    if not told:
        return "\n".join([*lines, "No problems found."])
    lines.append("What to do:")
    for kind in sorted({problem.kind for problem in told}):
        count = sum(problem.kind == kind for problem in told)
        lines.append(f"  {kind} ({count}): {ADVICE[kind]}")
    return "\n".join(lines)


def _row(
    path: Path, uid: str, subset: int, header: CtHeader | None, problems: list[Problem]
) -> dict[str, Any]:
    row: dict[str, Any] = {"seriesuid": uid, "subset": subset, "path": str(path)}
    if header is not None:
        row |= dict(zip(("slices", "rows", "columns"), header.shape, strict=True))
        for name in ("spacing", "origin", "direction"):
            row[name] = " ".join(repr(float(v)) for v in getattr(header.grid, name).ravel())
        row |= {"element_type": header.element_type, "bytes": header.raw_bytes}
    row["status"] = "problem" if problems else "ok"
    row["problem"] = "\n".join(map(str, problems)) or None
    return row


def _header_problems(path: Path, header: CtHeader) -> Iterator[Problem]:
    grid = header.grid
    if not (np.isfinite(grid.spacing).all() and (grid.spacing > 0).all()):
        yield Problem("spacing", str(path), f"{grid.spacing} mm is not finite and positive")
    if not np.isfinite(grid.origin).all():
        yield Problem("origin", str(path), f"{grid.origin} mm is not finite")
    if not np.isfinite(grid.direction).all() or not np.allclose(
        grid.direction @ grid.direction.T, np.eye(3), atol=1e-4
    ):
        matrix = " ".join(f"{value:g}" for value in grid.direction.ravel())
        yield Problem("direction", str(path), f"the axes {matrix} are not orthonormal")
    if header.shape[0] < MIN_SLICES:
        yield Problem("few-slices", str(path), f"{header.shape[0]} slices, fewer than {MIN_SLICES}")


def _file_problems(path: Path, header: CtHeader) -> Iterator[Problem]:
    data = header.data_file
    if data.stem != path.stem:
        yield Problem("uid-mismatch", str(path), f"its voxels are in {data.name}")
        return
    try:
        size = data.stat().st_size
        with data.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        yield Problem("missing-voxels", str(data), f"cannot be read ({error.strerror})")
        return
    for magic, name in _ARCHIVES.items():
        if start.startswith(magic) and size != header.raw_bytes:
            yield Problem("archive", str(data), f"is a {name} archive, not voxels")
            return
    expected = header.compressed_bytes if header.compressed else header.raw_bytes + header.skip_bytes
    if expected is not None and expected >= 0 and size != expected:
        kind = "truncated-voxels" if size < expected else "surplus-voxels"
        yield Problem(kind, str(data), f"{size} bytes, the header implies {expected}")
    elif size == 0:
        yield Problem("truncated-voxels", str(data), "the file is empty")


def _hu_problems(path: Path, low: int, high: int) -> Iterator[Problem]:
    if low == high:
        yield Problem("constant", str(path), f"every voxel is {low}")
    elif low >= 0 and high <= 255:
        yield Problem("eight-bit", str(path), f"the voxels lie in {low}..{high}")
    elif low > -300:
        yield Problem("slope", str(path), f"the lowest value is {low} HU; air is near -1000")


def _read_voxels(path: Path, header: CtHeader) -> dict[str, Any]:
    """HU range and checksum, in one pass over the voxel file where it is plain or zlib int16."""
    if path.suffix == ".mhd" and header.is_plain_int16:
        low, high, checksum = _scan_raw(header.data_file)
    elif path.suffix == ".mhd" and header.compressed and header.element_type == "MET_SHORT":
        low, high, checksum = _scan_zraw(header)
    else:
        hu = read_ct(path).hu
        low, high, checksum = int(hu.min()), int(hu.max()), ct_checksum(path)
    return {"hu_min": low, "hu_max": high, "checksum": checksum}


def _scan_raw(path: Path) -> tuple[int, int, str]:
    hasher = xxhash.xxh3_128()
    buffer = np.empty(_BLOCK // 2, dtype="<i2")
    view = buffer.data.cast("B")
    low, high = 32767, -32768
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(view):
            hasher.update(view[:count])
            low, high = _widen(low, high, buffer[: count // 2])
    return low, high, hasher.hexdigest()


def _scan_zraw(header: CtHeader) -> tuple[int, int, str]:
    stream = zlib.decompressobj()
    hasher = xxhash.xxh3_128()
    low, high, total, rest = 32767, -32768, 0, b""
    kind = np.dtype(">i2" if header.big_endian else "<i2")
    with header.data_file.open("rb") as file:
        while packed := file.read(_BLOCK):
            hasher.update(packed)
            block = rest + stream.decompress(packed)
            even = len(block) // 2 * 2
            rest, total = block[even:], total + even
            low, high = _widen(low, high, np.frombuffer(block[:even], dtype=kind))
    if not stream.eof or total != header.raw_bytes:
        raise zlib.error(f"the stream holds {total} bytes, the header implies {header.raw_bytes}")
    return low, high, hasher.hexdigest()


def _widen(low: int, high: int, values: npt.NDArray[np.int16]) -> tuple[int, int]:
    if values.size == 0:
        return low, high
    return min(low, int(values.min())), max(high, int(values.max()))


def _across_subsets(series: pd.DataFrame, expect: str) -> Iterator[Problem]:
    if not len(series):
        yield Problem("no-series", "data.root", "no CT was found in subset0 to subset9")
    for uid, copies in series[series.duplicated("seriesuid", keep=False)].groupby("seriesuid"):
        yield Problem("duplicate-series", str(uid), f"is there {len(copies)} times: {list(copies['path'])}")
    known = subset_of()
    for row in series.itertuples():
        right = known.get(row.seriesuid)
        if right is not None and right != row.subset:
            yield Problem("wrong-subset", row.path, f"belongs in subset{right}")
        elif right is None and expect == "luna16":
            yield Problem("extra-series", row.path, "is not one of LUNA16's 888 series")
    if expect == "luna16":
        missing = pd.Series(known).drop(series["seriesuid"], errors="ignore")
        for subset, uids in missing.groupby(missing):
            names = ", ".join(uids.index[:3]) + (", ..." if len(uids) > 3 else "")
            yield Problem("missing-series", f"subset{subset}", f"{len(uids)} series: {names}")


def _points_problems(
    name: str, table: pd.DataFrame, series: pd.DataFrame, usable: pd.DataFrame, notes: list[str]
) -> Iterator[Problem]:
    """Points whose series is unknown, or that lie outside their CT. A partial download is a note."""
    unknown = table[~table["seriesuid"].isin(series["seriesuid"])]
    of_luna16 = unknown["seriesuid"].isin(subset_of().keys())
    if of_luna16.any():
        count = unknown["seriesuid"][of_luna16].nunique()
        notes.append(f"{name} covers {count} more LUNA16 series, which are not here")
    if not of_luna16.all():
        strange = unknown[~of_luna16]
        uids = strange["seriesuid"].unique()
        yield Problem(
            "unknown-series", name,
            f"{len(strange)} rows of {len(uids)} series without a CT, such as {uids[0]}",
        )  # fmt: skip
    away = outside_ct(locate(table, usable), table, usable)
    if away.any():
        first = table["seriesuid"][away].iloc[0]
        yield Problem(
            "outside-ct", name,
            f"{int(away.sum())} points outside their CT ({lines_text(table.index[away])};"
            f" the first is of {first})",
        )  # fmt: skip


def _count_problems(annotations: pd.DataFrame, candidates: pd.DataFrame) -> Iterator[Problem]:
    if len(annotations) != facts()["annotations"]:
        text = f"{len(annotations)} nodules, LUNA16 has {facts()['annotations']}"
        yield Problem("count", "annotations", text)
    known = {int(rows): positives for rows, positives in facts()["candidates"].items()}
    positives = int(candidates["class"].sum())
    if known.get(len(candidates)) != positives:
        have = " or ".join(f"{rows} with {positive} of class 1" for rows, positive in known.items())
        text = f"{len(candidates)} candidates with {positives} of class 1, LUNA16 has {have}"
        yield Problem("count", "candidates", text)


def _table_problem(text: str) -> Problem:
    where, _, what = text.partition(": ")
    return Problem("table", where, what)

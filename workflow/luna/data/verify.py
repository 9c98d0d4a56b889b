"""Verify a data set: every series, the tables, and what is known of LUNA16."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from luna.base.progress import progress
from luna.base.subsets import SUBSETS
from luna.data.luna16 import facts, subset_of
from luna.data.records import CachedSeries, CandidateCount, NoduleCount, SeriesCount, Verification
from luna.data.series import locate, outside_ct
from luna.data.tables import lines_text, read_annotations, read_candidates
from luna.imaging.ct import checked_header
from luna.imaging.folders import find_cts, not_read, series_uid_of, voxels_without_header
from luna.imaging.header import CtHeader
from luna.imaging.problem import BadCtError, Problem
from luna.imaging.uids import is_valid_uid
from luna.storage.source import Source


@dataclass
class SeriesRow:
    """A row of series.csv. What could not be read is None.

    spacing, origin (mm, xyz) and direction (row by row) hold numbers separated by spaces. bytes: of
    the uncompressed voxels. status: `ok`, `problem`, or NOT_READ for what is no series; problem: each as
    [kind, where, text], in JSON.
    note: what was changed or left out on reading.
    """

    seriesuid: str
    subset: int
    path: str
    slices: int | None = None
    rows: int | None = None
    columns: int | None = None
    spacing: str | None = None
    origin: str | None = None
    direction: str | None = None
    element_type: str | None = None
    bytes: int | None = None
    checksum: str | None = None
    hu_min: int | None = None
    hu_max: int | None = None
    status: str = "ok"
    problem: str | None = None
    note: str | None = None


NOT_READ = "not-read"

_COUNTS = ["slices", "rows", "columns", "bytes", "hu_min", "hu_max"]
COLUMNS = [field.name for field in fields(SeriesRow)]
"""Columns of series.csv."""


def verify_subset(source: Source, subset: int) -> pd.DataFrame:
    """Check headers, files and their sizes of every series in a subset: one row each with COLUMNS,
    whatever is wrong with it. Voxels are not read.
    """
    with source.headers() as folder:
        cts = find_cts(folder)
        rows = [verify_series(path, subset) for path in progress(cts, f"subset{subset}", len(cts))]
        for path in voxels_without_header(folder):
            orphan = Problem("missing-header", str(path), "voxels without an .mhd file of the same name")
            rows.append(_row(path, path.stem, subset, None, [orphan]))
        for problem in not_read(folder):
            name = Path(problem.where).name
            rows.append(
                SeriesRow(name, subset, problem.where, status=NOT_READ, problem=json.dumps([problem]))
            )
        for row in rows:
            _name_original(row, str(folder), source.folder)
    return pd.DataFrame([asdict(row) for row in rows], columns=COLUMNS)


def _name_original(row: SeriesRow, copy: str, original: str) -> None:
    """Name the folder that a CT was copied from, not the copy's."""
    row.path = row.path.replace(copy, original)
    if row.problem is not None:
        problems = [Problem(*fields) for fields in json.loads(row.problem)]
        row.problem = json.dumps(
            [each._replace(where=each.where.replace(copy, original)) for each in problems]
        )


def verify_series(path: Path, subset: int) -> SeriesRow:
    """Check the header, the files and their sizes of one series."""
    uid = series_uid_of(path)
    problems: list[Problem] = []
    if not is_valid_uid(uid):
        problems.append(Problem("uid", str(path), f"{uid!r} is not a valid DICOM uid"))
    header = None
    try:
        header = checked_header(path)
    except BadCtError as error:
        problems += error.found
    if header is not None and header.series_uid not in ("", uid):
        text = f"its SeriesInstanceUID is {header.series_uid}"
        problems.append(Problem("uid-mismatch", str(path), text))
    return _row(path, uid, subset, header, problems)


def with_voxels(series: pd.DataFrame, cached: Mapping[str, CachedSeries]) -> pd.DataFrame:
    """The rows of verify_subset with what reading the voxels showed, where they were read."""
    rows = series.astype(object).to_dict("records")
    for row in rows:
        if row["status"] != "ok" or (found := cached.get(row["seriesuid"])) is None:
            continue
        voxels = found.voxels
        row |= {"checksum": voxels.checksum, "hu_min": voxels.hu_min, "hu_max": voxels.hu_max}
        row["note"] = "; ".join(voxels.notes) or None
        if voxels.problems:
            row |= {"status": "problem", "problem": json.dumps(voxels.problems)}
    return pd.DataFrame(rows, columns=COLUMNS)


def verify_dataset(
    series: pd.DataFrame,
    annotations_file: Path,
    candidate_files: Sequence[Path],
    expect: str = "any",
) -> tuple[pd.DataFrame, Verification]:
    """Check the whole data set: the subsets' rows together, the tables, and LUNA16's known counts.

    Returns the usable series (COLUMNS) and what was found.
    """
    is_series = series["status"] != NOT_READ
    unread, series = _problems_in(series[~is_series]), series[is_series]
    problems = _problems_in(series)
    problems += _across_subsets(series, expect)
    repeated = series.duplicated("seriesuid", keep=False)
    usable = series[(series["status"] == "ok") & ~repeated].reset_index(drop=True)
    # Beside a series without a header they would be 512.0.
    usable = usable.astype({name: int for name in _COUNTS if usable[name].notna().all()})
    annotations, annotation_problems = read_annotations(annotations_file)
    candidates, candidate_problems = read_candidates(candidate_files)
    problems += annotation_problems + candidate_problems
    noted = series.dropna(subset="note")
    notes = [f"{path}: {note}" for path, note in zip(noted["path"], noted["note"], strict=True)]
    for name, table in ((annotations_file.name, annotations), ("candidates", candidates)):
        problems += _points_problems(name, table, series, usable, notes)
    if expect == "luna16":
        problems += _count_problems(annotations, candidates)
    # One bad point must not end a run: it is left out. Only LUNA16 is known to have none.
    mild = [p for p in problems if p.kind == "outside-ct" and expect == "any"]
    usable_nodules = int(annotations["seriesuid"].isin(usable["seriesuid"]).sum())
    usable_candidates = candidates["seriesuid"].isin(usable["seriesuid"])
    return usable, Verification(
        series=SeriesCount(found=len(series), usable=len(usable)),
        subsets={str(n): int((usable["subset"] == n).sum()) for n in range(SUBSETS)},
        nodules=NoduleCount(listed=len(annotations), usable=usable_nodules),
        candidates=CandidateCount(
            listed=len(candidates),
            usable=int(usable_candidates.sum()),
            positive=int(candidates["class"][usable_candidates].sum()),
        ),
        problems=[problem for problem in problems if problem not in mild],
        warnings=[*mild, *unread],
        notes=notes,
    )


def _problems_in(series: pd.DataFrame) -> list[Problem]:
    return [Problem(*fields) for cell in series["problem"].dropna() for fields in json.loads(cell)]


def _row(
    path: Path,
    uid: str,
    subset: int,
    header: CtHeader | None,
    problems: list[Problem],
) -> SeriesRow:
    row = SeriesRow(uid, subset, str(path))
    if header is not None:
        row.slices, row.rows, row.columns = header.shape
        row.spacing, row.origin, row.direction = (
            " ".join(repr(float(value)) for value in values.ravel())
            for values in (header.grid.spacing, header.grid.origin, header.grid.direction)
        )
        row.element_type, row.bytes = header.element_type, header.raw_bytes
    row.status = "problem" if problems else "ok"
    row.problem = json.dumps(problems) if problems else None
    return row


def _across_subsets(series: pd.DataFrame, expect: str) -> Iterator[Problem]:
    if not len(series):
        yield Problem("no-series", "data.root", "no CT was found in subset0 to subset9")
    for uid, copies in series[series.duplicated("seriesuid", keep=False)].groupby("seriesuid"):
        yield Problem("duplicate-series", str(uid), f"found {len(copies)} times: {list(copies['path'])}")
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
    """Points whose series is unknown, or that are outside their CT. A partial download is a note."""
    unknown = table[~table["seriesuid"].isin(series["seriesuid"])]
    of_luna16 = unknown["seriesuid"].isin(subset_of().keys())
    if of_luna16.any():
        count = unknown["seriesuid"][of_luna16].nunique()
        notes.append(f"{name} covers {count} more LUNA16 series, which are not in this data set")
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

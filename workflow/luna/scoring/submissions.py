"""Read the tables of the official scoring: submissions, findings, lists of series."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from luna.base.errors import UserError
from luna.data.tables import ANNOTATION_COLUMNS, read_table
from luna.scoring.froc import SUBMISSION_COLUMNS, Matches


def read_submission(path: Path, listed: list[str] | None = None) -> pd.DataFrame:
    """Marks: seriesuid, xyz in mm, probability. Raises UserError with all that is wrong.

    A mark may be given several times: each row is a mark, as in the official scoring. With `listed`,
    a submission none of whose series is listed is refused.
    """
    table = _whole(path, SUBMISSION_COLUMNS, may_repeat=True)
    if listed is not None and len(table) and not table["seriesuid"].isin(listed).any():
        raise UserError(
            f"{path}: none of its series is in the list of series; the first is {table['seriesuid'].iloc[0]}"
        )
    return table


def read_findings(path: Path, may_repeat: bool = False) -> pd.DataFrame:
    """Nodules or excluded findings: seriesuid, xyz and diameter_mm; a diameter may be negative.

    The challenge's table of excluded findings repeats some rows, which changes nothing.
    """
    return _whole(path, ANNOTATION_COLUMNS, may_repeat)


def coverage(marks: pd.DataFrame, series_uids: Sequence[str], matches: Matches) -> list[str]:
    """What a submission covers, as a sentence, and warnings where that is implausible."""
    covered = int(marks["seriesuid"][marks["seriesuid"].isin(series_uids)].nunique())
    hits = int(matches.found.sum()) + matches.ignored_double
    lines = [f"marks in {covered} of {len(series_uids)} listed series; {hits} marks lie in a nodule"]
    repeated = int(marks.duplicated().sum())
    if repeated:
        lines.append(
            f"warning: rows that repeat another: {repeated}; each counts as a mark of its own, as in the"
            " official scoring: a false positive each, or one hit and the rest ignored"
        )
    if covered < len(series_uids) / 2:
        lines.append(
            "warning: most of the listed series have no mark; is this the list of series that the"
            " submission was made for, and does it hold all folds?"
        )
    if hits == 0 and matches.nodules and len(marks):
        lines.append("warning: no mark lies in a nodule; coordinates must be in mm, not in voxels")
    return lines


def read_series_uids(path: Path) -> list[str]:
    """The listed series: one uid a line, with or without the header `seriesuid`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    uids = [line.strip().strip('"') for line in lines if line.strip()]
    uids = [uid for uid in uids if uid != "seriesuid"]
    repeated = sorted({uid for uid in uids if uids.count(uid) > 1}) if len(set(uids)) < len(uids) else []
    if repeated:
        raise UserError(f"{path}: series are listed twice", repeated)
    if not uids:
        raise UserError(f"{path}: lists no series")
    return uids


def _whole(path: Path, columns: list[str], may_repeat: bool = False) -> pd.DataFrame:
    table, problems = read_table(path, columns, may_repeat)
    if problems:
        raise UserError("the table cannot be scored", [problem.sentence for problem in problems])
    return table

"""Read tables of points: annotations and candidates."""

import csv
import logging
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from luna.base.errors import UserError
from luna.imaging.problem import Problem

XYZ = ["coordX", "coordY", "coordZ"]
IRC = ["index", "row", "col"]
ANNOTATION_COLUMNS = ["seriesuid", *XYZ, "diameter_mm"]
CANDIDATE_COLUMNS = ["seriesuid", *XYZ, "class"]
SERIES_COLUMNS = ["seriesuid", "subset", "path", "status", "checksum"]
"""What stages need of series.csv, and of the tables that it is made of."""
PLACED_COLUMNS = ["seriesuid", *IRC]
"""Candidates as the cache needs them."""
LISTED_COLUMNS = ["id", "seriesuid", "subset", *XYZ, "class", *IRC]
"""What stages need of the workflow's candidates.csv."""
ALWAYS_NUMBERS = {"id", "subset", *XYZ, *IRC, "class", "probability", "epoch", "fold"}
"""Columns that hold a number in every row of every stage's table."""
_ROWS_NAMED = 3
log = logging.getLogger(__name__)


def read_table(
    path: Path, columns: Sequence[str], may_repeat: bool = False
) -> tuple[pd.DataFrame, list[Problem]]:
    """Read a table with a `seriesuid` column and number columns; return its good rows and problems.

    Quoted fields, CRLF, a byte-order mark, blank lines and empty fields at the end are fine. Each
    problem names file, kind and lines. The frame keeps file order and its index is the line number in the
    file. A file that is not such a table at all yields an empty frame and one problem. Repeated rows are
    a problem and kept once, unless they `may_repeat`.
    """
    empty = pd.DataFrame({name: pd.Series(dtype=str if name == "seriesuid" else float) for name in columns})
    try:
        names, rows, lines = _fields(path)
    except FileNotFoundError:
        return empty, [_problem(path, "no such file")]
    except OSError as error:
        return empty, [_problem(path, f"cannot be read ({error.strerror})")]
    except (ValueError, csv.Error) as error:
        return empty, [_problem(path, f"not a CSV table ({error})")]
    if not names:
        return empty, [_problem(path, "the file is empty")]
    missing = [name for name in columns if name not in names]
    if missing:
        text = f"column {', '.join(missing)} is missing (the file has: {', '.join(names)})"
        if len(names) == 1 and (mark := next((mark for mark in ";\t|" if mark in names[0]), "")):
            text = f"its columns are separated by {mark!r}; save it with commas"
        return empty, [_problem(path, text)]
    by_column = list(zip_longest(*rows, fillvalue=""))
    by_column += [("",) * len(rows)] * (len(names) - len(by_column))
    table = pd.DataFrame({name: by_column[names.index(name)] for name in columns}, lines, dtype=str)
    surplus = pd.Series([any(row[len(names) :]) for row in rows], lines, dtype=bool)
    return _good_rows(path, table, surplus, may_repeat)


def _problem(path: Path, text: str) -> Problem:
    return Problem("table", str(path), text)


def _fields(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """The names of the columns, the fields of every row that is not blank, and the line it starts on."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        names = [name.strip() for name in next((row for row in reader if any(row)), [])]
        rows, lines, before = [], [], reader.line_num
        for row in reader:
            if any(row):
                rows.append(row)
                lines.append(before + 1)
            before = reader.line_num
    return names, rows, lines


def _good_rows(
    path: Path, table: pd.DataFrame, surplus: pd.Series, may_repeat: bool
) -> tuple[pd.DataFrame, list[Problem]]:
    numbers = table.columns.drop("seriesuid")
    table = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in numbers})
    uid = table["seriesuid"].str.strip()
    finite = pd.Series(np.isfinite(table[numbers].to_numpy(dtype=float)).all(axis=1), table.index)
    no_uid = uid == ""
    repeated = table.duplicated(keep="first") & finite & ~no_uid & (not may_repeat)
    bad_class = pd.Series(False, table.index)
    if "class" in table:
        bad_class = finite & ~table["class"].isin([0, 1])
    problems = [
        _problem(path, f"{text} ({lines_text(table.index[rows])})")
        for text, rows in (
            ("rows with more fields than the header", surplus),
            ("rows with a number that is missing, not a number or not finite", ~finite),
            ("rows without a seriesuid", no_uid),
            ("rows whose class is neither 0 nor 1", bad_class),
            ("repeated rows", repeated),
        )
        if rows.any()
    ]
    good = finite & ~no_uid & ~bad_class & ~repeated & ~surplus
    return table.assign(seriesuid=uid)[good], problems


def lines_text(lines: Sequence[int] | pd.Index) -> str:
    """`lines 3, 7 and 12` of a file; a long list is cut short with its length."""
    shown = ", ".join(str(line) for line in list(lines)[:_ROWS_NAMED])
    more = f" and {len(lines) - _ROWS_NAMED} more" if len(lines) > _ROWS_NAMED else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"


def read_annotations(path: Path) -> tuple[pd.DataFrame, list[Problem]]:
    """Nodules: seriesuid, coordX, coordY, coordZ, diameter_mm (all mm), and the problems found.

    A diameter that is not positive is a problem and its row is left out.
    """
    table, problems = read_table(path, ANNOTATION_COLUMNS)
    wrong = table["diameter_mm"] <= 0
    if wrong.any():
        text = f"rows whose diameter_mm is not positive ({lines_text(table.index[wrong])})"
        problems.append(_problem(path, text))
    return table[~wrong], problems


def read_candidates(paths: Sequence[Path]) -> tuple[pd.DataFrame, list[Problem]]:
    """Candidates of one or more tables in file order: seriesuid, coordX, coordY, coordZ, class.

    A place that is listed again, in another table or with another class, is a problem and its row
    is left out.
    """
    read = [read_table(path, CANDIDATE_COLUMNS) for path in paths]
    frames = [
        frame.assign(file=str(path), line=frame.index) for path, (frame, _) in zip(paths, read, strict=True)
    ]
    table = pd.concat(frames, ignore_index=True).astype({"class": int})
    problems = [problem for _, each in read for problem in each]
    again = table.duplicated(["seriesuid", *XYZ])
    problems += _repeated_places(table[~again], table[again])
    return table.loc[~again, CANDIDATE_COLUMNS].reset_index(drop=True), problems


def _repeated_places(first: pd.DataFrame, again: pd.DataFrame) -> list[Problem]:
    """One problem for each pair of files that list the same places, and for each contradiction in class."""
    if not len(again):
        return []
    pairs = again.merge(first, on=["seriesuid", *XYZ], suffixes=("", "_first"))
    pairs["differs"] = pairs["class"] != pairs["class_first"]
    return [
        _problem(
            file,
            f"places that {earlier} lists too{', with another class' if differs else ''}"
            f" ({lines_text(rows['line'])} here, {lines_text(rows['line_first'])} there)",
        )
        for (file, earlier, differs), rows in pairs.groupby(["file", "file_first", "differs"])
    ]


def rows_of(table: tuple[pd.DataFrame, list[Problem]]) -> pd.DataFrame:
    """The good rows of a table just read; its problems, which verification has reported, are logged.

    Raises UserError when there is no good row because of them.
    """
    rows, problems = table
    if problems and not len(rows):
        raise UserError("the table cannot be used", [problem.sentence for problem in problems])
    for problem in problems:
        log.warning("%s", problem.sentence)
    return rows


def read_stage_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table that an earlier stage wrote, such as series.csv, with at least these columns.

    Names stay text, also one that looks like a number or a missing value (1e-3, NA). Raises UserError
    when the file is missing or is another table.
    """
    try:
        table = pd.read_csv(path, dtype={"seriesuid": str, "run": str}, keep_default_na=False, na_values=[""])
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the earlier stages of the workflow first") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: not a CSV table ({' '.join(str(error).split())})") from error
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path}: is another table: it has no column {', '.join(missing)}")
    numbers = [name for name in columns if name in ALWAYS_NUMBERS]
    if damaged := [name for name in numbers if not np.isfinite(pd.to_numeric(table[name], "coerce")).all()]:
        text = f"column {', '.join(damaged)} holds something that is no number; remove the file and run again"
        raise UserError(f"{path}: {text}")
    return table

"""Tables of points: what is wrong is named with its lines."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from luna.base.errors import UserError
from luna.base.files import write_csv
from luna.data.tables import (
    ANNOTATION_COLUMNS,
    XYZ,
    read_annotations,
    read_candidates,
    read_stage_table,
    read_table,
    rows_of,
)

HEADER = "seriesuid,coordX,coordY,coordZ,class\n"


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    (tmp_path / "a.csv").write_text(f"{HEADER}1.2,1,2,3,0\n1.2,4,5,6,1\n1.3,1,2,3,0\n")
    (tmp_path / "b.csv").write_text(f"{HEADER}1.3,7,8,9,0\n1.2,4,5,6,1\n1.2,1,2,3,1\n")
    return [tmp_path / "a.csv", tmp_path / "b.csv"]


def test_a_place_listed_in_two_tables(tables: list[Path]) -> None:
    a, b = tables
    rows, problems = read_candidates(tables)
    assert [problem.sentence for problem in problems] == [
        f"{b}: places that {a} lists too (line 3 here, line 3 there)",
        f"{b}: places that {a} lists too, with another class (line 4 here, line 2 there)",
    ]
    assert rows[["seriesuid", "coordX", "class"]].to_numpy().tolist() == [
        ["1.2", 1, 0], ["1.2", 4, 1], ["1.3", 1, 0], ["1.3", 7, 0]
    ]  # fmt: skip


def test_a_place_with_two_classes_in_one_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}1.2,1,2,3,0\n1.2,4,5,6,1\n1.2,1,2,3,1\n")
    rows, problems = read_candidates([path])
    assert [problem.sentence for problem in problems] == [
        f"{path}: places that {path} lists too, with another class (line 4 here, line 2 there)"
    ]
    assert len(rows) == 2


def test_no_program_ignores_problems(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match=r"typo.csv: no such file"):
        rows_of(read_annotations(tmp_path / "typo.csv"))
    path = tmp_path / "a.csv"
    path.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2,1,2,3,5\n1.2,1,2,nan,5\n")
    caplog.set_level(logging.WARNING)
    assert len(rows_of(read_annotations(path))) == 1
    assert "not a number or not finite (line 3)" in caplog.text


@pytest.mark.parametrize("run", ["NA", "1e-3", "007", "nan", "True"])
def test_a_run_s_name_stays_text(tmp_path: Path, run: str) -> None:
    write_csv(tmp_path / "metrics.csv", pd.DataFrame({"run": [run], "seriesuid": ["1.20"], "f1": [None]}))
    table = read_stage_table(tmp_path / "metrics.csv", ["run", "f1"])
    assert table["run"].tolist() == [run]
    assert table["seriesuid"].tolist() == ["1.20"]
    assert table["f1"].isna().all()


NODULES = ",".join(ANNOTATION_COLUMNS)


@pytest.mark.parametrize(
    ("lines", "good", "problem"),
    [
        ([NODULES, "1.2,1,2,3,5,", "1.2,2,2,3,5,"], 2, ""),
        ([NODULES + ",", "1.2,1,2,3,5,", "1.2,2,2,3,5"], 2, ""),
        ([NODULES, "1.2,1,2,3,5,9", "1.2,2,2,3,5,9"], 0, "more fields than the header (lines 2, 3)"),
        ([NODULES, "1.2,1,2,3,5,8,9", "1.2,2,2,3,5"], 1, "more fields than the header (line 2)"),
        ([NODULES, "1.2,1,2,3,5", "", "1.2,2,2,3"], 1, "missing, not a number or not finite (line 4)"),
        ([NODULES, '"1.2\n",1,2,3,5', "1.2,2,2,3,nan"], 1, "not finite (line 4)"),
        ([NODULES], 0, ""),
    ],
)
def test_fields_too_many_and_too_few(tmp_path: Path, lines: list[str], good: int, problem: str) -> None:
    """None moves the others to another column; lines are those of the file."""
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    table, problems = read_annotations(tmp_path / "a.csv")
    assert len(table) == good
    assert set(table["seriesuid"]) <= {"1.2"}
    assert set(table["diameter_mm"]) <= {5}
    assert [problem in str(each) for each in problems] == [True] * bool(problem)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_another_separator_is_named(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(mark.join(["seriesuid", *XYZ]) + "\n" + mark.join(["1.2", "1", "2", "3"]) + "\n")
    _, (problem,) = read_table(path, ["seriesuid", *XYZ])
    assert problem.text == f"its columns are separated by {mark!r}; save it with commas"


def test_blank_lines_before_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n\nseriesuid,coordX,coordY,coordZ\n1.2,1,2,3\n")
    table, problems = read_table(path, ["seriesuid", *XYZ])
    assert problems == []
    assert table.index.tolist() == [4]


@pytest.mark.parametrize("damaged", ["", "x", "inf"])
def test_a_damaged_table_of_a_stage(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(f"seriesuid,probability\n1.2,0.5\n1.2,{damaged}\n")
    with pytest.raises(UserError, match="column probability holds something that is no number"):
        read_stage_table(path, ["seriesuid", "probability"])

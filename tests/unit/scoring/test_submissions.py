"""Every rule of the official scoring, and the published submission."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from conftest import PROJECT
from luna.base.errors import UserError
from luna.data.tables import XYZ
from luna.scoring.froc import match_marks, score
from luna.scoring.submissions import coverage, read_series_uids, read_submission


def run_program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = PROJECT / "workflow" / "scripts" / "score_submission.py"
    return subprocess.run(
        [sys.executable, script, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_published_submission(real_data: Path, tmp_path: Path) -> None:
    luna16, submission = real_data / "luna16", real_data / "scores" / "deeplung_dpn26"
    start = time.monotonic()
    done = run_program(
        "--submission", submission / "submission.csv", "--annotations", luna16 / "annotations.csv",
        "--excluded", luna16 / "annotations_excluded.csv", "--seriesuids", luna16 / "seriesuids.csv",
        "--out", tmp_path / "out.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(f"scored in {time.monotonic() - start:.1f} s")
    result = json.loads((tmp_path / "out.json").read_text())
    expected = json.loads((submission / "expected.json").read_text())
    assert result["cpm"] == pytest.approx(expected["cpm"], abs=1e-6)
    for rate, value in expected["froc_sens"].items():
        assert result["sensitivity"][rate] == pytest.approx(value, abs=1e-6)
    for name, key in (("boot_mean", "mean"), ("boot_lo", "lower"), ("boot_hi", "upper")):
        for rate, value in expected[name].items():
            assert result[f"sensitivity_{key}"][rate] == pytest.approx(value, abs=0.01)
    for name in ("true_positives", "false_positives", "false_negatives", "marks_after_cap", "nodules",
                 "ignored_excluded", "ignored_double", "scans"):  # fmt: skip
        assert result[name] == expected[name]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


HEADER = "seriesuid,coordX,coordY,coordZ,probability\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seriesuid,coordX,coordY,coordZ\n1.2,1,2,3\n", "column probability is missing"),
        (HEADER + "1.2,1,2,3,nan\n", "not finite (line 2)"),
        (HEADER + "1.2,1,2,inf,0.5\n", "not finite (line 2)"),
        (HEADER + "1.2,1,2,x,0.5\n", "not a number"),
        (HEADER + "1.2,1,2,3,0.5\n" + HEADER + "1.2,1,2,4,0.5\n", "not a number or not finite (line 3)"),
        (HEADER + "9.9,1,2,3,0.5\n", "none of its series is in the list"),
        ("", "the file is empty"),
    ],
)
def test_bad_submissions_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        read_submission(write(tmp_path / "s.csv", text), ["1.2"])
    assert words in str(caught.value)


def test_program_reports_a_mistake_in_one_line(tmp_path: Path) -> None:
    write(tmp_path / "u.csv", "1.2\n")
    done = run_program(
        "--submission", tmp_path / "none.csv", "--annotations", tmp_path / "a.csv",
        "--seriesuids", tmp_path / "u.csv", "--out", tmp_path / "o.json",
    )  # fmt: skip
    assert done.returncode == 1
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_list_of_series(tmp_path: Path) -> None:
    assert read_series_uids(write(tmp_path / "u.csv", "\ufeffseriesuid\r\n1.2\r\n\r\n1.3\r\n")) == [
        "1.2",
        "1.3",
    ]
    with pytest.raises(UserError, match="listed twice"):
        read_series_uids(write(tmp_path / "u.csv", "1.2\n1.2\n"))
    with pytest.raises(UserError, match="lists no series"):
        read_series_uids(write(tmp_path / "u.csv", "\n"))


@pytest.mark.parametrize(
    ("marks", "listed", "expected"),
    [
        ([("1.1", 5, 5, 5), ("1.1", 6, 5, 5), ("1.2", 90, 90, 90)], 2, ["2 of 2", "2 marks lie"]),
        (
            [("1.1", 90, 5, 5), ("1.1", 90, 5, 5), ("1.1", 5, 5, 5)],
            1,
            ["1 of 1", "1 marks lie", "rows that repeat another: 1"],
        ),
        ([("1.1", 5, 5, 5)], 8, ["1 of 8", "1 marks lie", "most of the listed series have no mark"]),
        (
            [("1.1", 50, 50, 50), ("1.2", 5, 5, 5)],
            2,
            ["2 of 2", "0 marks lie", "must be in mm, not in voxels"],
        ),
    ],
)
def test_coverage(marks: list[tuple], listed: int, expected: list[str]) -> None:
    """A fold's marks scored against all series, and voxels in place of mm, are noticed."""
    table = pd.DataFrame(marks, columns=["seriesuid", *XYZ]).assign(probability=0.5)
    nodules = pd.DataFrame([("1.1", 5, 5, 5, 8)], columns=["seriesuid", *XYZ, "diameter_mm"])
    uids = [f"1.{number}" for number in range(1, listed + 1)]
    text = coverage(table, uids, match_marks(table, nodules, uids))
    assert all(words in "\n".join(text) for words in expected)
    assert len(text) == len(expected) - 1


def test_a_mark_given_twice_counts_twice(tmp_path: Path) -> None:
    """Outside a nodule as two false positives, in one as a hit and an ignored mark."""
    outside, inside = "1.1,50,5,5,0.9\n", "1.1,5,5,5,0.8\n"
    path = write(tmp_path / "s.csv", HEADER + outside + inside + outside + inside)
    nodules = pd.DataFrame([("1.1", 5, 5, 5, 8)], columns=["seriesuid", *XYZ, "diameter_mm"])
    result = score(match_marks(read_submission(path), nodules, ["1.1"]), resamples=10)
    assert (result.true_positives, result.false_positives, result.ignored_double) == (1, 2, 1)

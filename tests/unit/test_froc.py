"""Every rule of the official scoring, and the published submission."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import PROJECT
from luna.froc import RATES, Froc, Matches, bootstrap_weights, interval, match_marks, score
from luna.program import UserError
from luna.submissions import read_series_uids, read_submission


def marks(*rows: tuple[str, float, float]) -> pd.DataFrame:
    """Marks (uid, x, probability) on the x-axis."""
    return pd.DataFrame(
        [(uid, x, 0.0, 0.0, p) for uid, x, p in rows],
        columns=["seriesuid", "coordX", "coordY", "coordZ", "probability"],
    )


def findings(*rows: tuple[str, float, float]) -> pd.DataFrame:
    """Findings (uid, x, diameter) on the x-axis."""
    return marks(*rows).rename(columns={"probability": "diameter_mm"})


def test_series_that_are_not_listed_do_not_count() -> None:
    found = match_marks(marks(("a", 0, 0.9), ("z", 0, 0.9)), findings(("a", 0, 4), ("z", 0, 4)), ["a", "b"])
    assert (found.scans, found.nodules, found.found.sum(), len(found.false_scores)) == (2, 1, 1, 0)


def test_a_mark_must_be_nearer_than_the_radius() -> None:
    nodules = findings(("a", 0, 10))
    assert match_marks(marks(("a", 4.999, 1)), nodules, ["a"]).found.sum() == 1
    assert match_marks(marks(("a", 5.0, 1)), nodules, ["a"]).found.sum() == 0


def test_a_negative_diameter_means_ten_millimetres() -> None:
    nodules = findings(("a", 0, -1))
    assert match_marks(marks(("a", 4.9, 1)), nodules, ["a"]).found.sum() == 1
    assert match_marks(marks(("a", 5.1, 1)), nodules, ["a"]).found.sum() == 0


def test_the_cap_keeps_marks_strictly_above_the_next() -> None:
    five = marks(*(("a", 50.0 * n, p) for n, p in enumerate([0.9, 0.8, 0.8, 0.8, 0.1])))
    assert match_marks(five, findings(), ["a"], max_marks=5).marks_after_cap == 5
    assert match_marks(five, findings(), ["a"], max_marks=4).marks_after_cap == 4
    assert match_marks(five, findings(), ["a"], max_marks=3).marks_after_cap == 1, "ties at the cut all go"
    assert match_marks(five, findings(), ["a"], max_marks=1).marks_after_cap == 1


def test_several_marks_in_a_nodule_are_one_with_the_highest_score() -> None:
    found = match_marks(marks(("a", 0, 0.3), ("a", 1, 0.7), ("a", -1, 0.5)), findings(("a", 0, 9)), ["a"])
    assert found.nodule_scores.tolist() == [0.7]
    assert (found.ignored_double, len(found.false_scores)) == (2, 0)


def test_a_mark_in_two_nodules_counts_for_both() -> None:
    found = match_marks(marks(("a", 2, 0.6)), findings(("a", 0, 9), ("a", 4, 9)), ["a"])
    assert found.nodule_scores.tolist() == [0.6, 0.6]
    assert found.ignored_double == 0


def test_a_mark_in_an_excluded_finding_counts_neither_way_and_once() -> None:
    found = match_marks(marks(("a", 0, 0.6)), findings(), ["a"], excluded=findings(("a", 0, 9), ("a", 1, -1)))
    assert (len(found.false_scores), found.ignored_excluded) == (0, 1)


def test_included_wins_over_excluded() -> None:
    found = match_marks(
        marks(("a", 0, 0.6), ("a", 20, 0.5)), findings(("a", 0, 9)), ["a"], excluded=findings(("a", 0, 99))
    )
    assert found.found.sum() == 1
    assert (len(found.false_scores), found.ignored_excluded) == (0, 1)


def test_a_missed_nodule_caps_the_sensitivity() -> None:
    result = score(match_marks(marks(("a", 0, 0.9)), findings(("a", 0, 4), ("a", 50, 4)), ["a"]), 10)
    assert result["sensitivity"]["8"] == 0.5
    assert (result["true_positives"], result["false_negatives"]) == (1, 1)


def test_every_other_mark_is_a_false_positive() -> None:
    found = match_marks(marks(("a", 50, 0.9), ("b", 0, 0.1)), findings(("a", 0, 4)), ["a", "b"])
    assert sorted(found.false_scores) == [0.1, 0.9]


def matches_of(found: list[float], false: list[float], missed: int = 0, scans: int = 8) -> Matches:
    """Matches on the first scans, one nodule or false positive a scan in turn."""
    return Matches(
        scans=scans,
        nodule_scores=np.array([*found, *[np.nan] * missed]),
        nodule_series=np.arange(len(found) + missed) % scans,
        nodule_diameters=np.full(len(found) + missed, 5.0),
        false_scores=np.array(false, dtype=float),
        false_series=np.arange(len(false)) % scans,
        marks_after_cap=len(found) + len(false),
        ignored_excluded=0,
        ignored_double=0,
    )


def test_equal_scores_are_one_point() -> None:
    false, found = Froc(matches_of([0.5, 0.5], [0.5, 0.2])).counts()
    assert (false.tolist(), found.tolist()) == ([0, 1, 2], [0, 2, 2])


def test_sensitivity_is_linear_between_points() -> None:
    froc = Froc(matches_of([0.5, 0.5], [0.5] * 4, scans=4))
    assert froc.sensitivity([0.5, 1.0]).tolist() == [0.5, 1.0]


def test_upper_value_at_a_vertical_step() -> None:
    """One false positive, then a nodule: exactly at 1/8 both are there."""
    assert Froc(matches_of([0.4], [0.5])).sensitivity([0.125]).tolist() == [1.0]


def test_last_sensitivity_holds_beyond_the_last_point() -> None:
    assert Froc(matches_of([0.9], [0.5], missed=1)).sensitivity([8.0]).tolist() == [0.5]


@pytest.mark.parametrize("scans", [1, 3, 7, 88, 89, 888])
def test_rates_hit_steps_exactly(scans: int) -> None:
    """A step at exactly a rate is never lost to rounding, for any number of scans."""
    for rate in RATES:
        steps = rate * scans
        if steps == int(steps):
            false = [0.9] * int(steps)
            froc = Froc(matches_of([0.5], false, scans=scans))
            assert froc.sensitivity([rate])[0] == 1.0


def test_no_false_positives() -> None:
    result = score(matches_of([0.9, 0.8], [], missed=2), 50)
    assert set(result["sensitivity"].values()) == {0.5}
    assert result["cpm"] == 0.5


def test_no_true_positives() -> None:
    result = score(matches_of([], [0.9, 0.1], missed=3), 50)
    assert result["cpm"] == 0.0
    assert result["true_positives"] == 0


def test_empty_submission() -> None:
    result = score(match_marks(marks(), findings(("a", 0, 4)), ["a", "b"]), 50)
    assert (result["cpm"], result["false_positives"], result["false_negatives"]) == (0.0, 0, 1)
    assert result["curve"]["sensitivity"] == [0.0]


def test_only_ties() -> None:
    result = score(matches_of([0.5] * 4, [0.5] * 4), 50)
    assert result["sensitivity"]["0.5"] == 1.0
    assert result["sensitivity"]["0.25"] == 0.5


def test_no_nodules_is_not_defined_and_says_why() -> None:
    result = score(match_marks(marks(("a", 0, 0.5)), findings(), ["a"]), 50)
    assert result["cpm"] is None
    assert result["sensitivity_lower"]["1"] is None
    assert "no nodule" in result["why_undefined"]
    json.dumps(result, allow_nan=False)


def test_bootstrap_moves_a_series_together() -> None:
    """All nodules are in one scan: a resample holds it k times, or has no nodule at all."""
    froc = Froc(matches_of([0.9], [0.8], missed=1, scans=2))
    assert froc.sensitivity([8.0], np.array([2, 0])).tolist() == [1.0]
    assert froc.sensitivity([8.0], np.array([0, 2])).tolist() == [0.0]
    false, found = froc.counts(np.array([2, 0]))
    assert (false[-1], found[-1]) == (2, 2)


def test_bootstrap_is_seeded_and_draws_as_many_scans() -> None:
    first, second = bootstrap_weights(30, 20, 5), bootstrap_weights(30, 20, 5)
    assert (first == second).all()
    assert (first.sum(axis=1) == 30).all()
    assert (first != bootstrap_weights(30, 20, 6)).any()


def test_interval_takes_the_26th_and_976th_of_1000() -> None:
    assert interval(np.random.default_rng(0).permutation(1000) + 1.0)[1:] == (26.0, 976.0)


def brute_force(matches: Matches, rate: float) -> float:
    """Sensitivity at a rate from every threshold in turn, interpolated by hand."""
    points = [(0, 0)]
    for threshold in sorted({*matches.nodule_scores[matches.found], *matches.false_scores}, reverse=True):
        false = int((matches.false_scores >= threshold).sum())
        found = int((np.nan_to_num(matches.nodule_scores, nan=-1) >= threshold).sum())
        points.append((false, found))
    wanted = rate * matches.scans
    at_or_below = [point for point in points if point[0] <= wanted]
    last = max(at_or_below)
    above = [point for point in points if point[0] > wanted]
    if not above:
        return last[1] / matches.nodules
    after = min(above)
    share = (wanted - last[0]) / (after[0] - last[0])
    return (last[1] + share * (after[1] - last[1])) / matches.nodules


score_lists = st.lists(st.integers(0, 8).map(lambda n: n / 8), max_size=25)


@settings(max_examples=200, deadline=None)
@given(score_lists, score_lists, st.integers(0, 3), st.integers(1, 12), st.sampled_from(RATES))
def test_agrees_with_the_definition(
    found: list[float], false: list[float], missed: int, scans: int, rate: float
) -> None:
    matches = matches_of(found, false, missed, scans)
    value = Froc(matches).sensitivity([rate])[0]
    if matches.nodules == 0:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(brute_force(matches, rate), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(score_lists, score_lists, st.integers(0, 1000))
def test_weights_mean_repeated_scans(found: list[float], false: list[float], seed: int) -> None:
    """Weighting a scan k times gives the curve of a data set that holds it k times."""
    matches = matches_of(found, false, missed=1, scans=5)
    weights = bootstrap_weights(5, 1, seed)[0]
    nodules, wrong = (
        np.repeat(np.arange(len(s)), weights[s]) for s in (matches.nodule_series, matches.false_series)
    )
    repeated = Matches(
        5, matches.nodule_scores[nodules], matches.nodule_series[nodules],
        matches.nodule_diameters[nodules], matches.false_scores[wrong], matches.false_series[wrong], 0, 0, 0,
    )  # fmt: skip
    np.testing.assert_allclose(Froc(matches).sensitivity(RATES, weights), Froc(repeated).sensitivity(RATES))


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
        (HEADER + "1.2,1,2,3,0.5\n1.2,1,2,3,0.5\n", "stand in the table twice (line 3)"),
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

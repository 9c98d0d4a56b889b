"""Every rule of the official scoring, and the published submission."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luna.scoring.bootstrap import bootstrap_weights
from luna.scoring.froc import RATES, Froc, Matches, match_marks, score
from unit.scoring.conftest import matches_of


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
    assert result.sensitivity["8"] == 0.5
    assert (result.true_positives, result.false_negatives) == (1, 1)


def test_every_other_mark_is_a_false_positive() -> None:
    found = match_marks(marks(("a", 50, 0.9), ("b", 0, 0.1)), findings(("a", 0, 4)), ["a", "b"])
    assert sorted(found.false_scores) == [0.1, 0.9]


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
    assert set(result.sensitivity.values()) == {0.5}
    assert result.cpm == 0.5


def test_no_true_positives() -> None:
    result = score(matches_of([], [0.9, 0.1], missed=3), 50)
    assert result.cpm == 0.0
    assert result.true_positives == 0


def test_empty_submission() -> None:
    result = score(match_marks(marks(), findings(("a", 0, 4)), ["a", "b"]), 50)
    assert (result.cpm, result.false_positives, result.false_negatives) == (0.0, 0, 1)
    assert result.curve.sensitivity == [0.0]


def test_only_ties() -> None:
    result = score(matches_of([0.5] * 4, [0.5] * 4), 50)
    assert result.sensitivity["0.5"] == 1.0
    assert result.sensitivity["0.25"] == 0.5


def test_no_nodules_is_not_defined_and_says_why() -> None:
    result = score(match_marks(marks(("a", 0, 0.5)), findings(), ["a"]), 50)
    assert result.cpm is None
    assert result.sensitivity_lower["1"] is None
    assert "no nodule" in result.why_undefined
    json.dumps(result.model_dump(mode="json"), allow_nan=False)


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


def test_the_drawn_curve_is_that_of_the_score() -> None:
    """With excluded findings, at every rate of the table, and inside its own band."""
    rng = np.random.default_rng(0)
    uids = [f"1.{number}" for number in range(6)]
    marks = pd.DataFrame(
        {"seriesuid": rng.choice(uids, 80), "coordX": rng.uniform(0, 100, 80), "coordY": 0.0, "coordZ": 0.0,
         "probability": rng.uniform(0, 1, 80)}
    )  # fmt: skip
    findings = pd.DataFrame(
        {"seriesuid": rng.choice(uids, 24), "coordX": rng.uniform(0, 100, 24), "coordY": 0.0, "coordZ": 0.0,
         "diameter_mm": 9.0}
    )  # fmt: skip
    matches = match_marks(marks, findings[:12], uids, findings[12:], max_marks=5)
    assert matches.ignored_excluded > 0
    result = score(matches, 200)
    band = result.band
    at_rates = [band.sensitivity[10 * k] for k in range(len(RATES))]
    assert at_rates == pytest.approx([result.sensitivity[f"{rate:g}"] for rate in RATES])
    assert band.lower[30] == pytest.approx(result.sensitivity_lower["1"])
    assert band.upper[60] == pytest.approx(result.sensitivity_upper["8"])


def test_the_challenge_s_rates() -> None:
    assert RATES == (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)


def test_the_curve_counts_false_positives_per_scan() -> None:
    """Two scans and three nodules, of which two are found; false positives at 0.7, 0.5 and 0.5."""
    matches = Matches(
        2, np.array([0.9, 0.6, np.nan]), np.array([0, 1, 1]), np.array([5.0, 6, 7]),
        np.array([0.7, 0.5, 0.5]), np.array([0, 0, 1]), 0, 0, 0,
    )  # fmt: skip
    false, found = Froc(matches).curve()
    points = list(zip(false.tolist(), found.tolist(), strict=True))
    assert points == [(0, 0), (0, 1 / 3), (0.5, 1 / 3), (0.5, 2 / 3), (1.5, 2 / 3)]

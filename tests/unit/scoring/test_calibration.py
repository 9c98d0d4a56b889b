"""Calibration: it undoes a distortion, keeps the order, and leaves alone what says nothing."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from luna.base.arrays import FloatArray, IntArray
from luna.config.recipe import CalibrationMethod
from luna.scoring.calibration import UNCHANGED, Isotonic, Scaling, fit_calibration

METHODS = [method for method in get_args(CalibrationMethod) if method != "none"]


def overconfident(offset: float) -> tuple[IntArray, FloatArray, FloatArray]:
    """Labels, probabilities with twice the right logit and an offset, and the right probabilities."""
    rng = np.random.default_rng(0)
    truth = rng.beta(0.5, 3, 20_000)
    labels = (rng.random(20_000) < truth).astype(np.int64)
    logits = np.log(truth / (1 - truth))
    return labels, 1 / (1 + np.exp(-(2 * logits + offset))), truth


def test_platt_finds_slope_and_offset() -> None:
    labels, probabilities, truth = overconfident(3)
    calibration = fit_calibration("platt", labels, probabilities)
    assert isinstance(calibration, Scaling)
    assert calibration.slope == pytest.approx(0.5, abs=0.03)
    assert calibration.offset == pytest.approx(-1.5, abs=0.1)
    calibrated = calibration.of(probabilities)
    assert calibrated.mean() == pytest.approx(labels.mean(), abs=0.002)
    assert np.corrcoef(calibrated, truth)[0, 1] > 0.99


def test_temperature_finds_the_temperature_and_no_offset() -> None:
    labels, probabilities, _ = overconfident(0)
    calibration = fit_calibration("temperature", labels, probabilities)
    assert isinstance(calibration, Scaling)
    assert calibration.offset == 0
    assert 1 / calibration.slope == pytest.approx(2, abs=0.1)


def test_isotonic_follows_any_rising_curve() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(20_000)
    labels = (rng.random(20_000) < probabilities**3).astype(np.int64)
    calibration = fit_calibration("isotonic", labels, probabilities)
    assert isinstance(calibration, Isotonic)
    places = np.linspace(0.05, 0.95, 19)
    assert calibration.of(places) == pytest.approx(places**3, abs=0.04)
    assert ((calibration.of(np.array([0.0, 1.0])) >= 0) & (calibration.of(np.array([0.0, 1.0])) <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=2, max_size=30))
def test_isotonic_is_that_of_scikit_learn(samples: list[tuple[int, int]]) -> None:
    labels, places = (np.array(each) for each in zip(*samples, strict=True))
    probabilities, everywhere = places / 8, np.linspace(0, 1, 33)
    calibration = fit_calibration("isotonic", labels, probabilities)
    if len(set(labels)) < 2:
        assert calibration == UNCHANGED
        return
    reference = IsotonicRegression(out_of_bounds="clip").fit(probabilities, labels)
    assert calibration.of(everywhere) == pytest.approx(reference.predict(everywhere))


@pytest.mark.parametrize("method", METHODS)
def test_keeps_the_order_even_of_a_model_that_is_wrong(method: CalibrationMethod) -> None:
    labels = np.array([1, 1, 0, 0, 0, 1])
    probabilities = np.array([0.1, 0.2, 0.9, 0.8, 0.7, 0.0])
    steps = np.diff(fit_calibration(method, labels, probabilities).of(np.linspace(0, 1, 9)))
    assert (steps >= 0 if method == "isotonic" else steps > 0).all()


def test_few_nodules_that_are_all_found_are_no_certainty() -> None:
    labels = np.array([1] * 3 + [0] * 50)
    calibrated = fit_calibration("platt", labels, np.where(labels == 1, 0.99, 0.01)).of(
        np.array([0.01, 0.99])
    )
    assert 0.7 < calibrated[1] < 0.85
    assert 0.01 < calibrated[0] < 0.03


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_says_nothing(method: CalibrationMethod, labels: list[int]) -> None:
    probabilities = np.linspace(0.1, 0.9, len(labels))
    assert fit_calibration(method, np.array(labels, dtype=np.int64), probabilities) == UNCHANGED


def test_not_a_number() -> None:
    assert fit_calibration("platt", np.array([0, 1]), np.array([np.nan, 0.9])) == UNCHANGED


def test_none_leaves_probabilities_alone() -> None:
    labels, probabilities, _ = overconfident(3)
    calibration = fit_calibration("none", labels, probabilities)
    assert calibration.of(probabilities[:9]) == pytest.approx(probabilities[:9])

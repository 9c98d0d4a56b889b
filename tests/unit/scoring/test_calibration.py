"""Calibration: it undoes a distortion, keeps the order, and leaves alone what says nothing."""

import numpy as np
import pytest

from luna.scoring.calibration import Calibration, fit_calibration


def test_finds_the_distortion() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(0.5, 3, 20_000)
    labels = (rng.random(20_000) < truth).astype(np.int64)
    logits = np.log(truth / (1 - truth))
    overconfident = 1 / (1 + np.exp(-(2 * logits + 3)))
    calibration = fit_calibration(labels, overconfident)
    assert calibration.slope == pytest.approx(0.5, abs=0.03)
    assert calibration.offset == pytest.approx(-1.5, abs=0.1)
    calibrated = calibration.of(overconfident)
    assert calibrated.mean() == pytest.approx(labels.mean(), abs=0.002)
    assert np.corrcoef(calibrated, truth)[0, 1] > 0.99


def test_keeps_the_order_even_of_a_model_that_is_wrong() -> None:
    labels = np.array([1, 1, 0, 0, 0, 1])
    probabilities = np.array([0.1, 0.2, 0.9, 0.8, 0.7, 0.0])
    assert (np.diff(fit_calibration(labels, probabilities).of(np.linspace(0, 1, 9))) > 0).all()


def test_few_nodules_that_are_all_found_are_no_certainty() -> None:
    labels = np.array([1] * 3 + [0] * 50)
    calibrated = fit_calibration(labels, np.where(labels == 1, 0.99, 0.01)).of(np.array([0.01, 0.99]))
    assert 0.7 < calibrated[1] < 0.85
    assert 0.01 < calibrated[0] < 0.03


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_one_class_says_nothing(labels: list[int]) -> None:
    assert fit_calibration(np.array(labels), np.array([0.1, 0.5, 0.9])) == Calibration(1, 0)


def test_not_a_number() -> None:
    assert fit_calibration(np.array([0, 1]), np.array([np.nan, 0.9])) == Calibration()

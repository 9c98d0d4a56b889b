"""The threshold with a guarantee: it holds as often as promised, is of use, and says when there is none."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm

from luna.scoring.guarantee import guaranteed_threshold, p_value, series_needed


def validation(rng: np.random.Generator, series: int) -> pd.DataFrame:
    """Series with one to four nodules and ten others; a bad series has lower scores for all its nodules."""
    nodules = np.repeat(np.arange(series), rng.integers(1, 5, series))
    others = np.repeat(np.arange(series), 10)
    shifts = rng.normal(0, 0.5, series)
    scores = np.concatenate([rng.normal(2 + shifts[nodules], 1), rng.normal(0, 1, len(others))])
    return pd.DataFrame(
        {
            "seriesuid": np.concatenate([nodules, others]),
            "class": np.repeat([1, 0], [len(nodules), len(others)]),
            "probability": norm.cdf(scores / 2),
        }
    )


def true_miss_rate(threshold: float) -> float:
    """Of a nodule of `validation`, for every number of nodules in its series: they share a distribution."""
    return float(norm.cdf((2 * norm.ppf(threshold) - 2) / np.hypot(1, 0.5)))


def test_the_guarantee_holds_and_is_of_use() -> None:
    """In 1,000 repetitions the miss rate is above the allowed one in at most a tenth."""
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(1000):
        found = guaranteed_threshold(validation(rng, 120), miss_rate=0.1, confidence=0.9)
        assert found.threshold is not None
        assert found.missed is not None
        assert found.missed < 0.1
        rates.append(true_miss_rate(found.threshold))
    assert np.mean(np.array(rates) > 0.1) <= 0.1
    # Not by a threshold that misses nothing: that would help nobody.
    assert np.median(rates) > 0.04


def test_a_threshold_chosen_without_it_breaks_the_promise() -> None:
    """The simulation can tell: a tenth of the validation nodules below is too much half of the time."""
    rng = np.random.default_rng(1)
    table = [validation(rng, 120) for _ in range(100)]
    chosen = [float(each.loc[each["class"] == 1, "probability"].quantile(0.1)) for each in table]
    assert np.mean([true_miss_rate(each) > 0.1 for each in chosen]) > 0.3


def test_each_choice_of_epoch_makes_it_stricter() -> None:
    table = validation(np.random.default_rng(2), 200)
    one, ten = (guaranteed_threshold(table, 0.1, 0.9, choices) for choices in (1, 10))
    assert one.threshold is not None
    assert ten.threshold is not None
    assert ten.threshold < one.threshold


def test_many_nodules_of_one_series_count_as_one_series() -> None:
    rng = np.random.default_rng(3)
    table = validation(rng, 120)
    crowded = table[(table["class"] == 1) & (table["seriesuid"] == 0)]
    repeated = pd.concat([table, *[crowded] * 50])
    once, often = (guaranteed_threshold(each, 0.1, 0.9) for each in (table, repeated))
    assert once.threshold == often.threshold
    assert once.missed == pytest.approx(often.missed)


def test_too_little_data() -> None:
    found = guaranteed_threshold(validation(np.random.default_rng(0), 21), 0.1, 0.9)
    assert found.threshold is None
    assert found.why_none == "22 validation series with candidate nodules are needed, and there are 21"
    assert guaranteed_threshold(validation(np.random.default_rng(0), 22), 0.1, 0.9).threshold is not None
    empty = validation(np.random.default_rng(0), 1)[:0]
    assert "not validated" in str(guaranteed_threshold(empty, 0.1, 0.9).why_none)
    at_zero = pd.DataFrame({"seriesuid": range(30), "class": 1, "probability": 0.0})
    assert "probability of 0" in str(guaranteed_threshold(at_zero, 0.1, 0.9).why_none)


def test_the_threshold_lies_below_the_first_nodule_that_would_be_too_much() -> None:
    """With 22 series none may be missed, so it lies between the lowest nodule and what is below that."""
    scores = np.linspace(0.3, 0.9, 22)
    table = pd.DataFrame(
        {"seriesuid": [f"s{n}" for n in range(22)] + ["s0", "s1"], "class": [1] * 22 + [0] * 2,
         "probability": [*scores, 0.2, 0.25]}
    )  # fmt: skip
    assert guaranteed_threshold(table, 0.1, 0.9).threshold == pytest.approx((0.25 + 0.3) / 2)


def test_p_values() -> None:
    """Without a miss it is that all series pass by luck; it rises with the misses, up to 1."""
    assert p_value(0, 22, 0.1) == pytest.approx(0.9**22)
    rising = [p_value(missed / 100, 100, 0.1) for missed in range(12)]
    assert rising == sorted(rising)
    assert rising[-1] == 1
    assert rising[3] <= np.e * binom.cdf(3, 100, 0.1)
    assert series_needed(0.1, 0.1) == 22


def test_probabilities_that_are_no_numbers() -> None:
    table = validation(np.random.default_rng(0), 30)
    table.loc[3, "probability"] = np.nan
    assert guaranteed_threshold(table, 0.1, 0.9).why_none == "some probabilities are no numbers"

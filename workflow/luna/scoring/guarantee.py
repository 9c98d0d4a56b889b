"""A threshold that misses few nodules, with a stated confidence.

Learn then Test (Angelopoulos, Bates, Candes, Jordan, Lei 2021) with the Hoeffding-Bentkus p-value (Bates,
Angelopoulos, Lei, Malik, Jordan 2021). What is exchangeable is series, not candidates: those of one series
share a patient and a scanner. So the miss rate is that of a series, the share of its candidate nodules that
are not above the threshold, and the guarantee holds for its mean over series with such nodules.
"""

import math
from bisect import bisect_left

import numpy as np
import pandas as pd
from scipy.special import bdtr

from luna.base.arrays import FloatArray
from luna.scoring.metrics import just_below
from luna.scoring.records import Guarantee


def guaranteed_threshold(
    validation: pd.DataFrame, miss_rate: float, confidence: float, choices: int = 1
) -> Guarantee:
    """The highest threshold whose mean miss rate is at most `miss_rate`, with this confidence.

    validation: the columns seriesuid, class and probability of candidates that did not train. choices: of how
    many models (epochs) this one was chosen by the same candidates; each could have been the one that looks
    too good, so each must pass at its share of the risk (Bonferroni).
    """
    nodules = validation[validation["class"] == 1]
    found = Guarantee(
        miss_rate=miss_rate, confidence=confidence, series=nodules["seriesuid"].nunique(), threshold=None,
        missed=None, why_none=None,
    )  # fmt: skip
    risk = (1 - confidence) / max(1, choices)
    probabilities = validation["probability"].to_numpy(dtype=float)
    if reason := _why_none(found, probabilities, risk):
        return found.model_copy(update={"why_none": reason})
    missed = _missed_with(nodules)

    def is_too_much(place: int) -> bool:
        return p_value(float(missed.iloc[place]), found.series, miss_rate) > risk

    # The p-value rises with the rate, and where all are missed it is 1: there is a first that is too much.
    first = bisect_left(range(len(missed)), True, key=is_too_much)
    score = float(missed.index[first])
    if score == 0:
        return found.model_copy(update={"why_none": "too many nodules have a probability of 0"})
    return found.model_copy(
        update={
            "threshold": just_below(score, probabilities),
            "missed": float(missed.iloc[first - 1]) if first else 0.0,
        }
    )


def _why_none(found: Guarantee, probabilities: FloatArray, risk: float) -> str | None:
    if not len(probabilities):
        return "the model was not validated, for want of an epoch"
    if not np.isfinite(probabilities).all():
        return "some probabilities are no numbers"
    needed = series_needed(found.miss_rate, risk)
    if found.series < needed:
        return f"{needed} validation series with candidate nodules are needed, and there are {found.series}"
    return None


def _missed_with(nodules: pd.DataFrame) -> pd.Series:
    """The mean miss rate where all nodules up to a probability are missed, by that probability, rising."""
    of_series = nodules.groupby("seriesuid")["probability"]
    share = 1 / of_series.transform("size") / of_series.ngroups
    return share.groupby(nodules["probability"], sort=True).sum().cumsum()


def p_value(observed: float, count: int, allowed: float) -> float:
    """Of the hypothesis that the mean of values in [0, 1] is above `allowed`, from the mean of `count`."""
    if observed >= allowed:
        return 1.0
    hoeffding = math.exp(-count * _divergence(observed, allowed))
    # bdtr: the binomial distribution function. Rounded first, because a mean of thirds times three may be a
    # little above 1.
    bentkus = math.e * float(bdtr(math.ceil(round(count * observed, 9)), count, allowed))
    return min(hoeffding, bentkus, 1.0)


def series_needed(miss_rate: float, risk: float) -> int:
    """How many series must all miss nothing before the p-value can be as low as the risk."""
    return math.ceil(round(math.log(risk) / math.log(1 - miss_rate), 9))


def _divergence(observed: float, allowed: float) -> float:
    """Of Bernoulli distributions with these means, in nats."""
    inner = (1 - observed) * math.log((1 - observed) / (1 - allowed))
    return inner + (observed * math.log(observed / allowed) if observed > 0 else 0.0)

"""A threshold that misses few nodules, with a stated confidence.

Learn then Test (Angelopoulos, Bates, Candes, Jordan, Lei 2021) with the Hoeffding-Bentkus p-value (Bates,
Angelopoulos, Lei, Malik, Jordan 2021). What is exchangeable is series, not candidates: those of one series
share a patient and a scanner. So the miss rate is that of a series, the share of its candidate nodules that
are not above the threshold, and the guarantee holds for its mean over series with such nodules.
"""

import math

import numpy as np
import pandas as pd
from scipy.stats import binom

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
    series = nodules["seriesuid"].nunique()
    risk = (1 - confidence) / max(1, choices)

    def outcome(threshold: float | None, missed: float | None, why_none: str | None) -> Guarantee:
        return Guarantee(
            miss_rate=miss_rate, confidence=confidence, series=series, threshold=threshold, missed=missed,
            why_none=why_none,
        )  # fmt: skip

    if not np.isfinite(validation["probability"].to_numpy(dtype=float)).all():
        return outcome(None, None, "some probabilities are no numbers")
    needed = series_needed(miss_rate, risk)
    if series < needed:
        return outcome(
            None,
            None,
            f"{needed} validation series with candidate nodules are needed, and there are {series}",
        )
    shares = 1 / nodules.groupby("seriesuid")["probability"].transform("size") / series
    ordered = nodules.assign(share=shares).sort_values("probability", kind="stable")
    scores = ordered["probability"].to_numpy()
    # The threshold may be raised to the first nodule whose loss would make the rate too high.
    missed_with = ordered.groupby("probability", sort=True)["share"].sum().cumsum()
    missed_with = missed_with.reindex(scores).to_numpy()
    passes = np.array([p_value(rate, series, miss_rate) <= risk for rate in missed_with])
    if passes.all():
        return outcome(None, None, "it holds at every threshold")
    first = int(np.argmin(passes))
    lower = validation["probability"][validation["probability"] < scores[first]]
    below = float(lower.max()) if len(lower) else -1e-6
    missed = float(missed_with[first - 1]) if first else 0.0
    return outcome(float((scores[first] + below) / 2), missed, None)


def p_value(observed: float, count: int, allowed: float) -> float:
    """Of the hypothesis that the mean of values in [0, 1] is above `allowed`, from the mean of `count`."""
    if observed >= allowed:
        return 1.0
    hoeffding = math.exp(-count * _divergence(observed, allowed))
    # Rounded first, because a mean of thirds times three may be a little above 1.
    bentkus = math.e * float(binom.cdf(math.ceil(round(count * observed, 9)), count, allowed))
    return min(hoeffding, bentkus, 1.0)


def series_needed(miss_rate: float, risk: float) -> int:
    """How many series must all miss nothing before the p-value can be as low as the risk."""
    return math.ceil(round(math.log(risk) / math.log(1 - miss_rate), 9))


def _divergence(observed: float, allowed: float) -> float:
    """Of Bernoulli distributions with these means, in nats."""
    inner = (1 - observed) * math.log((1 - observed) / (1 - allowed))
    return inner + (observed * math.log(observed / allowed) if observed > 0 else 0.0)

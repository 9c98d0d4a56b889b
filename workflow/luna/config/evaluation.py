"""The config's `evaluation`: how a trained model is tested."""

from typing import Annotated

from pydantic import Field

from luna.config.section import Section


class ScoringSettings(Section):
    """How predictions are scored."""

    bootstrap: Annotated[int, Field(ge=0, le=100000)] = 1000
    """Resamples of the series behind every confidence interval."""

    max_marks: Annotated[int, Field(ge=1)] = 100
    """Marks per series that count in the FROC; the official scoring takes 100."""


class JudgingSettings(Section):
    """How a model judges candidates."""

    flips: bool = False
    """Average each prediction over the eight mirror images of its crop; eight times the work."""

    miss_rate: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """A second threshold is chosen so that, averaged over series with candidate nodules, at most this share
    of a series' candidate nodules is missed..."""

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """...with at least this confidence; with too few validation series there is no such threshold."""


class EvaluationSettings(ScoringSettings, JudgingSettings):
    """How a trained model is tested."""


class Scoring(ScoringSettings):
    """How predictions are scored, and from which seed series are resampled."""

    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the bootstrap."""

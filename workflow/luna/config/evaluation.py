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


class EvaluationSettings(ScoringSettings):
    """How a trained model is tested."""

    flips: bool = False
    """Average each prediction over the eight mirror images of its crop; eight times the work."""


class Scoring(ScoringSettings):
    """How predictions are scored, and from which seed series are resampled."""

    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the bootstrap."""

"""The config's `report`: the page results/report.html."""

from typing import Annotated

from pydantic import Field

from luna.config.section import Section


class ReportSettings(Section):
    """The page results/report.html."""

    crops: Annotated[int, Field(ge=0, le=100)] = 6
    """How many of the worst false positives and of the missed nodules are shown for each run at once."""

    negatives: Annotated[int, Field(ge=0, le=2000)] = 50
    """How many candidates without a nodule can be looked at for each run, those with the highest
    probabilities; all nodules can."""

    saliency: bool = True
    """Whether these candidates are shown with where the network looked, which takes a job a run and fold."""

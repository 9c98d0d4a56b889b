"""The config's `phantom`: the embedded data set."""

from typing import Annotated, Literal

from pydantic import Field

from luna.config.section import Section


class PhantomSettings(Section):
    """The phantom data set (only with source phantom)."""

    series: Annotated[int, Field(ge=1, le=5000)] = 140
    """Number of CTs, dealt out to the ten subsets in turn."""

    view: Literal["part", "chest"] = "part"
    """What a CT shows: `part` of the lungs, life-size, or a whole `chest`, life-size from 512 columns on
    and smaller with fewer."""

    size: Annotated[int, Field(ge=48, le=512)] = 128
    """Rows and columns of a CT."""

    slices: Annotated[int, Field(ge=16, le=600)] = 72
    """Slices of a CT; their mean number where it is a whole chest."""

    nodules: Annotated[float, Field(ge=0, le=20)] = 4
    """Mean number of nodules in a CT."""

    candidates: Annotated[int, Field(ge=8, le=2000)] = 60
    """Mean number of candidate locations in a CT that are no nodules."""

    hilum: bool = False
    """Whether candidates also lie at the hilum and in the mediastinum, where the search in patients finds
    some too; else only in the lungs and 2.5 mm of their wall."""

"""The config's `phantom`: the embedded data set."""

from typing import Annotated

from pydantic import Field

from luna.config.section import GivenPath, Section


class PhantomSettings(Section):
    """The phantom data set (only with source phantom)."""

    series: Annotated[int, Field(ge=1, le=5000)] = 40
    """Number of CTs, dealt out to the ten subsets in turn."""

    size: Annotated[int, Field(ge=64, le=512)] = 144
    """Rows and columns of a CT; the body grows with it, up to life size at 512."""

    slices: Annotated[int, Field(ge=16, le=600)] = 72
    """Mean number of slices of a CT."""

    candidates: Annotated[int, Field(ge=8, le=2000)] = 80
    """Mean number of candidate locations in a CT."""

    background: GivenPath = ""
    """A real CT to lay the nodules into, in place of drawn bodies; empty for none."""

"""The config's `split`: which candidates train and which test."""

from typing import Annotated, Literal

from pydantic import Field

from luna.config.section import Section


class SplitSettings(Section):
    """Which candidates train, choose and test."""

    method: Literal["subset", "stride"] = "subset"
    """`subset` keeps all of a CT on one side, as the challenge does; `stride` is the chapter's, and leaks."""

    stride: Annotated[int, Field(ge=2)] = 10
    """With method stride, every `stride`-th candidate validates."""

    keep_patients_together: bool = False
    """Put all series of a patient into one subset (LUNA16 has one patient in two)."""

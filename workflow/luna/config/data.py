"""The config's `data`: which CTs and tables to use."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from luna.config.section import GivenPath, Section


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


PROPOSE = ("propose",)
"""Instead of tables of candidates: make them."""

_NAME = {"type": "string"}
Tables = Annotated[
    tuple[GivenPath, ...],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"const": "propose"}, {"type": "array", "items": _NAME}, _NAME]}),
]


class DataSettings(Section):
    """Which CTs and tables to use."""

    source: Literal["phantom", "files"] = "phantom"
    """`phantom` makes a small data set; `files` uses the one at `root`."""

    root: GivenPath = ""
    """Folder or address (s3://bucket/folder) that holds subset0 to subset9, or a folder that holds
    subset0.zip to subset9.zip (only with source files). Nothing but a download writes there."""

    records: Annotated[tuple[Annotated[str, Field(pattern="^https?://")], ...], Field(min_length=1)] = (
        "https://zenodo.org/api/records/3723295",
        "https://zenodo.org/api/records/4121926",
    )
    """The Zenodo records, as addresses, from which `snakemake results/download.json` gets the data."""

    files: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "subset*.zip", "annotations.csv", "candidates*", "evaluationScript.zip",
    )  # fmt: skip
    """Which of the records' files to download, as names or patterns."""

    annotations: GivenPath = ""
    """The table of nodules; empty means annotations.csv in `root`. Paths of tables may be relative to
    `root`; `~` and $VARIABLES are filled in."""

    candidates: Tables = ()
    """The tables of candidates, joined; empty means candidates.csv in `root`. `propose` makes them: the
    models that come with the project look for places in the CTs, and those nearer to a nodule of the
    annotations than its radius are of class 1, as in LUNA16."""

    proposals: Annotated[int, Field(ge=1, le=2000)] = 200
    """Candidates a CT, at most (only with candidates: propose)."""

    excluded: GivenPath = ""
    """The table of findings that count neither way in the scoring; empty for none."""

    expect: Literal["luna16", "any"] = "any"
    """`luna16` compares with the known LUNA16 (888 series, 1,186 nodules); `any` does not."""

    on_problem: Literal["stop", "skip"] = "stop"
    """`stop` ends the workflow at any problem; `skip` continues with the series that are sound."""

"""What verification.json and candidates.json hold."""

from pydantic import BaseModel, ConfigDict

from luna.imaging.problem import Problem


class Record(BaseModel):
    """A part of a file about the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SeriesCount(Record):
    """Series that were found, and those that can be used."""

    found: int
    usable: int


class NoduleCount(Record):
    """Nodules in the table, and those in usable series."""

    listed: int
    usable: int


class CandidateCount(NoduleCount):
    """Candidates in the tables, those in usable series, and how many of the latter are nodules."""

    positive: int


class Verification(Record):
    """What verification found: verification.json.

    subsets: usable series in each. warnings: problems that are no reason to stop.
    """

    series: SeriesCount
    subsets: dict[str, int]
    nodules: NoduleCount
    candidates: CandidateCount
    problems: list[Problem]
    warnings: list[Problem]
    notes: list[str]


class SubsetCount(Record):
    """The series, candidates and nodule candidates of a subset."""

    series: int
    candidates: int
    positive: int


class Listing(Record):
    """What the list of candidates holds: candidates.json.

    nodules_without_candidate: rows of annotations.csv. class_differs_from_distance: ids of
    candidates whose class their distance to the nearest nodule contradicts.
    patients_in_two_subsets: for each such patient the subset of each series.
    """

    candidates: int
    positive: int
    outside_ct: int
    nodules: int
    nodules_without_candidate: list[dict[str, str | int | float]]
    class_differs_from_distance: list[int]
    subsets: dict[str, SubsetCount]
    patients_in_two_subsets: dict[str, dict[str, int]]

"""What verification.json, candidates.json and the manifests of the cache hold."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from luna.base.errors import UserError
from luna.base.files import Record
from luna.imaging.problem import Problem


class Voxels(Record):
    """What reading a CT's voxels showed.

    checksum, hu_min, hu_max: None where they could not be read. notes: what was changed or left out.
    """

    checksum: str | None = None
    hu_min: int | None = None
    hu_max: int | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class CachedSeries(Record):
    """A series in the manifest of a cache: its voxels, the number of its crops, and a digest of all that
    these depend on."""

    voxels: Voxels
    crops: int
    digest: str


def read_cached(path: Path) -> dict[str, CachedSeries]:
    """What a cache's manifest lists, by series uid. Raises UserError when it is missing or damaged."""
    try:
        return TypeAdapter(dict[str, CachedSeries]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: cannot be read; remove it and run again ({error})") from error


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

"""Many scans one after the other: what is finished stays, and one that fails does not stop the others."""

import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from luna.base.digests import digest, file_checksum
from luna.base.errors import UserError
from luna.base.files import Record, as_user_error, read_record, write_csv, write_json, write_record
from luna.base.progress import progress
from luna.imaging.dicom_study import LeftOut
from luna.scans.outputs import ALL_WRITTEN, ALWAYS_WRITTEN, ScanFindings
from luna.scans.scan import Models, NoCandidatesError, Settings, predict_scan
from luna.scans.sources import Scan, Search
from luna.scans.steps import Steps

log = logging.getLogger(__name__)

SUMMARY, SCHEMA, DONE = "summary.csv", "findings.schema.json", "done.json"
LIKELY = 0.5
"""Findings at least as probable are counted in the summary."""


class Outcome(Record):
    """What became of a scan: a row of summary.csv, and a finished scan's done.json.

    likely: findings with a probability of LIKELY or more. highest: the first finding's probability. seconds:
    of each step. source: digest of the scan's files. made_of: digest of models, settings and code.
    """

    scan: str
    status: Literal["done", "failed", "skipped"]
    findings: int | None = None
    likely: int | None = None
    highest: float | None = None
    where: str
    folder: str = ""
    reason: str = ""
    seconds: dict[str, float] = Field(default_factory=dict)
    source: str = ""
    made_of: str = ""


@dataclass(frozen=True)
class Batch:
    """Scans to judge, and where the results go.

    derived: whether DICOM series that were computed from others are taken. made_of: digests of models and
    code; where one changes, finished scans are judged again.
    """

    paths: Sequence[Path]
    out: Path
    settings: Settings
    derived: bool
    made_of: list[str]


def predict_scans(batch: Batch, models: Models) -> list[Outcome]:
    """Judge all scans; write each one's files to a folder of its own, and summary.csv over all.

    Archives are unpacked within the folder of the results, and what was unpacked is deleted at the end.
    Raises UserError where a path is no scan, or where there is none at all.
    """
    try:
        batch.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_user_error(error, batch.out) from error
    with tempfile.TemporaryDirectory(dir=batch.out, prefix=".unpacked-") as unpacked:
        search = Search(Path(unpacked), batch.out)
        scans, left_out = search.scans(batch.paths, batch.derived)
        if not scans:
            raise UserError("there is no scan to judge", [f"{where}: {reason}" for where, reason in left_out])
        _check_folders(batch, scans)
        outcomes = [_skipped(each) for each in left_out]
        for outcome in _outcomes(batch, models, scans, search.readable):
            outcomes.append(outcome)
            _write_summary(batch.out, outcomes)
    write_json(batch.out / SCHEMA, ScanFindings.model_json_schema())
    return outcomes


def _skipped(left_out: LeftOut) -> Outcome:
    return Outcome(scan="", status="skipped", where=left_out.where, reason=left_out.reason)


def _check_folders(batch: Batch, scans: Sequence[Scan]) -> None:
    """Raise UserError where results would be written among a scan's own files."""
    problems = [
        f"{scan.where}: {batch.out / _folder_name(scan)} is where it lies"
        for scan in scans
        if any(
            file.resolve().is_relative_to((batch.out / _folder_name(scan)).resolve()) for file in scan.files
        )
    ]
    if problems:
        raise UserError("the results cannot be written beside the scans; name another folder", problems)


def _outcomes(
    batch: Batch, models: Models, scans: Sequence[Scan], readable: Callable[[str], str]
) -> Iterator[Outcome]:
    """What becomes of each scan. readable: names what was unpacked by its archive."""
    for scan in progress(scans, "scans", len(scans)):
        where = readable(str(scan.where))
        try:
            yield _outcome(batch, models, scan, where)
        except NoCandidatesError as error:
            yield _without_result(scan, where, "skipped", readable(_reason(error)))
        except (UserError, OSError) as error:
            log.error("%s: failed: %s", scan.name, readable(str(error)))
            yield _without_result(scan, where, "failed", readable(_reason(error)))
        except Exception as error:
            # Whatever it is, it must not keep the other scans from being judged.
            log.exception("%s: failed", scan.name)
            yield _without_result(scan, where, "failed", readable(_reason(error)))


def _outcome(batch: Batch, models: Models, scan: Scan, where: str) -> Outcome:
    """Judge a scan, unless its results are there already. Raises whatever goes wrong."""
    source = digest([file_checksum(file) for file in scan.files])
    made_of = digest([batch.made_of, _settings_key(batch.settings)])
    folder, finished = _folder_of(batch.out, scan, source)
    if finished is not None and finished.made_of == made_of and _is_whole(folder):
        log.info("%s: done before", scan.name)
        return finished.model_copy(update={"where": where, "folder": str(folder)})
    for name in (DONE, *ALL_WRITTEN):
        (folder / name).unlink(missing_ok=True)
    steps = Steps(scan.name)
    result = predict_scan(scan, batch.settings, models, folder, steps)
    probabilities = [each.probability for each in result.findings]
    outcome = Outcome(
        scan=scan.name, status="done", findings=len(probabilities),
        likely=sum(each >= LIKELY for each in probabilities), highest=max(probabilities, default=None),
        where=where, folder=str(folder), reason="; ".join(result.notes), seconds=steps.seconds,
        source=source, made_of=made_of,
    )  # fmt: skip
    write_record(folder / DONE, outcome)
    return outcome


def _folder_of(out: Path, scan: Scan, source: str) -> tuple[Path, Outcome | None]:
    """A scan's folder, numbered where another scan has its name; and what is finished in it."""
    name, number = _folder_name(scan), 1
    while True:
        folder = out / (name if number == 1 else f"{name}-{number}")
        finished = _read_outcome(folder)
        if finished is None or finished.source == source:
            return folder, finished
        number += 1


def _folder_name(scan: Scan) -> str:
    """The scan's name without what a path gives a meaning to."""
    name = re.sub(r"[^\w.,+@()' -]", "_", scan.name).strip(". ")
    return f"scan {name}".strip() if name.lower() in ("", SUMMARY, SCHEMA) else name


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ALWAYS_WRITTEN)


def _read_outcome(folder: Path) -> Outcome | None:
    try:
        return read_record(folder / DONE, Outcome)
    except (UserError, OSError):
        return None


def _without_result(scan: Scan, where: str, status: Literal["failed", "skipped"], reason: str) -> Outcome:
    return Outcome(scan=scan.name, status=status, where=where, reason=reason)


def _reason(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, UserError):
        return " ".join("; ".join([str(error.args[0]), *error.problems]).split())
    return " ".join(f"{type(error).__name__}: {error}".split())


def _settings_key(settings: Settings) -> list[str | float]:
    given = settings.candidates
    table = "" if given is None else file_checksum(given.path)
    return [table, settings.proposals, settings.least, settings.most]


def _write_summary(out: Path, outcomes: Sequence[Outcome]) -> None:
    """Write summary.csv: this run's scans, then those that earlier runs finished in this folder."""
    here = {Path(each.folder).name for each in outcomes if each.folder}
    earlier = [
        finished.model_copy(update={"folder": str(path.parent)})
        for path in sorted(out.glob(f"*/{DONE}"))
        if path.parent.name not in here and (finished := _read_outcome(path.parent))
    ]
    rows = [
        each.model_dump(exclude={"seconds", "source", "made_of"})
        | {"seconds": round(sum(each.seconds.values()), 1)}
        for each in [*outcomes, *earlier]
    ]
    table = pd.DataFrame(rows)
    write_csv(
        out / SUMMARY, table.assign(**{name: table[name].astype("Int64") for name in ("findings", "likely")})
    )

"""Many scans one after the other: what is finished stays, and one that fails does not stop the others."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from luna.base.digests import digest, file_checksum
from luna.base.errors import UserError
from luna.base.files import as_user_error, read_record, write_csv, write_json, write_record
from luna.base.progress import progress
from luna.scans.findings import Record
from luna.scans.outputs import ScanFindings
from luna.scans.scan import Panel, Settings, judge_scan
from luna.scans.sources import Scan, find_scans
from luna.scans.steps import Steps

log = logging.getLogger(__name__)

SUMMARY, SCHEMA, DONE = "summary.csv", "findings.schema.json", "done.json"


class Outcome(Record):
    """What became of a scan: a row of summary.csv, and a finished scan's done.json.

    above_half: findings with a probability of 0.5 or more. highest: the first finding's probability.
    seconds: of each step. key: digest of all that its files were made from.
    """

    scan: str
    status: Literal["done", "failed", "skipped"]
    findings: int | None = None
    above_half: int | None = None
    highest: float | None = None
    where: str
    folder: str = ""
    reason: str = ""
    seconds: dict[str, float] = Field(default_factory=dict)
    key: str = ""


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


def judge_scans(batch: Batch, panel: Panel) -> list[Outcome]:
    """Judge all scans; write each one's files to a folder of its own, and summary.csv over all.

    Raises UserError where a path is no scan, or where there is none at all.
    """
    try:
        batch.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_user_error(error, batch.out) from error
    with tempfile.TemporaryDirectory(dir=batch.out, prefix=".unpacked-") as unpacked:
        scans, left_out = find_scans(batch.paths, Path(unpacked), batch.derived, batch.out)
        reasons = [f"{where}: {reason}" for where, reason in left_out]
        if not scans:
            raise UserError("there is no scan to judge", reasons)
        _check_folders(batch, scans)
        outcomes = list(_outcomes(batch, panel, scans))
    outcomes += [Outcome(scan="", status="skipped", where=where, reason=reason) for where, reason in left_out]
    write_json(batch.out / SCHEMA, ScanFindings.model_json_schema())
    write_csv(batch.out / SUMMARY, _table(outcomes))
    return outcomes


def _check_folders(batch: Batch, scans: Sequence[Scan]) -> None:
    """Raise UserError where results would be written among a scan's own files."""
    problems = [
        f"{scan.where}: {batch.out / scan.name} is where it lies"
        for scan in scans
        if any(file.resolve().is_relative_to((batch.out / scan.name).resolve()) for file in scan.files)
    ]
    if problems:
        raise UserError("the results cannot be written beside the scans; name another folder", problems)


def _outcomes(batch: Batch, panel: Panel, scans: Sequence[Scan]) -> Iterator[Outcome]:
    for scan in progress(scans, "scans", len(scans)):
        folder = batch.out / scan.name
        key = digest([batch.made_of, _settings_key(batch.settings), [file_checksum(f) for f in scan.files]])
        finished = _finished(folder, key)
        if finished is not None:
            log.info("%s: done before", scan.name)
            yield finished
            continue
        (folder / DONE).unlink(missing_ok=True)
        outcome = _judge(scan, batch.settings, panel, folder, key)
        if outcome.status == "done":
            write_record(folder / DONE, outcome)
        yield outcome


def _judge(scan: Scan, settings: Settings, panel: Panel, folder: Path, key: str) -> Outcome:
    """Judge a scan. Whatever is wrong with it becomes the outcome's reason."""
    steps = Steps(scan.name)
    try:
        result = judge_scan(scan, settings, panel, folder, steps)
    except UserError as error:
        log.error("%s: failed: %s", scan.name, error)
        return Outcome(scan=scan.name, status="failed", where=str(scan.where), reason=_one_line(error))
    return _outcome(scan, result, folder, steps, key)


def _outcome(scan: Scan, result: ScanFindings, folder: Path, steps: Steps, key: str) -> Outcome:
    probabilities = [each.probability for each in result.findings]
    return Outcome(
        scan=scan.name, status="done", findings=len(probabilities),
        above_half=sum(each >= 0.5 for each in probabilities), highest=max(probabilities, default=None),
        where=str(scan.where), folder=str(folder), reason="; ".join(result.notes), seconds=steps.seconds,
        key=key,
    )  # fmt: skip


def _settings_key(settings: Settings) -> list[str | float]:
    given = settings.candidates
    table = "" if given is None else file_checksum(given.path)
    return [table, settings.proposals, settings.least, settings.most]


def _finished(folder: Path, key: str) -> Outcome | None:
    try:
        outcome = read_record(folder / DONE, Outcome)
    except UserError:
        return None
    return outcome if outcome.key == key else None


def _one_line(error: UserError) -> str:
    return "; ".join(" ".join(str(error).split("\n  - ")).split("\n"))


def _table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    rows = [
        each.model_dump(exclude={"seconds", "key"}) | {"seconds": round(sum(each.seconds.values()), 1)}
        for each in outcomes
    ]
    table = pd.DataFrame(rows)
    whole = ["findings", "above_half"]
    return table.assign(**{name: table[name].astype("Int64") for name in whole})

"""Results of a training and its test, sent to an MLflow server.

The server gets copies: whether it answers or not, the workflow's own files are complete, and what was not
sent is sent when the workflow is started again.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from luna.base.digests import digest
from luna.base.errors import UserError
from luna.base.files import Record, read_record, write_record
from luna.config.section import plain_values_of
from luna.config.tracking import TrackingSettings
from luna.data.tables import read_stage_table
from luna.deploy.card import write_card
from luna.model.file import ModelFile
from luna.scoring.metrics import NAMES
from luna.scoring.records import Evaluation

_ENVIRONMENT = {
    # Without retries: an attempt at each start of the workflow is enough, and by default one takes minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_ID = "luna.id"
"""The tag by which a run is found again that was sent before."""
_EXISTS = "RESOURCE_ALREADY_EXISTS"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedFiles:
    """The files of a run and fold, and of the data, that are sent or read."""

    model: Path
    history: Path
    validation: Path
    predictions: Path
    evaluation: Path
    verification: Path


class Tracked(Record):
    """What became of a run: tracked.json. why_not: why it was not sent. mlflow_run: its id on the server.

    attempt: what told the rule to try, so that it need not try again.
    """

    version: Literal[1] = 1
    mlflow: str
    experiment: str
    sent: bool
    mlflow_run: str | None
    why_not: str | None
    attempt: str


def track(files: TrackedFiles, settings: TrackingSettings, out: Path, attempt: str = "") -> None:
    """Send the results, and write what became of it to `out`. attempt: kept there.

    A server that cannot be reached, or refuses, is only reported. Raises UserError where a file is missing or
    the package for MLflow is not installed.
    """
    if missing := [str(path) for path in vars(files).values() if not path.is_file()]:
        raise UserError("not all results are there to be sent", [f"{path}: no such file" for path in missing])
    trained, evaluation = ModelFile.load(files.model), read_record(files.evaluation, Evaluation)
    client = _client(settings.mlflow)
    run, why_not = None, None
    try:
        run = _send(client, files, settings, trained, evaluation)
    except UserError:
        raise  # of a file that is damaged
    except Exception as error:
        # MLflow raises its own errors, those of requests and, for a strange answer, almost any other.
        text = str(error) or "no reason given"
        why_not = f"{type(error).__name__}: {text.splitlines()[0]}"
        log.warning(
            "%s fold %d was not sent to %s (%s); its files are complete, and the next start of the workflow"
            " sends it",
            trained.run, trained.fold, settings.mlflow, why_not,
        )  # fmt: skip
    record = Tracked(
        mlflow=settings.mlflow, experiment=settings.experiment, sent=run is not None,
        mlflow_run=run, why_not=why_not, attempt=attempt,
    )  # fmt: skip
    write_record(out, record)


def _client(uri: str) -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed, which tracking.mlflow needs;"
            " pip install -r envs/requirements-tracking.txt"
        ) from error
    return MlflowClient(tracking_uri=uri)


def _send(
    client: Any, files: TrackedFiles, settings: TrackingSettings, trained: ModelFile, evaluation: Evaluation
) -> str:
    """Send everything; the run's id on the server. A run that was sent before is completed, not doubled."""
    experiment = _experiment(client, settings.experiment)
    results = evaluation.model_dump(mode="json")
    identity = digest([trained.run, trained.fold, trained.key.model_dump(), results])
    sent_before = client.search_runs([experiment], f"tags.`{_ID}` = '{identity}'")
    if sent_before:
        info = sent_before[0].info
    else:
        trained_at = int(files.history.stat().st_mtime * 1000)
        tags, name = _tags(trained, evaluation) | {_ID: identity}, f"{trained.run}-fold{trained.fold}"
        info = client.create_run(experiment, start_time=trained_at, tags=tags, run_name=name).info
    # A second attempt has the time of the first, or the server would keep every value twice.
    run, time = str(info.run_id), info.start_time
    client.log_batch(run, params=list(_params(trained)))
    history = read_stage_table(files.history, ["epoch", "split", *NAMES])
    client.log_batch(run, metrics=[*_of_epochs(history, time), *_of_test(evaluation, time)])
    for path in (files.history, files.validation, files.predictions, files.evaluation, files.model):
        client.log_artifact(run, str(path))
    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder) / "model_card.md"
        write_card(files.model, files.evaluation, files.verification, card)
        client.log_artifact(run, str(card))
    tested_at = int(files.evaluation.stat().st_mtime * 1000)
    client.set_terminated(run, "FINISHED", end_time=max(time, tested_at))
    return run


def _experiment(client: Any, name: str) -> str:
    """The id of the experiment, made where it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != _EXISTS:
                raise
            found = client.get_experiment_by_name(name)  # another job made it meanwhile
    if found.lifecycle_stage != "active":
        raise ValueError(f"experiment {name} was deleted on the server; restore it, or name another")
    return str(found.experiment_id)


def _tags(trained: ModelFile, evaluation: Evaluation) -> dict[str, str]:
    digests = {f"digest.{name}": getattr(trained.key, name) for name in ("code", "data", "recipe", "weights")}
    about = {
        "luna.run": trained.run, "luna.fold": str(trained.fold), "luna.device": evaluation.device,
        "luna.torch": trained.key.torch, "luna.leaks": str(evaluation.leaks).lower(),
    }  # fmt: skip
    return {name: value for name, value in (digests | about).items() if value}


def _params(trained: ModelFile) -> Iterator[Any]:
    from mlflow.entities import Param

    values = plain_values_of(trained.recipe) | {"fold": trained.fold, "seed": trained.seed}
    values |= {f"split.{name}": value for name, value in plain_values_of(trained.split).items()}
    for name, value in values.items():
        yield Param(name, str(value))


def _of_epochs(history: pd.DataFrame, time: int) -> Iterator[Any]:
    """The metrics of every epoch, as trn/loss/all and so on; the step is the epoch."""
    from mlflow.entities import Metric

    for row in history.to_dict("records"):
        for name in NAMES:
            if pd.notna(row[name]):
                yield Metric(f"{row['split']}/{name}", float(row[name]), time, int(row["epoch"]))


def _of_test(evaluation: Evaluation, time: int) -> Iterator[Any]:
    """The figures of the test, as tst/cpm and so on, at the epoch that was kept."""
    from mlflow.entities import Metric

    values = {name: evaluation.metrics[name] for name in NAMES}
    values |= {"cpm": evaluation.froc.cpm}
    values |= {f"sensitivity_at_{rate}": value for rate, value in evaluation.froc.sensitivity.items()}
    for kind, each in evaluation.reliability.items():
        values |= {f"{kind}_brier": each.brier, f"{kind}_calibration_error": each.calibration_error}
    for name, value in values.items():
        if value is not None:
            yield Metric(f"tst/{name}", float(value), time, evaluation.epoch)

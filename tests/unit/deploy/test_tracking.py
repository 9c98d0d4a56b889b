"""Results sent to a real MLflow server, and to one that does not answer."""

import json
import shutil
import time
from pathlib import Path

import evaluate
import pandas as pd
import pytest
import track
from mlflow.tracking import MlflowClient

from conftest import Prepared, evaluation_outputs
from luna.base.errors import UserError
from luna.base.files import read_record, write_record
from luna.data.records import CandidateCount, NoduleCount, SeriesCount, Verification
from luna.model.file import ModelFile
from luna.scoring.metrics import NAMES
from luna.scoring.records import Evaluation
from mlflow_server import free_port, mlflow_server


@pytest.fixture(scope="module")
def tested(prepared: Prepared, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a test of the model leaves, and a report of the verification."""
    folder = tmp_path_factory.mktemp("tested")
    evaluate.main(
        [*prepared.options(), "--device=cpu", "--model", str(model), "--bootstrap=10",
         "--annotations", str(prepared.annotations), *evaluation_outputs(folder)]
    )  # fmt: skip
    verification = Verification(
        series=SeriesCount(found=3, usable=2), subsets={}, nodules=NoduleCount(listed=9, usable=8),
        candidates=CandidateCount(listed=9, usable=9, positive=1), problems=[], warnings=[], notes=[],
    )  # fmt: skip
    write_record(folder / "verification.json", verification)
    return folder


def send(model: Path, tested: Path, out: Path, address: str) -> dict:
    """Run the program; what it wrote."""
    track.main(
        ["--model", str(model), "--history", str(model.with_name("history.csv")),
         "--validation", str(model.with_name("validation.csv")),
         "--predictions", f"{tested}/predictions.csv", "--evaluation", f"{tested}/evaluation.json",
         "--verification", f"{tested}/verification.json", "--out", str(out),
         f"--tracking.mlflow={address}", "--tracking.experiment=lung nodules"]
    )  # fmt: skip
    written: dict = json.loads(out.read_text())
    return written


def test_a_server_gets_everything_once(model: Path, tested: Path, tmp_path: Path) -> None:
    """Down at first, which fails nothing; then there; then asked again, which doubles nothing."""
    port = free_port()
    start = time.monotonic()
    missed = send(model, tested, tmp_path / "tracked.json", f"http://127.0.0.1:{port}")
    assert time.monotonic() - start < 60
    assert missed["sent"] is False
    assert "refused" in missed["why_not"]
    with mlflow_server(tmp_path / "server", port) as address:
        for _ in range(2):
            found = send(model, tested, tmp_path / "tracked.json", address)
            assert found["sent"] is True
        client = MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name("lung nodules")
        (run,) = client.search_runs([experiment.experiment_id])
        assert run.info.run_id == found["mlflow_run"]
        assert run.info.status == "FINISHED"
        trained, evaluation = ModelFile.load(model), read_record(tested / "evaluation.json", Evaluation)
        assert run.data.params["learning_rate"] == str(trained.recipe.learning_rate)
        assert run.data.params["model.channels"] == "2 4"
        assert run.data.tags["digest.code"] == trained.key.code
        assert run.data.tags["digest.data"] == trained.key.data
        assert run.data.metrics["tst/cpm"] == pytest.approx(evaluation.froc.cpm)
        assert run.data.metrics["tst/auc"] == pytest.approx(evaluation.metrics["auc"])
        history = pd.read_csv(model.with_name("history.csv"))
        for name in NAMES:
            rows = history[(history["split"] == "val") & history[name].notna()]
            kept = [
                (each.step, each.value) for each in client.get_metric_history(run.info.run_id, f"val/{name}")
            ]
            assert kept == list(zip(rows["epoch"], rows[name], strict=True))
        files = {each.path for each in client.list_artifacts(run.info.run_id)}
        assert files == {
            "model.pt", "history.csv", "validation.csv", "predictions.csv", "evaluation.json",
            "model_card.md",
        }  # fmt: skip
        copy = Path(client.download_artifacts(run.info.run_id, "model.pt", str(tmp_path)))
        assert copy.read_bytes() == model.read_bytes()


def test_a_missing_file_is_no_fault_of_the_server(model: Path, tested: Path, tmp_path: Path) -> None:
    shutil.copytree(model.parent, tmp_path / "run")
    (tmp_path / "run" / "history.csv").unlink()
    with pytest.raises(UserError, match=r"history.csv: no such file"):
        send(tmp_path / "run" / model.name, tested, tmp_path / "tracked.json", "http://127.0.0.1:9")


def test_an_address_with_a_password_is_refused(model: Path, tested: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tracking.mlflow"):
        send(model, tested, tmp_path / "tracked.json", "http://me:secret@127.0.0.1:9")

"""A report from the programs."""

from pathlib import Path

import evaluate
import explain
import metrics
import pytest
import train

import report
from conftest import SMALL_CROP, Prepared, evaluation_outputs, prepare, training_outputs
from luna.base.files import write_record
from luna.data.records import CandidateCount, NoduleCount, SeriesCount, Verification


def chain(data: Prepared, epochs: int, runs: tuple[str, ...] = ("a", "b")) -> Path:
    """Train, evaluate, summarise and report by the programs; the results folder."""
    results, truth = data.folder, ["--annotations", str(data.annotations)]
    folders = [results / "runs" / run / "fold0" for run in runs]
    options = [*data.options(), "--device=cpu"]
    for number, (run, folder) in enumerate(zip(runs, folders, strict=True)):
        recipe = ["--model.channels", "2", "4", f"--epochs={epochs}"]
        train.main([*options, f"--run={run}", f"--seed={number}", *recipe, *training_outputs(folder)])
        evaluate.main(
            [*options, "--model", f"{folder}/model.pt", *truth, "--bootstrap=50", *evaluation_outputs(folder)]
        )
        explain.main(
            [*options, "--model", f"{folder}/model.pt", "--predictions", f"{folder}/predictions.csv",
             "--saliency", f"{folder}/saliency.npz"]
        )  # fmt: skip
    inputs = ["--folders", *map(str, folders), *truth]
    metrics.main(
        [*inputs, "--bootstrap=50", "--metrics", f"{results}/metrics.csv",
         "--summary", f"{results}/summary.csv", "--record", f"{results}/summary.json"]
    )  # fmt: skip
    write_record(results / "verification.json", VERIFICATION)
    report.main(
        ["--folders", *map(str, folders), *data.options(),
         "--verification", f"{results}/verification.json",
         "--listing", f"{results}/candidates.json", "--metrics", f"{results}/metrics.csv", "--summary",
         f"{results}/summary.json", "--benchmarks", f"{results}/benchmarks/train.tsv",
         "--out", f"{results}/report.html"]
    )  # fmt: skip
    return results


VERIFICATION = Verification(
    series=SeriesCount(found=10, usable=10), subsets={}, nodules=NoduleCount(listed=1, usable=1),
    candidates=CandidateCount(listed=1, usable=1, positive=1), problems=[], warnings=[], notes=[],
)  # fmt: skip


@pytest.fixture(scope="session")
def report_page(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two runs; do not change it."""
    return chain(prepare(phantom, tmp_path_factory.mktemp("page"), SMALL_CROP), 2) / "report.html"

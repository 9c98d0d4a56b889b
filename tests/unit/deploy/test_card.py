"""The export program: the model card holds what the run's files say."""

import json
from pathlib import Path

import evaluate
import export
import onnx

from conftest import Prepared, evaluation_outputs
from luna.base.files import read_record, write_record
from luna.data.records import CandidateCount, NoduleCount, SeriesCount, Verification
from luna.model.file import ModelFile
from luna.scoring.records import Evaluation
from unit.deploy.conftest import export_options, write_model


def test_card(prepared: Prepared, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.pt", (16, 16, 16))
    verification = Verification(
        series=SeriesCount(found=3, usable=2), subsets={}, nodules=NoduleCount(listed=9, usable=8),
        candidates=CandidateCount(listed=9, usable=9, positive=1), problems=[], warnings=[], notes=[],
    )  # fmt: skip
    write_record(tmp_path / "verification.json", verification)
    evaluate.main(
        [*prepared.options(), "--model", str(model), "--annotations", str(prepared.annotations),
         "--bootstrap=10", *evaluation_outputs(tmp_path)]
    )  # fmt: skip
    evaluation = read_record(tmp_path / "evaluation.json", Evaluation)
    evaluation.metrics["average_precision"] = None
    write_record(tmp_path / "evaluation.json", evaluation)
    export.main(export_options(prepared, model))
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    froc = evaluation.froc
    for words in (
        "# Model card: mine, fold 0", "It is no medical device",
        f"| CPM | {froc.cpm:.4g} | {froc.cpm_lower:.4g} to",
        "| average precision | not defined |", "2 of 3 series were usable",
        f"{froc.nodules} nodules in {len(evaluation.series_uids)} series", '"epochs": 3',
    ):  # fmt: skip
        assert words in text
    metadata = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(metadata["key"]) == ModelFile.load(model).key.model_dump()

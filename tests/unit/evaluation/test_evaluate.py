"""The evaluation program: mirror images, and a model that does not fit the crops."""

from pathlib import Path

import evaluate
import pytest

from conftest import Prepared, evaluation_outputs
from luna.base.errors import UserError


def test_evaluation_with_flips_chooses_its_own_threshold(
    prepared: Prepared, model: Path, tmp_path: Path
) -> None:
    options = [*prepared.options(), "--model", str(model), "--annotations", str(prepared.annotations)]
    for name, flips in (("plain", []), ("flips", ["--flips"])):
        evaluate.main([*options, *evaluation_outputs(tmp_path / name), "--bootstrap", "10", *flips])
    written = [(tmp_path / name / "predictions.csv").read_text() for name in ("plain", "flips")]
    assert written[0] != written[1]


def test_a_model_for_other_crops_is_refused(prepared: Prepared, model: Path, tmp_path: Path) -> None:
    options = [*prepared.options(), "--model", str(model), "--annotations", str(prepared.annotations)]
    other = ["--cache.crop", "16", "16", "12", "--cache.source=none"]
    with pytest.raises(
        UserError, match=r"crops of \[16, 16, 16\] voxels are wanted, those of the cache have \[16, 16, 12\]"
    ):
        evaluate.main([*options, *evaluation_outputs(tmp_path), *other])


@pytest.mark.parametrize("option", ["annotations", "excluded"])
def test_a_table_that_is_not_there_is_named(
    prepared: Prepared, model: Path, tmp_path: Path, option: str
) -> None:
    options = [*prepared.options(), "--model", str(model), "--annotations", str(prepared.annotations)]
    with pytest.raises(UserError, match=r"typo.csv: no such file"):
        evaluate.main([*options, *evaluation_outputs(tmp_path), f"--{option}", f"{tmp_path}/typo.csv"])
    assert not (tmp_path / "evaluation.json").exists()

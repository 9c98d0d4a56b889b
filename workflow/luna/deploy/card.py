"""A model card written from the run's own files."""

import json
from pathlib import Path

import pandas as pd

from luna.base.files import read_record, write_text
from luna.data.records import Verification
from luna.model.file import ModelFile
from luna.pages.render import render
from luna.scoring.records import Evaluation


def write_card(model_path: Path, evaluation_path: Path, verification_path: Path, out: Path) -> None:
    """Write a model card in Markdown: data, recipe, metrics and limits, all from the run's files."""
    trained = ModelFile.load(model_path)
    values = {
        "model": trained,
        "recipe": json.dumps(trained.recipe.model_dump(mode="json"), indent=1),
        "evaluation": read_record(evaluation_path, Evaluation),
        "verification": read_record(verification_path, Verification),
        "parameters": sum(weights.numel() for weights in trained.weights.values()),
    }
    write_text(out, render("card.md.j2", values, {"figure": _figure}))


def _figure(value: float | None) -> str:
    return "not defined" if value is None or pd.isna(value) else f"{value:.4g}"

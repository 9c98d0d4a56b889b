"""A user's mistake is told in a line, by every program: wrong files, other files, folders in their place."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import Prepared
from luna.base.errors import UserError
from luna.model.file import load_tensors


@pytest.fixture
def places(prepared: Prepared, model: Path, tmp_path: Path) -> dict[str, Any]:
    """Files that are right, and some that are not."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("neither a table nor a model\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    content = load_tensors(model)
    torch.save({**content, "weights": {"other": torch.zeros(3)}}, tmp_path / "other_weights.pt")
    torch.save({key: content[key] for key in ("format", "weights", "crop")}, tmp_path / "incomplete.pt")
    weights = {name: value * float("nan") for name, value in content["weights"].items()}
    torch.save({**content, "weights": weights}, tmp_path / "nan.pt")
    torch.save({**content, "crop": "abc"}, tmp_path / "crop.pt")
    torch.save({**content, "threshold": "x"}, tmp_path / "threshold.pt")
    torch.save(5, tmp_path / "number.pt")
    torch.save({"weights": {"head_linear.bias": "x"}}, tmp_path / "word.pt")
    return {
        "root": prepared.root, "made": prepared.folder, "tmp": tmp_path, "model": model,
        "ct": prepared.series["path"][0], "data": " ".join(prepared.options()),
    }  # fmt: skip


EVALUATE = "--annotations {root}/annotations.csv --predictions {tmp}/p.csv --evaluation {tmp}/e.json {data}"
CANDIDATES = "--annotations {root}/annotations.csv --candidates {root}/candidates.csv --report {tmp}/r.json"
CACHE = "--subset 0 --folder {tmp}/c --manifest {tmp}/m.json"
SCORE = "--annotations {root}/annotations.csv --seriesuids {tmp}/text.txt"

MISTAKES = [
    ("evaluate", "--model {tmp}/text.txt " + EVALUATE, "text.txt: not a model file"),
    ("evaluate", "--model {tmp}/none.pt " + EVALUATE, "none.pt: no such file"),
    ("evaluate", "--model {tmp}/folder " + EVALUATE, "folder: not a model file"),
    ("evaluate", "--model {tmp}/incomplete.pt " + EVALUATE, "not a model file of this version"),
    ("evaluate", "--model {tmp}/other_weights.pt " + EVALUATE, "holds other weights than its network has"),
    ("evaluate", "--model {model} " + EVALUATE.replace("{tmp}/p.csv", "{tmp}/folder"), "folder: is a folder"),
    ("evaluate", "--model {model} " + EVALUATE + " --series {root}/annotations.csv",
     "annotations.csv: is another table: it has no column subset, path, status, checksum"),
    ("candidates", "--series {root}/annotations.csv --out {tmp}/o " + CANDIDATES, "is another table"),
    ("candidates", "--series {tmp}/binary --out {tmp}/o " + CANDIDATES, "binary: "),
    ("candidates", "--series {made}/series.csv --out {tmp}/folder " + CANDIDATES, "folder: "),
    ("cache_subset", "--root {root} --series {made}/candidates.csv --candidates {made}/candidates.csv "
     + CACHE,
     "is another table"),
    ("cache_subset", "--root {root} --series {made}/series.csv --candidates {made}/series.csv "
     + CACHE,
     "is another table"),
    ("metrics", "--folders {tmp}/folder --annotations {root}/annotations.csv --metrics {tmp}/m --summary"
     " {tmp}/s --record {tmp}/r", "evaluation.json: no such file"),
    ("score_submission", "--submission {tmp}/binary --out {tmp}/o " + SCORE, "binary: "),
    ("score_submission", "--submission {tmp}/folder --out {tmp}/o " + SCORE, "folder: "),
    ("predict", "{tmp}/folder --model {model} --out {tmp}/o", "there is no scan to judge"),
    ("predict", "{tmp}/binary --model {model} --out {tmp}/o", "1 file: not a DICOM file"),
    ("predict", "{tmp}/text.txt --model {model} --out {tmp}/o", "text.txt: not a scan; scans are .mhd"),
    ("predict", "{ct} {tmp}/none --model {model} --out {tmp}/o", "none: no such file or folder"),
    ("predict", "{ct} --model {tmp}/none --out {tmp}/o", "none: no such file"),
    ("predict", "{ct} --model {tmp}/other_weights.pt --out {tmp}/o", "other weights"),
    ("predict", "{ct} --model {tmp}/nan.pt --out {tmp}/o", "nan.pt: some of its weights are no finite"),
    ("predict", "{ct} --model {tmp}/crop.pt --out {tmp}/o", "crop.pt: not a model file of this version"),
    ("predict", "{ct} --model {tmp}/threshold.pt --out {tmp}/o", "threshold.pt: not a model file"),
    ("predict", "{ct} --model {model} --out {ct}", "{ct}: File exists"),
    ("predict", "{ct} --model {model} --out {tmp}/binary/o", "binary/o: Not a directory"),
    ("predict", "{ct} --model {model} --candidates {tmp}/binary --out {tmp}/o", "binary: "),
    ("predict", "{ct} --model {model} --candidates {tmp}/text.txt --out {tmp}/o", "column seriesuid"),
    ("train", "--init-weights {tmp}/number.pt --epochs 0 --model {tmp}/m.pt --history {tmp}/h.csv --state"
     " {tmp}/state {data}", "number.pt: holds no weights"),
    ("train", "--init-weights {tmp}/word.pt --epochs 0 --model {tmp}/m.pt --history {tmp}/h.csv --state"
     " {tmp}/state {data}", "word.pt: holds no weights"),
    ("train", "--init-weights {tmp}/text.txt --epochs 0 --model {tmp}/m.pt --history {tmp}/h.csv --state"
     " {tmp}/state {data}", "text.txt: no readable weights"),
    ("train", "--epochs 0 --model {tmp}/folder --history {tmp}/h.csv --state {tmp}/state {data}", "folder"),
    ("verify", "--subsets {tmp}/text.txt --series {tmp}/s --placed {tmp}/c --report {tmp}/r --problems"
     " {tmp}/p --annotations {root}/annotations.csv --candidates {root}/candidates.csv",
     "text.txt: is another table"),
    ("verify_voxels", "--subsets {tmp}/text.txt --cached {tmp}/text.txt --series {tmp}/s --report {tmp}/r"
     " --problems {tmp}/p --annotations {root}/annotations.csv --candidates {root}/candidates.csv",
     "text.txt: cannot be read; remove it"),
    ("shrink_model", "{tmp}/none {tmp}/o", "none: no such file"),
    ("shrink_model", "{tmp}/nan.pt {tmp}/o", "nan.pt: some of its weights are no finite"),
    ("shrink_model", "{model} {tmp}/folder", "folder: is a folder"),
    ("fetch", "--address s3://nowhere/x --out {tmp}/o", "cannot be listed"),
    ("verify_subset", "--root {tmp}/none --subset 0 --out {tmp}/o.csv", "no such folder"),
    ("phantom", "--out {tmp}/text.txt --seed 0 --series 1 --size 64 --slices 16", "text.txt"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "arguments", "words"), MISTAKES)
def test_mistakes_are_told_in_words(places: dict[str, Any], program: str, arguments: str, words: str) -> None:
    filled = [word.format(**places) for word in arguments.split()]
    # The options that say where the data are stand for several words.
    split = [part for word in filled for part in word.split(" ")]
    with pytest.raises(UserError, match=re.escape(words.format(**places))):
        importlib.import_module(program).main(split)

"""Hostile input: whatever the bytes, a reader gives a result or a clear message, and writes nowhere else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import SMALL_CROP, Prepared
from luna.base.errors import UserError
from luna.batches.loaders import explain_dead_workers
from luna.config.tree import read_config
from luna.crops.cache import CropCache
from luna.crops.file import CropFile, crop_file
from luna.data.tables import read_annotations, read_candidates
from luna.data.verify import verify_series
from luna.imaging.ct import read_ct, read_header
from luna.model.file import ModelFile
from luna.scoring.submissions import read_submission
from luna.training.checkpoints import Checkpoints

fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = ["NDims", "DimSize", "ElementSpacing", "Offset", "TransformMatrix", "ElementType", "ElementDataFile",
        "CompressedData", "HeaderSize", "CompressedDataSize", "BinaryDataByteOrderMSB"]  # fmt: skip
WORDS = [
    "3", "-1 4 4", "4 4 4", "nan 1 1", "1e400 1 1", "MET_SHORT", "MET_FLOAT", "../../etc/passwd", "/etc/x",
    "a.raw", "LIST", "True", "99999999999999999999 1 1", "0 0 0", "1 0 0 0 1 0 0 0 1",
]  # fmt: skip
VALUES = st.text(max_size=30) | st.sampled_from(WORDS)
GOOD = {
    "NDims": "3", "DimSize": "4 4 4", "ElementSpacing": "1 1 1", "ElementType": "MET_SHORT",
    "ElementDataFile": "a.raw",
}  # fmt: skip


@fuzz
@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_headers(tmp_path: Path, fields: dict[str, str]) -> None:
    path = tmp_path / "a.mhd"
    (tmp_path / "a.raw").write_bytes(bytes(2 * 64))
    path.write_text("\n".join(f"{key} = {value}" for key, value in (GOOD | fields).items()), encoding="utf-8")
    assert verify_series(path, 0).status in ("ok", "problem")
    try:
        header = read_header(path)
        assert header.storage is not None
        assert header.storage.file.parent == tmp_path
        if header.raw_bytes < 1e6:
            read_ct(path)
    except UserError as error:
        assert str(path) in str(error) or str(tmp_path) in str(error)


@fuzz
@given(st.binary(max_size=300))
def test_headers_of_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "b.mhd"
    path.write_bytes(content)
    assert verify_series(path, 0).status == "problem"


@fuzz
@given(
    st.one_of(
        st.binary(max_size=300), st.text(st.sampled_from('seriesuid,coordXYZ"\n\r 1.9-e\x00;'), max_size=200)
    )
)
def test_tables(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (read_annotations, lambda path: read_candidates([path])):
        table, problems = read(path)
        assert len(table) == 0 or not problems or all(problem.where == str(path) for problem in problems)
    with pytest.raises(UserError):
        read_submission(path)


@fuzz
@given(place=st.floats(0, 1), content=st.binary(min_size=1, max_size=40), cut=st.booleans())
def test_cache_files(prepared: Prepared, tmp_path: Path, place: float, content: bytes, cut: bool) -> None:
    """Overwritten anywhere, cut or not: noticed, unless the bytes are the same."""
    source = crop_file(prepared.crops, prepared.candidates["seriesuid"][0])
    whole = source.read_bytes()
    at = int(place * len(whole))
    changed = whole[:at] + content + (b"" if cut else whole[at + len(content) :])
    path = tmp_path / "c.crops"
    path.write_bytes(changed)
    if changed == whole:
        return
    out = np.empty(SMALL_CROP.block, dtype=np.int16)
    with pytest.raises(UserError, match="the crop cache"):
        file = CropFile(path)
        for k in range(len(file.centers)):
            file.read(k, out)


@fuzz
@given(place=st.floats(0, 1), content=st.binary(min_size=1, max_size=60))
def test_checkpoints_and_models(tmp_path: Path, place: float, content: bytes) -> None:
    """A state, the one it was, or none; never an error of torch's own, never code that is run."""
    good = tmp_path / "good.pt"
    torch.save({"keys": {"k": ""}, "state": {"epoch": 1, "w": torch.ones(3)}}, good)
    whole = good.read_bytes()
    at = int(place * len(whole))
    (tmp_path / "checkpoint.pt").write_bytes(whole[:at] + content + whole[at + len(content) :])
    loaded = Checkpoints(tmp_path, {"k": ""}).load()
    assert loaded is None or torch.equal(loaded["w"], torch.ones(3))
    (tmp_path / "model.pt").write_bytes(content + whole[at:])
    with pytest.raises(UserError):
        ModelFile.load(tmp_path / "model.pt")


NAMES = st.sampled_from(["runs", "data", "training", "cache", "seed", "folds", "epochs", "crop", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@fuzz
@given(st.dictionaries(NAMES, JSON))
def test_configs(config: dict[str, Any]) -> None:
    try:
        completed = read_config(config)
    except UserError as error:
        assert error.problems
    else:
        assert all(recipe.epochs >= 0 for recipe in completed.runs.values())


@pytest.mark.parametrize("uid", ["../../x", "/etc/x", "1.2/../../x", "", "1..2", "a", "1" * 65])
def test_no_uid_leads_out_of_the_folder(prepared: Prepared, tmp_path: Path, uid: str) -> None:
    series = prepared.series.iloc[:1].assign(seriesuid=uid)
    with pytest.raises(UserError, match="is not a valid DICOM uid"):
        CropCache(tmp_path / "a" / "b", SMALL_CROP).update(series, prepared.candidates)
    assert not list(tmp_path.rglob("*.crops"))


def test_no_shared_memory_says_what_to_change() -> None:
    with pytest.raises(UserError, match=r"training\.loader to threads"), explain_dead_workers():
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1>: No space left on device"
        )

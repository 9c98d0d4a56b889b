"""The program that times the loaders."""

import numpy as np
import pytest
import time_loader

from conftest import Prepared
from luna.batches.timing import bytes_in_memory, forget
from luna.crops.sources import CachedCrops


@pytest.fixture
def disk(prepared: Prepared) -> None:
    """Skips where files are on a file system in memory, which cannot forget them."""
    file = prepared.folder / "dropped"
    file.write_bytes(bytes(1_000_000))
    forget([file])
    if bytes_in_memory(file):
        pytest.skip("temporary files are kept in memory here")


@pytest.mark.usefixtures("disk")
def test_the_loader_timing_tool(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--loader", "threads", "workers", "--num-workers", "0", "1", "--batch-size", "16"]
    time_loader.main([*prepared.options(), *options])
    out = capsys.readouterr().out
    assert out.count("threads") >= 2
    assert "fastest: training: {loader: " in out
    rows = [line.split() for line in out.splitlines() if line.strip().startswith(("threads", "workers"))]
    assert [float(row[3].replace(",", "")) > 0 for row in rows] == [True] * 4, "all first passes were cold"


@pytest.mark.usefixtures("disk")
def test_files_that_are_not_in_memory(prepared: Prepared) -> None:
    """The system does not drop what is mapped."""
    crops = CachedCrops(prepared.candidates, prepared.crops, prepared.settings)
    files = sorted(prepared.crops.iterdir())
    block = np.empty(prepared.settings.block, dtype=np.int16)
    for row in range(len(prepared.candidates)):
        crops.read(row, block)
    assert not forget(files)
    assert sum(map(bytes_in_memory, files)) >= sum(file.stat().st_size for file in files) * 0.9
    del crops
    assert forget(files)
    assert sum(map(bytes_in_memory, files)) == 0

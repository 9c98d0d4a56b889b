"""The program that times the loaders."""

import pytest
import time_loader

from conftest import Prepared


def test_the_loader_timing_tool(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--loader", "threads", "workers", "--num-workers", "0", "1", "--batch-size", "16"]
    time_loader.main([*prepared.options(), *options])
    out = capsys.readouterr().out
    assert out.count("threads") >= 2
    assert "fastest: training: {loader: " in out

"""The device a program computes on."""

import pytest
import torch

from luna.base.errors import UserError
from luna.runtime.device import prepared_device


def test_more_processes_than_gpus_stop_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    words = r"2 processes .* torch sees 1 here \(CUDA_VISIBLE_DEVICES is 3\); lower gpus"
    with pytest.raises(UserError, match=words), prepared_device("auto", 1):
        pass

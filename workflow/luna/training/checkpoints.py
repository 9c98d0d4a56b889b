"""Checkpoints of a training: written atomically, the one before kept, keyed by what is trained."""

import logging
import time
from pathlib import Path
from typing import Any

import torch

from luna.base.files import atomic_path
from luna.model.file import DamagedFileError, load_tensors
from luna.model.key import TrainingKey

log = logging.getLogger(__name__)


class Checkpoints:
    """The newest checkpoint and the one before it, in the folder of one training.

    key: what the training depends on; a checkpoint of another key is not used. minutes: time after
    which another checkpoint is due.
    """

    def __init__(self, folder: Path, key: TrainingKey, minutes: float = 10) -> None:
        self.key = key
        self._newest = folder / "checkpoint.pt"
        self._previous = folder / "checkpoint-previous.pt"
        self._seconds, self._saved = 60 * minutes, time.monotonic()

    def is_due(self) -> bool:
        """Whether the last checkpoint, or the start, is long enough ago."""
        return time.monotonic() - self._saved > self._seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint; what was the newest becomes the previous one."""
        with atomic_path(self._newest) as temporary:
            torch.save({"key": self.key.model_dump(), "state": state}, temporary)
            if self._newest.exists():
                self._newest.replace(self._previous)
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state to resume from, or None with the reason logged. Never runs code from a file."""
        for path in (self._newest, self._previous):
            if not path.exists():
                continue
            try:
                loaded = load_tensors(path)
                key, state = TrainingKey.model_validate(loaded["key"]), dict(loaded["state"])
            except (DamagedFileError, KeyError, TypeError, ValueError):
                aside = path.with_suffix(".damaged")
                path.replace(aside)
                log.warning("%s is damaged; it was renamed to %s", path, aside.name)
                continue
            if key == self.key:
                return state
            changed = self.key.differences(key)
            log.info("%s: training starts from scratch, because this changed: %s", path, ", ".join(changed))
            return None
        return None

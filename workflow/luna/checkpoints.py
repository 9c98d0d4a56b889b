"""Checkpoints of a training: written atomically, the one before kept, keyed by what is trained."""

import logging
import zipfile
from pathlib import Path
from typing import Any

import torch

from luna.fileio import atomic_path

log = logging.getLogger(__name__)


class DamagedFileError(Exception):
    """A file of tensors that is damaged, or that holds more than tensors and plain values."""


def load_tensors(path: Path) -> Any:
    """What torch.save wrote, on the CPU. Never runs code from the file.

    Raises DamagedFileError, also for a single flipped bit, and FileNotFoundError.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # torch does not look at the checksums it writes.
                if (member := archive.testzip()) is not None:
                    raise DamagedFileError(f"{member} is damaged")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, DamagedFileError):
        raise
    except Exception as error:
        # Damaged bytes can make the reader raise anything.
        raise DamagedFileError(str(error).split("\n")[0]) from error


class Checkpoints:
    """The newest checkpoint and the one before it, in a folder of a training's own.

    key: digest of recipe, code and data. A checkpoint with another key is not used.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.key = key
        self._newest = folder / "checkpoint.pt"
        self._previous = folder / "checkpoint-previous.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint; what was the newest becomes the previous one."""
        with atomic_path(self._newest) as temporary:
            torch.save({"key": self.key, "state": state}, temporary)
            if self._newest.exists():
                self._newest.replace(self._previous)

    def load(self) -> dict[str, Any] | None:
        """The state to go on from, or None with the reason logged. Never runs code from a file."""
        for path in (self._newest, self._previous):
            if not path.exists():
                continue
            try:
                loaded = load_tensors(path)
                key, state = loaded["key"], loaded["state"]
            except (DamagedFileError, KeyError, TypeError):
                aside = path.with_suffix(".damaged")
                path.replace(aside)
                log.warning("%s is damaged; it is set aside as %s", path, aside.name)
                continue
            if key == self.key:
                return dict(state)
            log.info("%s is of another recipe, code or data; training starts afresh", path)
        return None

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

    keys: digests of what a training is made of, by what they are of (recipe, code, data, ...). A
    checkpoint of which any differs is not used.
    """

    def __init__(self, folder: Path, keys: dict[str, str]) -> None:
        self.keys = keys
        self._newest = folder / "checkpoint.pt"
        self._previous = folder / "checkpoint-previous.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint; what was the newest becomes the previous one."""
        with atomic_path(self._newest) as temporary:
            torch.save({"keys": self.keys, "state": state}, temporary)
            if self._newest.exists():
                self._newest.replace(self._previous)

    def load(self) -> dict[str, Any] | None:
        """The state to go on from, or None with the reason logged. Never runs code from a file."""
        for path in (self._newest, self._previous):
            if not path.exists():
                continue
            try:
                loaded = load_tensors(path)
                keys, state = dict(loaded["keys"]), dict(loaded["state"])
            except (DamagedFileError, KeyError, TypeError, ValueError):
                aside = path.with_suffix(".damaged")
                path.replace(aside)
                log.warning("%s is damaged; it is set aside as %s", path, aside.name)
                continue
            if keys == self.keys:
                return state
            changed = [name for name, key in self.keys.items() if keys.get(name) != key]
            log.info("%s: training starts afresh, because this changed: %s", path, ", ".join(changed))
            return None
        return None

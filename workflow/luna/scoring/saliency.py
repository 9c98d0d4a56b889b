"""saliency.npz: where in their crops a model looked, for the candidates that a reader looks at."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from luna.base.arrays import IntArray
from luna.base.errors import UserError
from luna.base.files import atomic_path


@dataclass(frozen=True)
class Saliency:
    """Maps of candidates.

    ids: of the candidates, (n,). maps: uint8 (n, index, row, column), half the size of the cache's crops
    along each axis, rounded up; 0 where nothing speaks for a nodule or the model does not see. agreement:
    rank correlation of maps with those of the same network with random weights, the mean of some
    candidates; a map that does not depend on the weights has 1. NaN where it is not known.
    """

    ids: IntArray
    maps: npt.NDArray[np.uint8]
    agreement: float

    @cached_property
    def _place(self) -> dict[int, int]:
        # Of a candidate that two folds tested, the first fold counts, as in the predictions.
        return {int(number): place for place, number in reversed(list(enumerate(self.ids)))}

    def has(self, number: int) -> bool:
        """Whether there is a map of this candidate."""
        return number in self._place

    def of(self, number: int) -> npt.NDArray[np.uint8]:
        """The map of a candidate, (index, row, column)."""
        return self.maps[self._place[number]]

    def save(self, path: Path) -> None:
        """Write the file, atomically."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, ids=self.ids, maps=self.maps, agreement=np.float64(self.agreement))

    @classmethod
    def load(cls, path: Path) -> "Saliency":
        """Read the file. Raises UserError where it is missing or damaged."""
        try:
            with np.load(path, allow_pickle=False) as content:
                return cls(content["ids"], content["maps"], float(content["agreement"]))
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file") from error
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, OSError) as error:
            raise UserError(f"{path}: damaged; remove it and run the workflow again") from error

    @classmethod
    def joined(cls, folds: Sequence["Saliency"]) -> "Saliency":
        """Those of a run's folds together."""
        known = [each.agreement for each in folds if np.isfinite(each.agreement)]
        return cls(
            np.concatenate([each.ids for each in folds]),
            np.concatenate([each.maps for each in folds]),
            float(np.mean(known)) if known else np.nan,
        )

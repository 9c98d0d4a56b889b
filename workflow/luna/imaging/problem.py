"""What is wrong with a CT, a table or a folder, as fields."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from luna.base.errors import UserError


class Problem(NamedTuple):
    """One thing wrong: its kind (a key of luna.data.problems.ADVICE), where, and what exactly."""

    kind: str
    where: str
    text: str

    @property
    def sentence(self) -> str:
        """Where, and what exactly."""
        return f"{self.where}: {self.text}"

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.text}"


class BadCtError(UserError):
    """A CT that cannot be used, and everything that is wrong with it."""

    def __init__(self, found: Sequence[Problem]) -> None:
        self.found = list(found)
        texts = [problem.sentence for problem in found]
        if len(texts) == 1:
            super().__init__(texts[0])
        else:
            super().__init__("the CT cannot be used", texts)


def bad_ct(path: Path, text: str, kind: str = "header") -> BadCtError:
    """The error for a CT with one thing wrong."""
    return BadCtError([Problem(kind, str(path), text)])

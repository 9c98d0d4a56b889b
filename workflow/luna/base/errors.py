"""The exception for a user's mistakes."""

from collections.abc import Sequence


class UserError(Exception):
    """A problem in the user's data, config or command line.

    The message names what is wrong and what to do. `problems` holds further lines, so that
    all problems are reported at once, not one per run.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join([str(self.args[0]), *(f"  - {problem}" for problem in self.problems)])

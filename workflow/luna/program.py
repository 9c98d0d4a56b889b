"""What all command-line programs share: the exception for a user's mistakes and how it is told."""

import argparse
import functools
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any


class UserError(Exception):
    """A problem in the user's data, config or command line.

    The message names what is wrong and what to do. `problems` holds further lines, so that
    everything wrong is told at once and not one thing a run.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join([str(self.args[0]), *(f"  - {problem}" for problem in self.problems)])


def command_line_program(main: Callable[..., None]) -> Callable[..., None]:
    """Decorate a program's `main(argv)`: set up logging, turn a UserError into exit code 1.

    Called from Python with a list of arguments the exception passes through, as a notebook
    expects; called as a program (argv None) it becomes a clear message on stderr.
    """

    @functools.wraps(main)
    def program(argv: Sequence[str] | None = None) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        if argv is not None:
            main(argv)
            return
        try:
            main(None)
        except UserError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted")

    return program


def json_object(text: str) -> dict[str, Any]:
    """The type of a command-line argument that is a JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error})") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value

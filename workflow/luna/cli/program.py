"""What every command-line program does: logging, and errors in plain words."""

import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence

from luna.base.errors import UserError
from luna.base.files import as_user_error

CHANGES_NO_RESULT = True


def command_line_program(main: Callable[..., None]) -> Callable[..., None]:
    """Decorate a program's `main(argv)`: set up logging, turn a UserError into exit code 1.

    A file that cannot be read or written becomes a UserError too.

    Called from Python with a list of arguments, the exception passes through, as a notebook
    expects; called as a program (argv None), it becomes a clear message on stderr.
    """

    def run(argv: Sequence[str] | None) -> None:
        try:
            main(argv)
        except OSError as error:
            if error.filename is None:
                raise
            raise as_user_error(error, error.filename) from error

    @functools.wraps(main)
    def program(argv: Sequence[str] | None = None) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        if argv is not None:
            run(argv)
            return
        try:
            run(None)
        except UserError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted")
        except BrokenPipeError:
            # Who reads the output, such as `head`, has seen enough. Python would complain once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)

    return program

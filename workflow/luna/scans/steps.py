"""The steps of a scan: shown while they last, and timed."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

CHANGES_NO_RESULT = True

log = logging.getLogger(__name__)


class Steps:
    """How many seconds each step took, by its name."""

    def __init__(self, scan: str) -> None:
        self.scan = scan
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a step and log that it begins."""
        log.info("%s: %s", self.scan, name)
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - start, 2)

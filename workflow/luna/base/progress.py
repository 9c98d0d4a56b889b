"""Loops that show how long they will take."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from tqdm import tqdm

CHANGES_NO_RESULT = True

log = logging.getLogger(__name__)
Item = TypeVar("Item")


def progress(iterable: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yield the items; show a bar on a terminal, sparse lines with an estimated end elsewhere.

    Without a label nothing is shown.
    """
    if not label:
        yield from iterable
    elif sys.stderr.isatty():
        yield from tqdm(iterable, desc=label, total=total, leave=False)
    else:
        yield from (item for _, item in enumerate_with_estimate(iterable, label, total))


def enumerate_with_estimate(
    iterable: Iterable[Item],
    label: str,
    total: int,
    start_at: int = 0,
    first_line: int = 4,
    backoff: int = 2,
) -> Iterator[tuple[int, Item]]:
    """Like `enumerate`, with log lines that estimate when the loop will end.

    Lines come after `first_line` items, then after `backoff` times as many, and so on: they grow
    exponentially rarer, so a long loop does not flood its log. The first `start_at` items are
    kept out of the estimate, because workers that are still starting would spoil it.
    """
    next_line = max(first_line, start_at + 1)
    start = time.monotonic()
    for index, item in enumerate(iterable):
        yield index, item
        if index + 1 == start_at:
            start = time.monotonic()
        if index + 1 == next_line and index + 1 < total:
            elapsed = time.monotonic() - start
            remaining = elapsed / (index + 1 - start_at) * (total - index - 1)
            end = datetime.now() + timedelta(seconds=remaining)
            log.info(
                "%s: %d of %d, done at %s (in %s)",
                label, index + 1, total, end.strftime("%H:%M:%S"), timedelta(seconds=round(remaining)),
            )  # fmt: skip
            next_line *= backoff

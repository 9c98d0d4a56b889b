"""What the machine offers, also where it is not Linux."""

import os
import resource

import pytest

from luna.runtime.cores import allow_many_files, usable_threads


def test_threads_are_at_most_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 6})
    assert [usable_threads(wanted) for wanted in (0, 2, 64)] == [1, 2, 3]
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_threads(64) == 5


@pytest.mark.parametrize(
    ("now", "most", "refused", "expected"),
    [(1024, 4096, 10**9, 4096), (256, resource.RLIM_INFINITY, -1, 10_240), (8192, 8192, 10**9, 8192)],
)
def test_more_files_where_the_system_lets(
    monkeypatch: pytest.MonkeyPatch, now: int, most: int, refused: int, expected: int
) -> None:
    """macOS refuses to set no limit at all."""
    limit = [now]

    def set_limit(_: int, limits: tuple[int, int]) -> None:
        if limits[0] == refused:
            raise ValueError("not allowed")
        limit[0] = limits[0]

    monkeypatch.setattr(resource, "getrlimit", lambda _: (now, most))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    allow_many_files()
    assert limit == [expected]

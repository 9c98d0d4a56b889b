"""The phantom: how fast its CTs and candidates are drawn."""

import time
from collections.abc import Iterator

from luna.config.phantom import PhantomSettings
from luna.phantom.dataset import draw_series
from measure import Row, in_a_process

SERIES = 20


def drawing(small: bool) -> Iterator[Row]:
    """CPU time to draw CTs, find their candidates and choose among them; a whole chest's memory."""
    (voxels, candidates, took), _, peak = in_a_process(_draw, PhantomSettings(), 2 if small else SERIES)
    yield Row(
        "draw parts of chests, with candidates",
        f"{voxels / took / 1e6:.1f} million voxels, {candidates / took:.0f} candidates a CPU second",
        f"{took:.2f} CPU s a CT, {peak:.0f} MB",
    )
    chest = PhantomSettings(view="chest", size=96 if small else 512, slices=40 if small else 250)
    (voxels, _, took), _, peak = in_a_process(_draw, chest, 1)
    speed = f"{voxels / took / 1e6:.1f} million voxels a CPU second"
    yield Row("draw a whole chest, with candidates", speed, f"{took:.0f} CPU s, {peak:.0f} MB")


def _draw(settings: PhantomSettings, count: int) -> tuple[float, float, float]:
    """Voxels, candidates and CPU seconds of a CT on average."""
    voxels = candidates = 0
    start = time.process_time()
    for number in range(count):
        series = draw_series(settings, 0, number)
        voxels, candidates = voxels + series.hu.size, candidates + len(series.classes)
    return voxels / count, candidates / count, (time.process_time() - start) / count

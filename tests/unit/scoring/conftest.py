"""Matches made without marks and nodules."""

import numpy as np

from luna.scoring.froc import Matches


def matches_of(found: list[float], false: list[float], missed: int = 0, scans: int = 8) -> Matches:
    """Matches on the first scans, one nodule or false positive a scan in turn."""
    return Matches(
        scans=scans,
        nodule_scores=np.array([*found, *[np.nan] * missed]),
        nodule_series=np.arange(len(found) + missed) % scans,
        nodule_diameters=np.full(len(found) + missed, 5.0),
        false_scores=np.array(false, dtype=float),
        false_series=np.arange(len(false)) % scans,
        marks_after_cap=len(found) + len(false),
        ignored_excluded=0,
        ignored_double=0,
    )

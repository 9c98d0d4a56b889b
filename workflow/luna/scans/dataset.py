"""Candidates for a data set that has none: proposals in its CTs, with classes by the challenge's rule."""

import logging
from collections.abc import Sequence

import pandas as pd

from luna.base.progress import progress
from luna.data.candidates import join_annotations
from luna.data.tables import CANDIDATE_COLUMNS
from luna.imaging.ct import read_ct
from luna.imaging.lungs import find_lungs
from luna.imaging.problem import BadCtError
from luna.scans.models import Models
from luna.scans.outputs import submission
from luna.scans.propose import propose
from luna.storage.source import Source

log = logging.getLogger(__name__)


def propose_candidates(
    source: Source, paths: Sequence[str], annotations: pd.DataFrame, models: Models, most: int
) -> pd.DataFrame:
    """Up to `most` places in each CT of a subset, as rows of a LUNA16 table of candidates.

    The most suspicious of a CT come first. The class is 1 where a place is nearer to a nodule of its series
    than the nodule's radius. A CT that cannot be read has no rows: verification says what is wrong with it.
    """
    tables = [pd.DataFrame(columns=CANDIDATE_COLUMNS)]
    for path in progress(paths, "proposing candidates", len(paths)):
        try:
            with source.ct(path) as readable:
                ct = read_ct(readable)
            lungs = find_lungs(ct.hu, ct.grid.spacing[::-1]).voxels(ct.hu.shape)
            found = submission(ct, propose(ct, lungs, models, most))
        except BadCtError as error:
            log.warning("no candidates in %s: %s", path, error)
            continue
        _, _, near = join_annotations(found, annotations)
        tables.append(found.assign(**{"class": near})[CANDIDATE_COLUMNS])
    return pd.concat(tables, ignore_index=True)

"""The candidates of the tiny phantom as a dataset, and their exact crops."""

from pathlib import Path

import numpy as np
import pytest

from conftest import SMALL_CROP, Prepared
from luna.batches.dataset import LunaDataset
from luna.crops.cut import cut_block
from luna.crops.sources import CachedCrops
from luna.data.tables import IRC
from luna.imaging.ct import read_ct


@pytest.fixture(scope="module")
def dataset(prepared: Prepared) -> LunaDataset:
    source = CachedCrops(prepared.candidates, prepared.crops, SMALL_CROP)
    return LunaDataset(prepared.candidates, source)


@pytest.fixture(scope="module")
def exact(prepared: Prepared) -> np.ndarray:
    """Every candidate's crop, cut straight from its CT."""
    cts = {
        uid: read_ct(Path(path))
        for uid, path in zip(prepared.series["seriesuid"], prepared.series["path"], strict=True)
    }
    rows = prepared.candidates.to_dict("records")
    return np.stack(
        [cut_block(cts[row["seriesuid"]], [row[name] for name in IRC], SMALL_CROP) for row in rows]
    )

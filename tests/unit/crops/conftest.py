"""What the tests of the crop cache share."""

import numpy as np
import SimpleITK as sitk

from conftest import SMALL_CROP, Prepared
from luna.config.cache import CropSettings
from luna.crops.sources import CachedCrops, DirectCrops


def read_all(data: Prepared, settings: CropSettings = SMALL_CROP) -> None:
    """Read every crop from the cache."""
    source = CachedCrops(data.candidates, data.crops, settings)
    out = np.empty(settings.block, dtype=np.int16)
    for row in range(len(data.candidates)):
        source.read(row, out)


def crop_from_simpleitk(path: str, center: np.ndarray, settings: CropSettings) -> np.ndarray:
    """The crop with its margin by the plain definition, from SimpleITK's own array."""
    volume = sitk.GetArrayFromImage(sitk.ReadImage(path)).astype(np.int16)
    pad = [(n, n) for n in settings.block]
    padded = np.pad(volume, pad, constant_values=-1000)
    window = []
    for c, size, margin, block in zip(center, settings.crop, settings.margin, settings.block, strict=True):
        start = c - size // 2 - margin + block
        window.append(slice(start, start + block))
    return np.clip(padded[tuple(window)], *settings.clip)


def assert_exact(data: Prepared, source: CachedCrops | DirectCrops) -> None:
    """Every crop of a source is what SimpleITK gives."""
    path_of = dict(zip(data.series["seriesuid"], data.series["path"], strict=True))
    out = np.empty(data.settings.block, dtype=np.int16)
    for row, candidate in enumerate(data.candidates.itertuples()):
        center = data.candidates.loc[row, ["index", "row", "col"]].to_numpy(dtype=int)
        source.read(row, out)
        expected = crop_from_simpleitk(path_of[candidate.seriesuid], center, data.settings)
        np.testing.assert_array_equal(out, expected)

"""The crop cache: one file for each series, remade only when its content would differ."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel

from luna.base.digests import digest
from luna.base.errors import UserError
from luna.base.progress import progress
from luna.config.cache import CropSettings
from luna.crops.file import CropFile, CropHeader, write_crops
from luna.data.tables import IRC
from luna.imaging.ct import ct_checksum, read_ct
from luna.imaging.uids import is_valid_uid


class CachedSeries(BaseModel):
    """One series in the cache: its crops, its file's bytes, a digest of all that the file depends on."""

    crops: int
    bytes: int
    digest: str


def crop_file(folder: Path, uid: str) -> Path:
    """The cache file of a series. Raises UserError when the uid, which names the file, is not valid."""
    if not is_valid_uid(uid):
        raise UserError(f"{uid!r} is not a valid DICOM uid")
    return folder / f"{uid}.crops"


def cache_series_crops(
    series: pd.DataFrame, candidates: pd.DataFrame, folder: Path, settings: CropSettings
) -> tuple[dict[str, CachedSeries], int]:
    """Make the cache files of some series; keep those that are complete and still right.

    `series` has the columns of series.csv, `candidates` those of candidates.csv. Returns what is
    now cached, by series uid, and how many files were made.
    """
    cached: dict[str, CachedSeries] = {}
    built = 0
    centers_of = {uid: rows[IRC].to_numpy() for uid, rows in candidates.groupby("seriesuid")}
    for row in progress(series.itertuples(), "crops", len(series)):
        centers = centers_of.get(row.seriesuid, np.empty((0, 3))).astype("<i4")
        path = crop_file(folder, row.seriesuid)
        checksum = row.checksum if isinstance(row.checksum, str) else ct_checksum(Path(row.path))
        header = CropHeader.of(row.seriesuid, checksum, len(centers), settings)
        if not _is_current(path, header, centers):
            write_crops(path, read_ct(Path(row.path)), checksum, centers, settings)
            built += 1
        cached[row.seriesuid] = CachedSeries(
            crops=len(centers),
            bytes=path.stat().st_size,
            digest=digest([header.model_dump(mode="json"), centers.tolist()]),
        )
    return cached, built


def _is_current(path: Path, header: CropHeader, centers: npt.NDArray[np.int32]) -> bool:
    """Whether a cache file is complete and equal to what would be written now."""
    try:
        file = CropFile(path)
        if file.header != header or not np.array_equal(file.centers, centers):
            return False
        file.check()
    except UserError:
        return False
    return True

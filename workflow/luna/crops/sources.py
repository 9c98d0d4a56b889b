"""Where crops come from: the cache, or the CTs themselves."""

from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from luna.base.arrays import HuArray, IntArray
from luna.base.digests import digest
from luna.base.errors import UserError
from luna.config.cache import CacheSettings, CropSettings
from luna.crops.cut import cut_block
from luna.crops.file import REPAIR_COMMAND, CropFile, CropHeader, crop_file
from luna.data.tables import IRC
from luna.imaging.ct import Ct, map_ct
from luna.runtime.cores import allow_many_files


class CropSource(Protocol):
    """Where crops come from: the cache, or the CTs themselves. Safe for several threads."""

    settings: CropSettings

    def digest_of(self, rows: IntArray) -> str:
        """Changes with everything that the crops of these rows of candidates.csv depend on."""

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` (int16, settings.block, contiguous) with the crop of a row of candidates.csv."""


def crop_of(source: CropSource, row: int) -> HuArray:
    """The crop of a row of candidates.csv without its margin, int16 settings.crop."""
    block = np.empty(source.settings.block, dtype=np.int16)
    source.read(row, block)
    return block[source.settings.middle]


class CachedCrops:
    """Crops of all candidates, read from the cache.

    candidates: rows of candidates.csv. folder: where the .crops files are. Raises UserError that
    lists every file that is missing, damaged or made with other settings.
    """

    def __init__(self, candidates: pd.DataFrame, folder: Path, settings: CropSettings) -> None:
        allow_many_files()
        self.settings = settings
        self._files: list[CropFile] = []
        self._file_of = np.zeros(len(candidates), dtype=np.int32)
        self._crop_of = np.zeros(len(candidates), dtype=np.int32)
        problems: list[str] = []
        for uid, rows in candidates.groupby("seriesuid", sort=False).indices.items():
            try:
                file = CropFile(crop_file(folder, str(uid)))
                _check_made_for(file, candidates[IRC].to_numpy()[rows], settings)
            except UserError as error:
                problems.append(str(error))
                continue
            self._file_of[rows] = len(self._files)
            self._crop_of[rows] = np.arange(len(rows))
            self._files.append(file)
        if problems:
            raise UserError("the crop cache cannot be used", problems)

    def digest_of(self, rows: IntArray) -> str:
        """Changes with everything that the crops of these rows of candidates.csv depend on."""
        used, file_of = np.unique(self._file_of[rows], return_inverse=True)
        files = [self._files[number] for number in used]
        made_of = [[file.header.model_dump(mode="json"), file.centers.tolist()] for file in files]
        return digest([made_of, file_of.tolist(), self._crop_of[rows].tolist()])

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` (int16, settings.block, contiguous) with the crop of a candidate's row."""
        self._files[self._file_of[row]].read(int(self._crop_of[row]), out)


class DirectCrops:
    """Crops of all candidates, cut straight from the CTs, for a quick look without a cache.

    Plain .raw files are mapped; of the others the `keep` last read stay in memory.
    """

    def __init__(
        self, candidates: pd.DataFrame, series: pd.DataFrame, settings: CropSettings, keep: int = 4
    ) -> None:
        self.settings = settings
        self._path_of = dict(zip(series["seriesuid"], series["path"], strict=True))
        self._uids = candidates["seriesuid"].to_numpy()
        self._centers = candidates[IRC].to_numpy()
        self._cts: OrderedDict[str, Ct] = OrderedDict()
        self._keep = keep
        self._checksum_of = dict(zip(series["seriesuid"], series["checksum"], strict=True))

    def digest_of(self, rows: IntArray) -> str:
        """Changes with everything that the crops of these rows of candidates.csv depend on."""
        made_with = CropHeader.of("", "", len(rows), self.settings).model_dump(mode="json")
        checksums = {uid: self._checksum_of[uid] for uid in self._uids[rows]}
        return digest([made_with, checksums, self._uids[rows].tolist(), self._centers[rows].tolist()])

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` (int16, settings.block, contiguous) with the crop of a candidate's row."""
        out[:] = cut_block(self._ct(self._uids[row]), self._centers[row], self.settings)

    def _ct(self, uid: str) -> Ct:
        ct = self._cts.get(uid)
        if ct is None:
            ct = self._cts[uid] = map_ct(Path(self._path_of[uid]))
            loaded = [name for name, each in list(self._cts.items()) if not _is_mapped(each)]
            for name in loaded[: -self._keep]:
                self._cts.pop(name, None)
        return ct


class CtCrops:
    """Crops of one CT in memory, around given centres, (n, 3) irc."""

    def __init__(self, ct: Ct, centers_irc: npt.ArrayLike, settings: CropSettings) -> None:
        self.settings = settings
        self._ct, self._centers = ct, np.asarray(centers_irc).reshape(-1, 3)

    def digest_of(self, rows: IntArray) -> str:
        """Changes with the rows' centres and with how they are cut; not with the CT's voxels."""
        made_with = CropHeader.of(self._ct.series_uid, "", len(rows), self.settings).model_dump(mode="json")
        return digest([made_with, self._centers[rows].tolist()])

    def read(self, row: int, out: HuArray) -> None:
        """Fill `out` (int16, settings.block, contiguous) with the crop around centre number `row`."""
        out[:] = cut_block(self._ct, self._centers[row], self.settings)


def crop_source(
    candidates: pd.DataFrame, series: pd.DataFrame, folder: Path, settings: CacheSettings
) -> CropSource:
    """The crops of all candidates: from the cache in `folder` or, with source none, from the CTs."""
    if settings.source == "none":
        return DirectCrops(candidates, series, settings)
    return CachedCrops(candidates, folder, settings)


def _is_mapped(ct: Ct) -> bool:
    return isinstance(ct.hu, np.memmap)


def _check_made_for(file: CropFile, centers: npt.NDArray[np.int64], settings: CropSettings) -> None:
    header = file.header
    wanted = CropHeader.of(header.seriesuid, header.ct_checksum, len(centers), settings)
    different = header.differences(wanted)
    if not different and not np.array_equal(file.centers, centers):
        different = ["candidates"]
    if different:
        raise UserError(
            f"{file.path}: the crop cache was made for another {', '.join(different)};"
            f" remake it with: {REPAIR_COMMAND}"
        )

"""The crop cache: one file for each series, remade only when its content would differ.

Cutting is the one time that the voxels of a CT are read: they are checked on the way.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from luna.base.code import code_digest
from luna.base.digests import digest
from luna.base.errors import UserError
from luna.base.files import Record, write_record
from luna.base.progress import progress
from luna.config.cache import CropSettings
from luna.crops import file as file_module
from luna.crops.file import REPAIR_COMMAND, CropFile, CropHeader, crop_file, write_crops
from luna.data.records import CachedSeries, Voxels
from luna.data.tables import IRC
from luna.imaging.ct import Ct, read_ct
from luna.imaging.problem import BadCtError
from luna.storage.source import LocalFiles, Source, SourceFile

_AGAIN = f"once it can be read: {REPAIR_COMMAND}"


class Reading(Record):
    """The last reading of a sound CT, beside its crops: its path, its files as they were then, the code that
    read it and cut its crops, and what it showed."""

    path: str
    files: list[SourceFile]
    code: str
    voxels: Voxels


class Wanted(NamedTuple):
    """What is to be cached of a series: the CT at `path`, with candidates at `centers`, int32 (n, 3) irc."""

    uid: str
    path: str
    centers: npt.NDArray[np.int32]


class CropCache:
    """A folder of crop files.

    source: where CTs are read; None where their paths are. cut: False only checks voxels.
    """

    def __init__(
        self, folder: Path, settings: CropSettings, source: Source | None = None, cut: bool = True
    ) -> None:
        self.folder, self.settings = folder, settings
        self.source = source or LocalFiles(Path())
        self._cut = cut
        self._code = code_digest(Path(file_module.__file__))

    def update(self, series: pd.DataFrame, candidates: pd.DataFrame) -> tuple[dict[str, CachedSeries], int]:
        """Read the CTs that changed and make the crop files that are not right.

        series: columns seriesuid and path; candidates: seriesuid and IRC. Returns what is now cached, by
        series uid, and how many CTs were read. Where voxels are not sound, the result says why, and there
        are no crops. Raises UserError.
        """
        centers_of = {uid: rows[IRC].to_numpy() for uid, rows in candidates.groupby("seriesuid")}
        all_wanted = [
            Wanted(uid, path, centers_of.get(uid, np.empty((0, 3))).astype("<i4"))
            for uid, path in zip(series["seriesuid"], series["path"], strict=True)
        ]
        cached, read = {}, 0
        for number, wanted in enumerate(progress(all_wanted, "crops", len(all_wanted))):
            voxels = self._known(wanted)
            if voxels is None or not self._has(wanted, voxels):
                for coming in all_wanted[number + 1 : number + 2]:
                    if self._known(coming) is None:
                        self.source.prepare(coming.path)
                voxels = self._read(wanted)
                read += 1
            cached[wanted.uid] = self._entry(wanted, voxels)
        return cached, read

    def _record(self, wanted: Wanted) -> Reading | None:
        """The last reading, if this code made it."""
        try:
            reading = Reading.model_validate_json(self._record_file(wanted.uid).read_bytes())
        except (OSError, ValidationError):
            return None
        return reading if reading.code == self._code else None

    def _known(self, wanted: Wanted) -> Voxels | None:
        """What the last reading showed, if the CT's files are still those of then."""
        reading = self._record(wanted)
        if reading is None or reading.path != wanted.path:
            return None
        return reading.voxels if reading.files == self.source.files(wanted.path) else None

    def _read(self, wanted: Wanted) -> Voxels:
        """Read a CT, check its voxels, cut its crops."""
        # Before reading: what changes meanwhile is read again the next time.
        files = self.source.files(wanted.path)
        with self.source.ct(wanted.path) as path:
            voxels, ct = _read_voxels(path, wanted.path)
        record = self._record_file(wanted.uid)
        if ct is None:
            # No record: what could not be read now may be readable the next time.
            record.unlink(missing_ok=True)
            return voxels
        if self._cut and (self._record(wanted) is None or not self._has(wanted, voxels)):
            write_crops(crop_file(self.folder, wanted.uid), ct, ct.checksum, wanted.centers, self.settings)
        write_record(record, Reading(path=wanted.path, files=files, code=self._code, voxels=voxels))
        return voxels

    def _has(self, wanted: Wanted, voxels: Voxels) -> bool:
        """Whether the crop file is complete and equal to what would be written now, or none is needed."""
        if voxels.checksum is None or not self._cut:
            return True
        try:
            file = CropFile(crop_file(self.folder, wanted.uid))
            same_centers = np.array_equal(file.centers, wanted.centers)
            if not same_centers or file.header != self._header(wanted, voxels):
                return False
            file.check()
        except UserError:
            return False
        return True

    def _header(self, wanted: Wanted, voxels: Voxels) -> CropHeader:
        return CropHeader.of(wanted.uid, voxels.checksum or "", len(wanted.centers), self.settings)

    def _entry(self, wanted: Wanted, voxels: Voxels) -> CachedSeries:
        made_of = [self._header(wanted, voxels).model_dump(mode="json"), wanted.centers.tolist()]
        return CachedSeries(voxels=voxels, crops=len(wanted.centers), digest=digest(made_of))

    def _record_file(self, uid: str) -> Path:
        return crop_file(self.folder, uid).with_suffix(".json")


def _read_voxels(path: Path, named: str) -> tuple[Voxels, Ct | None]:
    """A CT and what its voxels show. named: what messages call it, where `path` is a copy."""
    try:
        ct = read_ct(path)
    except BadCtError as error:
        folder = named.rpartition("/")[0]
        problems = [each._replace(where=each.where.replace(str(path.parent), folder)) for each in error.found]
        if isinstance(error.__cause__, OSError):
            problems = [each._replace(text=f"{each.text}; {_AGAIN}") for each in problems]
        return Voxels(problems=tuple(problems)), None
    lowest, highest = int(ct.hu.min()), int(ct.hu.max())
    return Voxels(checksum=ct.checksum, hu_min=lowest, hu_max=highest, notes=tuple(ct.notes)), ct

"""The ten subsets of a data set: where each is, and what files it has."""

from collections.abc import Sequence
from pathlib import Path

from luna.base.errors import UserError
from luna.base.subsets import SUBSETS
from luna.storage.archive import Archive
from luna.storage.bucket import Bucket, is_address
from luna.storage.copies import CopiedFiles
from luna.storage.source import LocalFiles, Source, SourceFile, local_files


def subset_source(root: str | Path, subset: int, copies: Path = Path("copies")) -> Source:
    """What reads the CTs of a subset. Raises UserError where there is no such data set.

    root: a folder with subset0 to subset9 or subset0.zip to subset9.zip, or an address that holds such
    folders. copies: a folder for the CTs that cannot be read where they are.
    """
    name = f"subset{subset}"
    if is_address(root):
        return CopiedFiles(Bucket(f"{str(root).rstrip('/')}/{name}"), copies)
    if not Path(root).is_dir():
        raise UserError(f"{root}: no such folder; data.root must hold subset0 to subset9")
    if archive := _archive(Path(root) / name):
        return CopiedFiles(Archive(archive), copies)
    return LocalFiles(Path(root) / name)


def subset_files(root: str, listed: Sequence[SourceFile] = ()) -> dict[int, list[SourceFile]]:
    """The files of each subset. listed: all that is below an address."""
    if is_address(root):
        return {n: [file for file in listed if file.name.startswith(f"subset{n}/")] for n in range(SUBSETS)}
    folders = {n: Path(root) / f"subset{n}" for n in range(SUBSETS)}
    return {
        n: Archive(archive).listed() if (archive := _archive(folder)) else local_files(folder)
        for n, folder in folders.items()
    }


def needs_copies(root: str) -> bool:
    """Whether CTs are where no program can read them in place."""
    return is_address(root) or any(_archive(Path(root) / f"subset{n}") for n in range(SUBSETS))


def _archive(folder: Path) -> Path | None:
    """The archive that takes a folder's place."""
    path = folder.with_name(f"{folder.name}.zip")
    return path if path.is_file() and not folder.exists() else None

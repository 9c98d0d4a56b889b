"""A user's own data: several formats, odd names, and a dozen faults, all named in one run."""

from pathlib import Path

import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk

from luna.config.phantom import PhantomSettings
from luna.imaging.folders import find_cts
from luna.phantom.dataset import make_phantom
from unit.imaging.images import write_dicom

from .conftest import Workflow

SERIES = 13


def rewritten(path: Path, suffix: str, compressed: bool = False, change: int = 0) -> Path:
    """A phantom's CT in another format, with an HU shift; the first form is removed."""
    image = sitk.ReadImage(str(path)) + change
    for old in (".mhd", ".raw"):
        path.with_suffix(old).unlink()
    new = path.with_name(path.stem + suffix)
    sitk.WriteImage(image, str(new), compressed)
    return new


def as_dicom(path: Path) -> Path:
    """A phantom's CT as a DICOM series named after its folder."""
    image = sitk.ReadImage(str(path))
    for old in (".mhd", ".raw"):
        path.with_suffix(old).unlink()
    write_dicom(image, path.with_suffix(""))
    for file in path.with_suffix("").iterdir():
        data = pydicom.dcmread(file)
        data.SeriesInstanceUID = path.stem
        data.save_as(file)
    return path.with_suffix("")


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Thirteen CTs: three are sound, in three formats and subsets of their own; ten are not."""
    root = tmp_path / "O'Neill's CTs (2024); mixed"
    make_phantom(root, PhantomSettings(series=SERIES, size=64, slices=24, candidates=24), 0)
    cts = [path for n in range(10) for path in find_cts(root / f"subset{n}")]
    for number, path in enumerate(cts):
        # The sound ones in subsets 2 to 4, all others in 0 and 1.
        cts[number] = moved(path, root / f"subset{number + 2 if number < 3 else number % 2}")
    rewritten(cts[0], ".nii.gz", True)
    as_dicom(cts[1])
    rewritten(cts[2], ".mhd", True)

    cut(rewritten(cts[3], ".nii.gz", True), 0.6)
    rewritten(cts[4], ".mha", True, change=1024)
    next(as_dicom(cts[5]).glob("0007*")).unlink()
    raw = cts[6].with_suffix(".raw")
    raw.write_bytes(raw.read_bytes()[: raw.stat().st_size // 2].ljust(raw.stat().st_size, b"\0"))
    raw = cts[7].with_suffix(".raw")
    raw.unlink()
    raw.symlink_to("gone.raw")
    page = next(as_dicom(cts[8]).glob("0003*"))
    page.write_text("<html>502 Bad Gateway</html>")
    flipped = bytearray(rewritten(cts[9], ".mhd", True).with_suffix(".zraw").read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    cts[9].with_suffix(".zraw").write_bytes(flipped)
    cts[10].write_text(cts[10].read_text().replace("ElementSpacing = ", "ElementSpacing = 0 "))
    cts[11].unlink()
    moved(cts[12], root / "subset0" / "deep")
    (root / "subset1" / "loose.dcm").write_bytes(b"\0")
    table = root / "annotations.csv"
    lines = table.read_text().splitlines()
    lines[3] += ",7,8"
    table.write_text("\n".join(lines) + "\n")
    (root / "subset2" / ".DS_Store").write_bytes(b"\0")
    (root / "subset3" / "notes, by José.txt").write_text("fine")
    return root


def moved(path: Path, folder: Path) -> Path:
    """A CT moved to another folder."""
    folder.mkdir(exist_ok=True)
    for suffix in (".mhd", ".raw"):
        path.with_suffix(suffix).rename(folder / path.with_suffix(suffix).name)
    return folder / path.name


BEFORE_VOXELS = [
    ("uneven-steps", "after 0006.dcm"), ("missing-voxels", "No such file"),
    ("dicom-file", "0003.dcm: is not a DICOM file"), ("header", "ElementSpacing has 4 numbers"),
    ("missing-header", "voxels without an .mhd"), ("not-read", "one level up"),
    ("not-read", "a folder of their own"), ("table", "more fields"),
]  # fmt: skip
IN_VOXELS = [
    ("compression", "the file ends after"), ("not-hu", "above 700 HU"),
    ("empty-slices", "hold a single value"), ("compression", "are corrupt"),
]  # fmt: skip


def assert_named(workflow: Workflow, file: str, named: list[tuple[str, str]]) -> None:
    problems = workflow.result(file).read_text()
    for kind, words in named:
        lines = [line for line in problems.splitlines() if line.startswith(f"  {kind}: ")]
        assert any(words in line for line in lines), (kind, words, problems)


def test_all_is_named_at_once_and_the_rest_trains(workflow: Workflow, root: Path) -> None:
    workflow.config["data"] = {"source": "files", "root": str(root)}
    workflow.config["folds"] = [2]
    workflow.config["runs"] = {"second": workflow.config["runs"]["second"]}
    failed = workflow.run(check=False)
    assert failed.returncode != 0
    assert_named(workflow, "verify/header_problems.txt", BEFORE_VOXELS)
    assert "the data set has problems; fix them, or set data.on_problem to skip" in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    workflow.config["data"]["on_problem"] = "skip"
    workflow.run()
    assert_named(workflow, "verify/problems.txt", BEFORE_VOXELS + IN_VOXELS)
    series = pd.read_csv(workflow.result("series.csv"))
    assert sorted(series["subset"]) == [2, 3, 4]
    assert len(pd.read_csv(workflow.result("runs/second/fold2/predictions.csv"))) > 0
    assert workflow.planned() == []

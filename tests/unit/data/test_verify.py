"""Damaged data sets, one fault each: every one gives its own named problem and spares its neighbours."""

import gzip
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from conftest import SMALL_CROP, checked_headers
from luna.crops.cache import CropCache
from luna.data.luna16 import facts, subset_of
from luna.data.problems import ADVICE, summary
from luna.data.records import CachedSeries, Verification
from luna.data.tables import IRC
from luna.data.verify import COLUMNS, verify_dataset, with_voxels
from luna.imaging.ct import ct_checksum, read_ct
from luna.imaging.folders import find_cts

Damage = Callable[[Path], None]


def first_ct(root: Path) -> Path:
    return find_cts(root / "subset0")[0]


def in_header(old: str, new: str) -> Damage:
    """Replace a line of the first CT's header: the one that starts with `old`."""

    def damage(root: Path) -> None:
        path = first_ct(root)
        lines = path.read_text().splitlines()
        changed = [new if line.startswith(old) else line for line in lines]
        assert changed != lines
        path.write_text("\n".join(line for line in changed if line) + "\n")

    return damage


def in_voxels(change: Callable[[bytes], bytes]) -> Damage:
    def damage(root: Path) -> None:
        raw = first_ct(root).with_suffix(".raw")
        raw.write_bytes(change(raw.read_bytes()))

    return damage


def in_hu(change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    return in_voxels(lambda raw: change(np.frombuffer(raw, "<i2")).astype("<i2").tobytes())


def in_table(name: str, change: Callable[[str], str]) -> Damage:
    def damage(root: Path) -> None:
        path = root / f"{name}.csv"
        text = path.read_text()
        changed = change(text)
        assert changed != text
        path.write_text(changed, newline="")

    return damage


def in_row(name: str, column: str, value: object) -> Damage:
    """Set a field of a table's first row."""

    def change(text: str) -> str:
        header, row, rest = text.split("\n", 2)
        fields = row.split(",")
        fields[header.split(",").index(column)] = str(value)
        return "\n".join([header, ",".join(fields), rest])

    return in_table(name, change)


def remove(suffix: str) -> Damage:
    return lambda root: first_ct(root).with_suffix(suffix).unlink()


def rename_uid(uid: str) -> Damage:
    def damage(root: Path) -> None:
        path = first_ct(root)
        text = path.read_text().replace(path.stem, uid)
        path.with_suffix(".raw").rename(path.with_name(f"{uid}.raw"))
        path.unlink()
        path.with_name(f"{uid}.mhd").write_text(text)

    return damage


def copy_to_other_subset(root: Path) -> None:
    for suffix in (".mhd", ".raw"):
        path = first_ct(root).with_suffix(suffix)
        shutil.copy(path, root / "subset3" / path.name)


def half_a_stream(root: Path) -> None:
    path = first_ct(root)
    image = sitk.ReadImage(str(path))
    path.with_suffix(".raw").unlink()
    sitk.WriteImage(image, str(path), useCompression=True)
    packed = path.with_suffix(".zraw")
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "DataSize" not in line))


def short_stream(root: Path) -> None:
    """A whole stream that holds fewer voxels than the header says."""
    path = first_ct(root)
    image = sitk.ReadImage(str(path))
    path.with_suffix(".raw").unlink()
    sitk.WriteImage(image, str(path), useCompression=True)
    packed = path.with_suffix(".zraw")
    packed.write_bytes(zlib.compress(zlib.decompress(packed.read_bytes())[:-100]))
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "DataSize" not in line))


def few_slices(root: Path) -> None:
    path = first_ct(root)
    image = sitk.ReadImage(str(path))[:, :, :4]
    sitk.WriteImage(image, str(path))


def two_dimensional(root: Path) -> None:
    path = first_ct(root)
    sitk.WriteImage(sitk.ReadImage(str(path))[:, :, 0], str(path))


def vector_voxels(root: Path) -> None:
    in_header("ElementType", "ElementType = MET_SHORT\nElementNumberOfChannels = 3")(root)


def known_series_in_wrong_subset(root: Path) -> None:
    uid = next(uid for uid, subset in subset_of().items() if subset == 5)
    rename_uid(uid)(root)


def empty_nrrd(root: Path) -> None:
    (root / "subset0" / "1.2.3.nrrd").write_text("")


def empty_dicom_folder(root: Path) -> None:
    (root / "subset0" / "1.2.3").mkdir()


def binary_annotations(root: Path) -> None:
    (root / "annotations.csv").write_bytes(b"\xff\xfe\x00" * 9)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "header gone": (remove(".mhd"), "missing-header"),
    "header empty": (lambda root: first_ct(root).write_text(""), "header"),
    "header is binary": (lambda root: first_ct(root).write_bytes(bytes(range(256))), "header"),
    "header is HTML": (lambda root: first_ct(root).write_text("<html>404</html>\n"), "header"),
    "no DimSize": (in_header("DimSize", ""), "header"),
    "two sizes": (in_header("DimSize", "DimSize = 64 64"), "header"),
    "negative size": (in_header("DimSize", "DimSize = 64 -64 24"), "header"),
    "size no number": (in_header("DimSize", "DimSize = a b c"), "header"),
    "sizes too small": (in_header("DimSize", "DimSize = 64 64 9"), "surplus-voxels"),
    "sizes too large": (in_header("DimSize", "DimSize = 64 64 999"), "truncated-voxels"),
    "huge size": (in_header("DimSize", "DimSize = 64 64 99999999999"), "header"),
    "two dimensions": (two_dimensional, "element-type"),
    "no NDims": (in_header("NDims", ""), "element-type"),
    "unknown element type": (in_header("ElementType", "ElementType = MET_BANANA"), "element-type"),
    "vector voxels": (vector_voxels, "element-type"),
    "wider element type": (in_header("ElementType", "ElementType = MET_INT"), "truncated-voxels"),
    "narrower element type": (in_header("ElementType", "ElementType = MET_UCHAR"), "surplus-voxels"),
    "NaN spacing": (in_header("ElementSpacing", "ElementSpacing = 1 nan 1"), "spacing"),
    "zero spacing": (in_header("ElementSpacing", "ElementSpacing = 1 0 1"), "spacing"),
    "negative spacing": (in_header("ElementSpacing", "ElementSpacing = 1 1 -2"), "spacing"),
    "no spacing": (in_header("ElementSpacing", ""), "header"),
    "infinite origin": (in_header("Offset", "Offset = inf 0 0"), "origin"),
    "skewed direction": (in_header("TransformMatrix", "TransformMatrix = 1 0.5 0 0 1 0 0 0 1"), "direction"),
    "singular direction": (in_header("TransformMatrix", "TransformMatrix = 0 0 0 0 0 0 0 0 0"), "direction"),
    "NaN direction": (in_header("TransformMatrix", "TransformMatrix = nan 0 0 0 1 0 0 0 1"), "direction"),
    "voxels elsewhere": (in_header("ElementDataFile", "ElementDataFile = ../../x.raw"), "header"),
    "another series' voxels": (in_header("ElementDataFile", "ElementDataFile = 1.2.3.raw"), "uid-mismatch"),
    "list of files": (in_header("ElementDataFile", "ElementDataFile = LIST"), "header"),
    "voxels gone": (remove(".raw"), "missing-voxels"),
    "voxels truncated": (in_voxels(lambda raw: raw[:-1]), "truncated-voxels"),
    "voxels empty": (in_voxels(lambda raw: b""), "truncated-voxels"),
    "voxels too long": (in_voxels(lambda raw: raw + b"xx"), "surplus-voxels"),
    "zip instead of raw": (in_voxels(lambda raw: b"PK\x03\x04" + raw[:999]), "archive"),
    "gzip instead of raw": (in_voxels(gzip.compress), "archive"),
    "half a compressed stream": (half_a_stream, "compression"),
    "compressed stream too short": (short_stream, "compression"),
    "constant image": (in_hu(lambda hu: hu * 0), "constant"),
    "picture of 0..255": (in_hu(lambda hu: np.arange(hu.size) % 256), "eight-bit"),
    "slope lost": (in_hu(lambda hu: np.clip(hu, -1000, None) + 1024), "not-hu"),
    "few slices": (few_slices, "few-slices"),
    "uid with letters": (rename_uid("patient-7"), "uid"),
    "uid too long": (rename_uid("1." * 40 + "1"), "uid"),
    "a CT twice": (copy_to_other_subset, "duplicate-series"),
    "LUNA16 series in the wrong subset": (known_series_in_wrong_subset, "wrong-subset"),
    "empty nrrd": (empty_nrrd, "header"),
    "folder without DICOM": (empty_dicom_folder, "header"),
    "annotations gone": (lambda root: (root / "annotations.csv").unlink(), "table"),
    "annotations empty": (in_table("annotations", lambda text: ""), "table"),
    "annotations without a column": (in_table("annotations", lambda t: t.replace("_mm", "")), "table"),
    "annotations are binary": (binary_annotations, "table"),
    "negative diameter": (in_row("annotations", "diameter_mm", -3), "table"),
    "NaN coordinate": (in_row("annotations", "coordX", "nan"), "table"),
    "word as coordinate": (in_row("annotations", "coordY", "left"), "table"),
    "annotation of an unknown series": (in_row("annotations", "seriesuid", "1.2.3"), "unknown-series"),
    "annotation outside its CT": (in_row("annotations", "coordZ", 1e5), "outside-ct"),
    "annotation twice": (in_table("annotations", lambda t: t + t.splitlines()[1] + "\n"), "table"),
    "candidates gone": (lambda root: (root / "candidates.csv").unlink(), "table"),
    "candidate outside its CT": (in_row("candidates", "coordX", -1e300), "outside-ct"),
    "candidate of class 2": (in_row("candidates", "class", 2), "table"),
    "candidate without uid": (in_row("candidates", "seriesuid", ""), "table"),
    "infinite candidate": (in_row("candidates", "coordX", "inf"), "table"),
    "candidates torn off": (in_table("candidates", lambda t: t + "1.2.3,1,2"), "table"),
    "candidate with too many fields": (in_table("candidates", lambda t: t + "1.2.3,1,2,3,0,7,8\n"), "table"),
}  # fmt: skip


@pytest.fixture
def root(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the phantom to damage."""
    return Path(shutil.copytree(phantom, tmp_path / "data"))


def check(root: Path, expect: str = "any", voxels: bool = True) -> tuple[pd.DataFrame, Verification]:
    """What both steps of verification find, or the first alone."""
    tables = (root / "annotations.csv", [root / "candidates.csv"])
    checked = checked_headers(root)
    if voxels:
        checked = with_voxels(checked, read_all(verify_dataset(checked, *tables)[0]))
    return verify_dataset(checked, *tables, expect)


def read_all(series: pd.DataFrame) -> dict[str, CachedSeries]:
    """What the voxels of the series show."""
    none = pd.DataFrame(columns=["seriesuid", *IRC])
    with TemporaryDirectory() as folder:
        return CropCache(Path(folder), SMALL_CROP, cut=False).update(series, none)[0]


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(root: Path, name: str) -> None:
    damage, kind = DAMAGES[name]
    damage(root)
    usable, report = check(root)
    found = {problem.kind for problem in [*report.problems, *report.warnings]}
    assert kind in found
    # An unusable CT may leave its rows in the tables without a CT; nothing else may be blamed.
    assert found <= {kind, "unknown-series"}
    healthy = {path.stem for n in range(1, 10) for path in find_cts(root / f"subset{n}")}
    if kind == "duplicate-series":
        healthy.discard(first_ct(root).stem)
    assert healthy <= set(usable["seriesuid"])
    text = summary(report)
    assert kind in text
    assert ADVICE[kind] in text


def test_damages_are_many() -> None:
    assert len(DAMAGES) >= 40


def test_healthy_data_set(phantom: Path) -> None:
    usable, report = check(phantom)
    assert report.problems == report.warnings == report.notes == []
    assert len(usable) == 10
    assert list(usable.columns) == COLUMNS
    for row in usable.itertuples():
        hu = read_ct(Path(row.path)).hu
        assert (row.hu_min, row.hu_max) == (hu.min(), hu.max())
        assert row.checksum == ct_checksum(Path(row.path))
    assert "No problems found" in summary(report)


def test_all_problems_are_reported_at_once(root: Path) -> None:
    for name in ("voxels truncated", "annotation twice", "candidate of class 2"):
        DAMAGES[name][0](root)
    assert len(check(root)[1].problems) == 3


def test_the_first_step_reads_no_voxels(root: Path) -> None:
    DAMAGES["constant image"][0](root)
    assert check(root, voxels=False)[1].problems == []
    DAMAGES["voxels truncated"][0](root)
    assert check(root, voxels=False)[1].problems[0].kind == "truncated-voxels"


def test_tables_in_other_dress(root: Path) -> None:
    """CRLF, a byte-order mark, quoted fields and blank lines are no problem."""
    before = check(root)
    for name in ("annotations", "candidates"):
        path = root / f"{name}.csv"
        lines = path.read_text().splitlines()
        quoted = [",".join(f'"{field}"' for field in line.split(",")) for line in lines]
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*quoted[:3], "", *quoted[3:], "", ""]).encode())
    after = check(root)
    pd.testing.assert_frame_equal(before[0], after[0])
    assert after[1] == before[1]


def test_problem_names_the_line(root: Path) -> None:
    path = root / "annotations.csv"
    lines = path.read_text().splitlines()
    lines.insert(1, "")
    lines[4] = lines[4].replace(lines[4].split(",")[1], "nan")
    path.write_text("\n".join(lines) + "\n")
    assert "line 5" in check(root)[1].problems[0].text


def test_partial_download_is_reported_as_a_share(root: Path) -> None:
    shutil.rmtree(root / "subset4")
    usable, report = check(root)
    assert len(usable) == 9
    share = report.nodules.usable / report.nodules.listed
    assert 0 < share < 1
    assert f"{share:.1%} of the listed nodules" in summary(report)


def test_symlinked_read_only_root(phantom: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(phantom)
    before = sorted(path for path in phantom.rglob("*"))
    assert check(link)[1].problems == []
    assert sorted(path for path in phantom.rglob("*")) == before, "nothing is written under the root"


def test_known_luna16_is_compared(phantom: Path) -> None:
    _, report = check(phantom, expect="luna16")
    kinds = [problem.kind for problem in report.problems]
    assert kinds.count("extra-series") == 10
    assert kinds.count("missing-series") == 10
    assert kinds.count("count") == 2


def test_facts_of_luna16() -> None:
    assert len(subset_of()) == facts()["series"] == 888
    sizes = pd.Series(subset_of()).value_counts().sort_index().tolist()
    assert sizes == [89] * 8 + [88] * 2


def test_real_slabs_are_accepted(real_data: Path) -> None:
    checked = checked_headers(real_data / "slabs")
    tables = (real_data / "luna16" / "annotations.csv", [real_data / "slabs" / "candidates.csv"])
    cached = read_all(verify_dataset(checked, *tables)[0])
    usable, report = verify_dataset(with_voxels(checked, cached), *tables)
    assert report.problems == []
    assert len(usable) == 3
    assert report.candidates.usable == 23


def test_real_tables_hold_the_known_facts(real_data: Path) -> None:
    listed = pd.read_csv(real_data / "luna16" / "subsets.csv")
    assert dict(zip(listed["seriesuid"], listed["subset"], strict=True)) == subset_of()

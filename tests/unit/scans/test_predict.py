"""The program: scans in, folders of findings out; what is finished stays, what fails stops nothing."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import predict
import pydicom
import pytest
import SimpleITK as sitk

from luna.base.errors import UserError
from luna.data.tables import XYZ
from luna.imaging.ct import read_ct
from luna.imaging.geometry import xyz_to_irc
from luna.imaging.lungs import find_lungs
from luna.scans import batch
from luna.scans.findings import Finding
from luna.scans.outputs import JSON, LABELS, PAGE, REPORT, SEGMENTATION, SUBMISSION, TABLE, ScanFindings
from luna.scans.scan import predict_scan
from luna.scans.sources import Scan
from unit.browser import Open

FEW = ["--proposals", "30", "--least", "0", "--most", "5", "--device", "cpu"]


def run(out: Path, model: Path, *arguments: object) -> pd.DataFrame:
    """Run the program; summary.csv."""
    predict.main([*map(str, arguments), "--out", str(out), "--model", str(model), *FEW])
    return pd.read_csv(out / "summary.csv", dtype={"scan": str})


@pytest.fixture(scope="module")
def judged(chest: Path, chest_series: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the chest, as an image file and as DICOM."""
    out = tmp_path_factory.mktemp("judged")
    shutil.copytree(chest_series, out / "in" / "dicom")
    for path in chest.parent.glob(f"{chest.stem}.*"):
        shutil.copy(path, out / "in" / f"image{path.suffix}")
    header = out / "in" / "image.mhd"
    header.write_text(header.read_text().replace(chest.stem, "image"))
    run(out / "out", model, out / "in")
    return out / "out"


def folders(judged: Path, chest: Path) -> tuple[Path, Path]:
    return judged / "image", judged / chest.stem


def test_both_formats_give_the_same_findings(judged: Path, chest: Path) -> None:
    image, dicom = (pd.read_csv(folder / TABLE) for folder in folders(judged, chest))
    assert list(image.columns) == list(Finding.model_fields)
    assert len(image) == 5
    same = [name for name in image.columns if name not in ("sop_instance_uid", "spread", "probability")]
    pd.testing.assert_frame_equal(image[same], dicom[same], atol=2e-3)
    assert image["probability"].is_monotonic_decreasing
    assert dicom["sop_instance_uid"].notna().all()
    assert (dicom["slice_number"] == dicom["index"] + 1).all()


def test_files_of_each_format(judged: Path, chest: Path) -> None:
    image, dicom = ({path.name for path in folder.iterdir()} for folder in folders(judged, chest))
    every = {TABLE, JSON, PAGE, SUBMISSION, "done.json"}
    assert image == every | {LABELS}
    assert dicom == every | {SEGMENTATION, REPORT}


def test_the_table_and_the_label_map_agree(judged: Path, chest: Path) -> None:
    folder, _ = folders(judged, chest)
    labels = sitk.ReadImage(str(folder / LABELS))
    for row in pd.read_csv(folder / TABLE).itertuples():
        voxel = labels.TransformPhysicalPointToIndex((row.x, row.y, row.z))
        assert voxel == (row.column, row.row, row.index)
    counts = np.bincount(sitk.GetArrayFromImage(labels).ravel())[1:]
    volumes = pd.read_csv(folder / TABLE)["volume_mm3"]
    np.testing.assert_allclose(counts * np.prod(labels.GetSpacing()), volumes, atol=0.06)


def test_json_and_submission(judged: Path, chest: Path) -> None:
    folder, _ = folders(judged, chest)
    result = ScanFindings.model_validate(json.loads((folder / JSON).read_text()))
    assert "no medical device" in result.notice
    assert [each.rank for each in result.findings] == [1, 2, 3, 4, 5]
    marks = pd.read_csv(folder / SUBMISSION)
    assert list(marks.columns) == ["seriesuid", *XYZ, "probability"]
    assert len(marks) == result.places == 30
    ct = read_ct(chest)
    inside = find_lungs(ct.hu, ct.grid.spacing[::-1]).voxels(ct.hu.shape)
    assert inside[tuple(xyz_to_irc(marks[XYZ], ct.grid).T)].all()


def test_what_is_finished_is_not_done_again(judged: Path, chest: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(judged, out)
    copy = tmp_path / "image.mhd"
    for path in chest.parent.glob(f"{chest.stem}.*"):
        shutil.copy(path, tmp_path / f"image{path.suffix}")
    copy.write_text(copy.read_text().replace(chest.stem, "image"))
    before = (out / "image" / TABLE).stat().st_mtime_ns
    run(out, model, copy)
    assert (out / "image" / TABLE).stat().st_mtime_ns == before
    # Another question, or another scan of the same name, is another matter.
    predict.main([str(copy), "--out", str(out), "--model", str(model), *FEW, "--most", "3"])
    assert len(pd.read_csv(out / "image" / TABLE)) == 3
    # A job that was killed left no mark.
    (out / "image" / "done.json").unlink()
    (out / "image" / PAGE).unlink()
    run(out, model, copy)
    assert (out / "image" / PAGE).exists()


def test_a_scan_that_fails_does_not_stop_the_others(
    chest: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = tmp_path / "scans with 'quotes' and ünïcode"
    scans.mkdir()
    (scans / "a.nii.gz").write_bytes(b"broken")
    sitk.WriteImage(sitk.GetImageFromArray(np.full((20, 40, 40), 30, np.int16)), str(scans / "b.mha"))
    sitk.WriteImage(sitk.ReadImage(str(chest)), str(scans / "c.mha"))
    with pytest.raises(UserError, match="2 of the scans failed") as caught:
        run(tmp_path / "out", model, scans)
    assert "a.nii.gz" in str(caught.value)
    table = pd.read_csv(tmp_path / "out" / "summary.csv").set_index("scan")
    assert list(table["status"]) == ["failed", "failed", "done"]
    assert table["findings"]["c"] == 5
    assert table["reason"]["b"]
    assert "no medical device" in capsys.readouterr().err


def test_an_error_that_nobody_foresaw(
    chest: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails one scan, and the summary says so."""

    def breaks(scan: Scan, *arguments: object) -> ScanFindings:
        if scan.name == "a":
            raise ZeroDivisionError("of something")
        return predict_scan(scan, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "predict_scan", breaks)
    scans = [copy_of(chest, tmp_path / f"{name}.mha") for name in ("a", "b")]
    with pytest.raises(UserError, match="ZeroDivisionError: of something"):
        run(tmp_path / "out", model, *scans)
    table = pd.read_csv(tmp_path / "out" / "summary.csv").set_index("scan")
    assert dict(table["status"]) == {"a": "failed", "b": "done"}


def copy_of(chest: Path, path: Path, brighter: int = 0) -> Path:
    """The chest as an .mha file, perhaps with other voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.ReadImage(str(chest)) + brighter, str(path))
    return path


def test_scans_of_one_name_keep_their_results(chest: Path, model: Path, tmp_path: Path) -> None:
    """In one run and in several; the summary has them all."""
    first = copy_of(chest, tmp_path / "a" / "ct.mha")
    second = copy_of(chest, tmp_path / "b" / "ct.mha", brighter=3)
    run(tmp_path / "out", model, first)
    before = (tmp_path / "out" / "ct" / TABLE).read_bytes()
    table = run(tmp_path / "out", model, second)
    assert sorted(Path(folder).name for folder in table["folder"]) == ["ct", "ct-2"]
    assert (tmp_path / "out" / "ct" / TABLE).read_bytes() == before
    table = run(tmp_path / "both", model, first, second)
    assert sorted(Path(folder).name for folder in table["folder"]) == ["ct", "ct-2"]


def test_no_old_results_beside_a_scan_that_fails(chest: Path, model: Path, tmp_path: Path) -> None:
    scan = copy_of(chest, tmp_path / "ct.mha")
    run(tmp_path / "out", model, scan)
    (tmp_path / "out" / "ct" / PAGE).unlink()
    run(tmp_path / "out", model, scan)
    assert (tmp_path / "out" / "ct" / PAGE).exists()
    # The same scan, but now with other models and no way to read it.
    shutil.copytree(tmp_path / "out", tmp_path / "again")
    (tmp_path / "again" / "ct" / JSON).unlink()
    (tmp_path / "again" / "ct" / JSON).mkdir()
    with pytest.raises(UserError, match="1 of the scans failed"):
        run(tmp_path / "again", model, scan)
    assert not (tmp_path / "again" / "ct" / "done.json").exists()


def test_a_uid_that_is_a_path(chest_series: Path, model: Path, tmp_path: Path) -> None:
    for path in sorted(chest_series.iterdir()):
        data = pydicom.dcmread(path)
        data.SeriesInstanceUID = "../../escaped"
        (tmp_path / "in").mkdir(exist_ok=True)
        data.save_as(tmp_path / "in" / path.name)
    run(tmp_path / "a" / "b" / "out", model, tmp_path / "in")
    assert (tmp_path / "a" / "b" / "out" / "_.._escaped" / TABLE).exists()
    assert not list(tmp_path.glob("*escaped*"))


def test_an_archive_is_named_in_the_results(chest: Path, model: Path, tmp_path: Path) -> None:
    scan = copy_of(chest, tmp_path / "in" / "ct.mha")
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        archive.write(scan, "x/ct.mha")
        archive.writestr("x/bad.nii.gz", b"broken")
    with pytest.raises(UserError, match=r"scan\.zip/x/bad\.nii\.gz: cannot be read"):
        run(tmp_path / "out", model, tmp_path / "scan.zip")
    text = (tmp_path / "out" / "summary.csv").read_text()
    assert "scan.zip/x/ct.mha" in text
    assert "unpacked" not in text + (tmp_path / "out" / "ct" / "done.json").read_text()
    assert not list((tmp_path / "out").glob(".unpacked*"))


def test_places_of_ones_own_come_out_as_they_went_in(chest: Path, model: Path, tmp_path: Path) -> None:
    ct = read_ct(chest)
    steps = ct.grid.spacing * ct.grid.direction.diagonal()
    points = [(ct.series_uid, *(ct.grid.origin + steps * n + 0.123456789)) for n in (20, 30)]
    columns = ["seriesuid", *XYZ]
    pd.DataFrame([*points, ("other", 0, 0, 0)], columns=columns).to_csv(tmp_path / "p.csv", index=False)
    run(tmp_path / "out", model, chest, "--candidates", tmp_path / "p.csv")
    written = pd.read_csv(tmp_path / "out" / chest.stem / SUBMISSION)
    assert sorted(written[columns].itertuples(index=False, name=None)) == sorted(points)
    table = pd.DataFrame(points, columns=columns)
    table.assign(coordX=9e9).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(UserError, match=r"points outside the scan: 2 \(lines 2, 3\)"):
        run(tmp_path / "out", model, chest, "--candidates", tmp_path / "p.csv")
    # A scan without places is not looked at; that it was not is said.
    table.assign(seriesuid="1.2").to_csv(tmp_path / "p.csv", index=False)
    (row,) = run(tmp_path / "out", model, chest, "--candidates", tmp_path / "p.csv").itertuples()
    assert row.status == "skipped"
    assert "has no row whose seriesuid is" in row.reason


def test_an_ensemble_and_its_spread(chest: Path, model: Path, tmp_path: Path) -> None:
    """A folder of models: the mean counts. Two equal models do not differ."""
    for fold in ("fold0", "fold1"):
        (tmp_path / "runs" / fold).mkdir(parents=True)
        shutil.copy(model, tmp_path / "runs" / fold / "model.pt")
    run(tmp_path / "out", tmp_path / "runs", chest)
    found = json.loads((tmp_path / "out" / chest.stem / JSON).read_text())
    assert len(found["models"]) == 2
    assert {each["spread"] for each in found["findings"]} == {0}
    with pytest.raises(UserError, match="a folder without models"):
        run(tmp_path / "out", chest.parent, chest)


def test_results_are_never_written_among_the_scans(chest_series: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / read_ct(chest_series).series_uid
    shutil.copytree(chest_series, folder)
    with pytest.raises(UserError, match="name another folder"):
        run(tmp_path, model, folder)
    assert {path.suffix for path in folder.iterdir()} == {".dcm"}


@pytest.mark.parametrize("uid", ["603192", "003264"])
def test_nodules_of_the_slabs_are_found(real_data: Path, tmp_path: Path, uid: str) -> None:
    """With the weights that come with the project."""
    (scan,) = (real_data / "slabs").rglob(f"*{uid}.mhd")
    nodules = pd.read_csv(real_data / "luna16" / "annotations.csv")
    nodules = nodules[nodules["seriesuid"] == scan.stem]
    ct = read_ct(scan)
    centers = xyz_to_irc(nodules[XYZ], ct.grid)
    nodules = nodules[((centers >= 0) & (centers < ct.hu.shape)).all(axis=1)]
    predict.main([str(scan), "--out", str(tmp_path / "out"), "--proposals", "50"])
    marks = pd.read_csv(tmp_path / "out" / scan.stem / SUBMISSION)
    for nodule in nodules.itertuples():
        away = np.linalg.norm(marks[XYZ] - [nodule.coordX, nodule.coordY, nodule.coordZ], axis=1)
        rank = int(np.flatnonzero(away < nodule.diameter_mm / 2)[0])
        print(f"rank {rank + 1}, {away[rank]:.1f} mm away")
        assert rank < 20


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(judged: Path, chest: Path, open_page: Open, width: int) -> None:
    """Quiet, whole and accessible; wheel and keys do what the page says."""
    opened = open_page(folders(judged, chest)[0] / PAGE, width)
    page = opened.page
    page.wait_for_function("() => [...document.querySelectorAll('canvas')].every((each) => each.width > 64)")
    assert opened.said == opened.outside == page.evaluate("window.violations") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.serious_faults == []
    assert page.locator("canvas").count() == 15
    assert page.get_by_text("no medical device").is_visible()

    def focused() -> str:
        found: str = page.evaluate("document.activeElement.id")
        return found

    for key, finding in (("n", "finding1"), ("n", "finding2"), ("n", "finding3"), ("p", "finding2")):
        page.keyboard.press(key)
        assert focused() == finding
    article = page.locator("#finding2")
    slider, canvas = article.locator("input").first, article.locator("canvas").first
    middle = int(slider.input_value())
    canvas.hover()
    page.mouse.wheel(0, -100)
    page.wait_for_function(f"() => document.querySelector('#finding2 input').value == {middle - 1}")
    with_cross = canvas.evaluate("each => each.toDataURL()")
    page.keyboard.press("c")
    assert canvas.evaluate("each => each.toDataURL()") != with_cross
    page.keyboard.press("r")
    assert int(slider.input_value()) == middle

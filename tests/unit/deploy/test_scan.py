"""A new scan: every format gives the same answers, and proposals lie in the lungs."""

from pathlib import Path

import numpy as np
import pandas as pd
import predict
import pytest
import SimpleITK as sitk

from conftest import Prepared
from luna.base.errors import UserError
from luna.config.phantom import PhantomSettings
from luna.data.tables import XYZ
from luna.deploy.scan import propose
from luna.imaging.ct import read_ct
from luna.imaging.geometry import xyz_to_irc
from luna.imaging.lungs import segment_lungs
from luna.phantom.dataset import make_phantom


@pytest.fixture(scope="module")
def scan(prepared: Prepared) -> Path:
    return Path(prepared.series["path"][0])


def points(prepared: Prepared, scan: Path, path: Path) -> pd.DataFrame:
    table = prepared.candidates[prepared.candidates["seriesuid"] == scan.stem]
    table.to_csv(path, index=False)
    return table


@pytest.mark.parametrize("suffix", [".mhd", ".mha", ".nii.gz", ".nrrd"])
def test_every_format(prepared: Prepared, scan: Path, model: Path, tmp_path: Path, suffix: str) -> None:
    listed = points(prepared, scan, tmp_path / "points.csv")
    copy = tmp_path / f"{scan.stem}{suffix}"
    sitk.WriteImage(sitk.ReadImage(str(scan)), str(copy))
    arguments = ["--model", str(model), "--candidates", f"{tmp_path}/points.csv", "--device", "cpu"]
    for name, path in (("original", scan), ("copy", copy)):
        predict.main([str(path), *arguments, "--out", f"{tmp_path}/{name}.csv"])
    tables = [pd.read_csv(tmp_path / f"{name}.csv") for name in ("original", "copy")]
    pd.testing.assert_frame_equal(*tables, atol=1e-3)
    assert len(tables[0]) == len(listed)
    assert list(tables[0].columns) == ["seriesuid", "coordX", "coordY", "coordZ", "probability"]
    assert tables[0]["probability"].is_monotonic_decreasing


def test_proposals_and_page(tmp_path: Path, model: Path) -> None:
    make_phantom(tmp_path, PhantomSettings(series=1, view="chest", size=128, slices=60), seed=3)
    scan = next((tmp_path / "subset0").glob("*.mhd"))
    ct = read_ct(scan)
    lungs = segment_lungs(ct.hu)
    assert 0.02 < lungs.mean() < 0.6
    proposed = propose(ct, 50)
    assert 0 < len(proposed) <= 50
    assert lungs[tuple(xyz_to_irc(proposed, ct.grid).T)].mean() > 0.95
    predict.main(
        [str(scan), "--model", str(model), "--out", f"{tmp_path}/out.csv", "--page", f"{tmp_path}/out.html",
         "--proposals", "50", "--shown", "5"]
    )  # fmt: skip
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "no medical device" in page
    assert page.count("<img") == 5
    assert "http" not in page
    assert len(pd.read_csv(tmp_path / "out.csv")) == len(proposed)


def test_no_lungs_no_proposals(prepared: Prepared, scan: Path) -> None:
    ct = read_ct(scan)
    body = type(ct)(ct.series_uid, np.zeros_like(ct.hu), ct.grid)
    with pytest.raises(UserError, match="no lungs were found in the scan"):
        propose(body, 10)


def test_a_scan_that_is_no_ct_of_a_chest(model: Path, tmp_path: Path) -> None:
    """It passes the same checks as a data set's CTs, before anything is written."""
    picture = np.arange(20 * 40 * 40).reshape(20, 40, 40) % 256
    sitk.WriteImage(sitk.GetImageFromArray(picture.astype(np.int16)), str(tmp_path / "1.2.mha"))
    with pytest.raises(UserError, match=r"1\.2\.mha: the voxels are within 0\.\.255"):
        predict.main([f"{tmp_path}/1.2.mha", "--model", str(model), "--out", f"{tmp_path}/out.csv"])
    assert not (tmp_path / "out.csv").exists()


def test_points_that_cannot_be_used(prepared: Prepared, scan: Path, model: Path, tmp_path: Path) -> None:
    table = points(prepared, scan, tmp_path / "points.csv")
    arguments = [
        str(scan),
        "--model",
        str(model),
        "--candidates",
        f"{tmp_path}/points.csv",
        "--out",
        f"{tmp_path}/o",
    ]
    table.assign(coordX=9e9).to_csv(tmp_path / "points.csv", index=False)
    with pytest.raises(UserError, match=r"points outside the scan: \d+ \(lines 2, 3, 4 and \d+ more\)"):
        predict.main(arguments)
    table.assign(seriesuid="1.2").to_csv(tmp_path / "points.csv", index=False)
    with pytest.raises(UserError, match="has no row whose seriesuid is"):
        predict.main(arguments)
    table.drop(columns="coordY").to_csv(tmp_path / "points.csv", index=False)
    with pytest.raises(UserError, match="column coordY is missing"):
        predict.main(arguments)


def test_the_real_chest_ct(real_data: Path, model: Path, tmp_path: Path) -> None:
    scan = real_data / "chest_ct" / "C3N-00247.mhd"
    predict.main([str(scan), "--model", str(model), "--out", f"{tmp_path}/out.csv", "--proposals", "40"])
    assert len(pd.read_csv(tmp_path / "out.csv")) == 40


def test_given_points_come_out_as_they_went_in(model: Path, tmp_path: Path) -> None:
    """Not as centres of their voxels, which with slices of 5 mm may lie outside the nodule."""
    hu = np.random.default_rng(0).integers(-1000, 200, (20, 40, 40), dtype=np.int16)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((0.7, 0.7, 5.0))
    sitk.WriteImage(image, str(tmp_path / "1.2.mha"))
    points = [("1.2", 10.3, 11.9, 52.4), ("1.2", 3.123456789, 20.0, 71.0)]
    pd.DataFrame(points, columns=["seriesuid", *XYZ]).to_csv(tmp_path / "points.csv", index=False)
    predict.main(
        [f"{tmp_path}/1.2.mha", "--model", str(model), "--candidates", f"{tmp_path}/points.csv",
         "--out", f"{tmp_path}/out.csv"]
    )  # fmt: skip
    written = pd.read_csv(tmp_path / "out.csv", dtype={"seriesuid": str})
    assert sorted(written[["seriesuid", *XYZ]].itertuples(index=False, name=None)) == sorted(points)

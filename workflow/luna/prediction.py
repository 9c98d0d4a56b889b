"""Apply a trained model to one new scan."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from luna.augment import to_input
from luna.crops import CropSettings, cut_block
from luna.ct import Ct, HuArray, read_ct
from luna.device import autocast
from luna.fileio import write_csv, write_text
from luna.froc import SUBMISSION_COLUMNS
from luna.geometry import irc_to_xyz, xyz_to_irc
from luna.inference import channels_last, load_model_file, model_from_file
from luna.lungs import propose
from luna.pages import render
from luna.pictures import LUNG_WINDOW_HU, png, three_planes
from luna.program import UserError
from luna.tables import IRC, XYZ, read_table

_BATCH = 64


@dataclass(frozen=True)
class ScanJob:
    """A scan, what to judge in it, and where the answers go.

    candidates: a table with coordX, coordY, coordZ in mm, and seriesuid of the scan; None proposes up
    to `proposals` places. page: an HTML page with the `shown` most suspicious crops, or None.
    """

    scan: Path
    model_file: Path
    candidates: Path | None
    out: Path
    page: Path | None
    proposals: int = 200
    shown: int = 30


def predict_scan(job: ScanJob, device: torch.device) -> pd.DataFrame:
    """Write a LUNA16 submission of the scan, most suspicious first, and the page; give the table.

    Raises UserError for a scan, model or table that cannot be read and for points outside the scan.
    """
    model_file = load_model_file(job.model_file)
    settings = CropSettings(tuple(model_file["crop"]), clip=tuple(model_file["clip"]))
    ct = read_ct(job.scan)
    centers = propose(ct, job.proposals) if job.candidates is None else read_points(job.candidates, ct)
    crops = np.empty((len(centers), *settings.block), dtype=np.int16)
    for crop, center in zip(crops, centers, strict=True):
        crop[:] = cut_block(ct, center, settings)
    probabilities = judge_crops(crops, model_file, device)
    order = np.argsort(-probabilities, kind="stable")
    table = pd.DataFrame(irc_to_xyz(centers, ct.grid).round(4), columns=XYZ)
    table.insert(0, "seriesuid", ct.series_uid)
    table = table.assign(probability=probabilities, **dict(zip(IRC, centers.T, strict=True))).iloc[order]
    write_csv(job.out, table[SUBMISSION_COLUMNS])
    if job.page is not None:
        write_text(job.page, _page(job, ct, table, crops[order], model_file))
    return table


def read_points(path: Path, ct: Ct) -> npt.NDArray[np.int64]:
    """Voxels (n, 3) irc of a table's points in a CT; rows of other series are left out."""
    table, problems = read_table(path, ["seriesuid", *XYZ])
    table = table[table["seriesuid"] == ct.series_uid]
    if not len(table) and not problems:
        problems = [f"{path}: has no row whose seriesuid is {ct.series_uid}"]
    centers = xyz_to_irc(table[XYZ].to_numpy(dtype=float).clip(-1e9, 1e9), ct.grid)
    outside = ((centers < 0) | (centers >= ct.hu.shape)).any(axis=1)
    problems += [f"{path}: line {line} lies outside the scan" for line in table.index[outside]]
    if problems:
        raise UserError("the candidates cannot be used", problems)
    return centers


def judge_crops(crops: HuArray, model_file: dict[str, Any], device: torch.device) -> npt.NDArray[np.float64]:
    """Probability of a nodule for int16 crops (n, index, row, column), float64 (n,)."""
    model = model_from_file(model_file, device)
    parts = [np.empty(0)]
    with torch.inference_mode(), autocast(device, model_file["recipe"]["precision"]):
        for start in range(0, len(crops), _BATCH):
            batch = torch.from_numpy(crops[start : start + _BATCH]).to(device)
            _, probabilities = model(channels_last(to_input(batch, tuple(model_file["crop"]))))
            parts.append(probabilities[:, 1].double().cpu().numpy())
    return np.concatenate(parts)


def _page(job: ScanJob, ct: Ct, table: pd.DataFrame, crops: HuArray, model_file: dict[str, Any]) -> str:
    rows = table.head(job.shown).to_dict("records")
    pictures = [
        row | {"image": png(three_planes(crop)), "irc": [row[name] for name in IRC]}
        for row, crop in zip(rows, crops, strict=False)
    ]
    origin = (
        "proposed by a simple search for bright blobs in the lungs, which misses nodules"
        if job.candidates is None
        else f"read from {job.candidates.name}"
    )
    values = {
        "series_uid": ct.series_uid, "shape": ct.hu.shape, "count": len(table), "origin": origin,
        "pictures": pictures, "model": model_file, "window": LUNG_WINDOW_HU,
        "above": int((table["probability"] > model_file["threshold"]).sum()),
    }  # fmt: skip
    return render("prediction.html.j2", values)

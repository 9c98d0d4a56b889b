"""Apply a trained model to a new scan."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from luna.base.arrays import FloatArray, HuArray
from luna.base.errors import UserError
from luna.base.files import write_csv, write_text
from luna.batches.dataset import LunaDataset
from luna.batches.loaders import make_loader
from luna.crops.sources import CtCrops
from luna.data.tables import IRC, XYZ, lines_text, read_table
from luna.imaging.blobs import find_blobs
from luna.imaging.ct import Ct, read_ct
from luna.imaging.geometry import irc_to_xyz, xyz_to_irc
from luna.imaging.lungs import segment_lungs
from luna.imaging.planes import LUNG_WINDOW_HU, three_planes
from luna.model.file import ModelFile
from luna.model.inference import predict
from luna.pages.png import png
from luna.pages.render import render
from luna.scoring.froc import SUBMISSION_COLUMNS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScanJob:
    """A scan, which places to look at in it, and where the results go.

    model_files: the mean of their probabilities counts. candidates: a table with coordX, coordY, coordZ
    in mm, and seriesuid of the scan; None proposes up to `proposals` places. page: an HTML page with the
    `shown` most suspicious crops, or None.
    """

    scan: Path
    model_files: list[Path]
    candidates: Path | None
    out: Path
    page: Path | None
    proposals: int = 200
    shown: int = 30


def predict_scan(job: ScanJob, device: torch.device) -> pd.DataFrame:
    """Write a LUNA16 submission of the scan, most suspicious first, and the page; return the table.

    Raises UserError for a scan, model or table that cannot be read and for points outside the scan.
    """
    _check_outputs(job)
    models = _load(job.model_files)
    networks = [trained.network(device) for trained in models]
    ct = read_ct(job.scan)
    for note in ct.notes:
        log.warning("%s: %s", job.scan, note)
    points = propose(ct, job.proposals) if job.candidates is None else read_points(job.candidates, ct)
    centers = xyz_to_irc(points, ct.grid)
    table = pd.DataFrame(points, columns=XYZ)
    table.insert(0, "seriesuid", ct.series_uid)
    table = table.assign(**dict(zip(IRC, centers.T, strict=True)))
    crops: list[HuArray] = []
    probabilities = np.empty(0)
    if len(table):
        dataset = LunaDataset(table.assign(**{"class": 0}), CtCrops(ct, centers, models[0].crop_settings))
        probabilities = _probabilities(models, networks, dataset, device)
        order = np.argsort(-probabilities, kind="stable")
        table = table.assign(probability=probabilities).iloc[order]
        crops = [dataset.crop(index) for index in order[: job.shown]]
    else:
        table = table.assign(probability=probabilities)
    write_csv(job.out, table[SUBMISSION_COLUMNS])
    if job.page is not None:
        write_text(job.page, _page(job, ct, table, crops, models))
    return table


def _check_outputs(job: ScanJob) -> None:
    """Raise UserError where a result would replace what is read, another result, or no file."""
    named = {"--candidates": job.candidates, "the scan": job.scan}
    named |= {f"the model {path.name}": path for path in job.model_files}
    outputs = [("--out", job.out)] + ([("--page", job.page)] if job.page else [])
    problems = []
    for option, path in outputs:
        problems += [f"{option}: {path} is {name}" for name, other in named.items() if _same(path, other)]
        if path.exists() and not path.is_file():
            problems.append(f"{option}: {path} is not a file")
        named[option] = path
    if problems:
        raise UserError("the results cannot be written there", problems)


def _same(path: Path, other: Path | None) -> bool:
    return other is not None and path.resolve() == other.resolve()


def propose(ct: Ct, most: int) -> FloatArray:
    """The most distinct bright blobs in the lungs, (n, 3) xyz in mm, to a tenth of a micrometre.

    Raises UserError where no lungs are found.
    """
    lungs = segment_lungs(ct.hu)
    if not lungs.any():
        raise UserError(
            f"{ct.series_uid}: no lungs were found in the scan, so no places can be proposed; is it a whole"
            " chest? Places of your own can be given with --candidates"
        )
    blobs = find_blobs(ct.hu, lungs, ct.grid.spacing[::-1])
    if not len(blobs.irc):
        raise UserError(
            f"{ct.series_uid}: no bright blobs were found in its lungs, so no places can be proposed"
        )
    return irc_to_xyz(blobs.irc[:most], ct.grid).round(4)


def read_points(path: Path, ct: Ct) -> FloatArray:
    """A table's points in a CT, (n, 3) xyz in mm as they stand there; rows of other series are left out."""
    table, found = read_table(path, ["seriesuid", *XYZ])
    problems = [problem.sentence for problem in found]
    table = table[table["seriesuid"] == ct.series_uid]
    if not len(table) and not problems:
        problems = [f"{path}: has no row whose seriesuid is {ct.series_uid}"]
    points = table[XYZ].to_numpy(dtype=float)
    centers = xyz_to_irc(points.clip(-1e9, 1e9), ct.grid)
    outside = ((centers < 0) | (centers >= ct.hu.shape)).any(axis=1)
    if outside.any():
        problems.append(
            f"{path}: points outside the scan: {outside.sum()} ({lines_text(table.index[outside])})"
        )
    if problems:
        raise UserError("the candidates cannot be used", problems)
    return points


def _load(paths: list[Path]) -> list[ModelFile]:
    """The models, which must see the same crops."""
    models = [ModelFile.load(path) for path in paths]
    if len({(trained.crop, trained.clip) for trained in models}) > 1:
        shapes = [
            f"{path}: crops of {each.crop}, HU {each.clip}" for path, each in zip(paths, models, strict=True)
        ]
        raise UserError("models of one kind are needed to take their mean", shapes)
    return models


def _probabilities(
    models: list[ModelFile], networks: list[nn.Module], dataset: LunaDataset, device: torch.device
) -> FloatArray:
    """The mean over the models, (n,)."""
    loader = make_loader(dataset, device, "threads", num_workers=2)
    each = [
        predict(network, loader, device, trained.recipe.precision).probabilities
        for trained, network in zip(models, networks, strict=True)
    ]
    return np.asarray(np.mean(each, axis=0))


def _page(job: ScanJob, ct: Ct, table: pd.DataFrame, crops: list[HuArray], models: list[ModelFile]) -> str:
    rows = table.head(job.shown).to_dict("records")
    pictures = [
        row | {"image": png(three_planes(crop)), "irc": [row[name] for name in IRC]}
        for row, crop in zip(rows, crops, strict=True)
    ]
    origin = (
        "proposed by a simple search for bright blobs in the lungs, which misses nodules"
        if job.candidates is None
        else f"read from {job.candidates.name}"
    )
    threshold = float(np.mean([trained.threshold for trained in models]))
    values = {
        "series_uid": ct.series_uid, "shape": ct.hu.shape, "count": len(table), "origin": origin,
        "pictures": pictures, "models": models, "threshold": threshold, "window": LUNG_WINDOW_HU,
        "above": int((table["probability"] > threshold).sum()),
    }  # fmt: skip
    return render("prediction.html.j2", values)

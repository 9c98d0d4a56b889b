"""The rod that models are measured with: real nodules and other bright blobs of real lungs.

They are in a folder that is not part of the project: real_nodules (132 nodules of LIDC-IDRI as cubes of 51
voxels of 1 mm), ricord_ct and chest_ct (two chest CTs). Nodules and blobs go through the same resampling.
What is tuned is tuned on one half of the patients; figures to report come from the other half.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "workflow"))

import numpy as np
import numpy.typing as npt
import pandas as pd
import SimpleITK as sitk
import torch
from scipy import ndimage

from luna.base.arrays import BoolArray, FloatArray, IntArray, Volume
from luna.base.randomness import rng
from luna.batches.augment import to_input
from luna.imaging.blobs import find_blobs
from luna.model.file import ModelFile
from luna.model.inference import probabilities_of
from luna.runtime.device import autocast
from luna.scoring.ranking import Ranking, areas

CUBE = 51
"""Voxels of 1 mm along each axis of a cube."""
CROP, SPACING_MM = (32, 48, 48), (1.25, 0.7, 0.7)
"""What the network sees, as LUNA16's CTs are: voxels, and mm between them."""
CLIP_HU = (-1000, 400)
"""The cubes were clipped at 400 HU when they were published, so all others are."""
BLOBS_A_CT = 445
FALSE_POSITIVES = 0.05
RESAMPLES = 500
TOUCHED_SHARE = 0.1
"""Share of soft tissue around a nodule above which it counts as attached."""
NEAREST_MM = 6.0
"""Distance from the nodule that the second control keeps."""


class Samples(NamedTuple):
    """Cubes in HU (n, 51, 51, 51), z y x, 1 mm; the patient of each; whether it is in the half for tuning."""

    cubes: npt.NDArray[np.int16]
    patient: npt.NDArray[np.str_]
    tuned: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rod:
    """What models are measured with: nodules, blobs of two other CTs, and blobs beside the nodules."""

    nodules: Samples
    blobs: Samples
    beside: Samples
    labels: pd.DataFrame


def parser_of(description: str) -> argparse.ArgumentParser:
    """A parser with the option `--data`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("LUNA_REAL_DATA", "../shared/data"))
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options; ends the program, with the reason, where the data are not there."""
    options = parser.parse_args()
    if not (options.data / "real_nodules").is_dir():
        print(f"skipped: {options.data}/real_nodules is not there", file=sys.stderr)
        sys.exit(0)
    return options


def read_rod(folder: Path) -> Rod:
    """Read or find all samples."""
    stored = np.load(folder / "real_nodules" / "cubes51.npz")
    # Their axes are row, column and z from top to bottom.
    hu, mask = (np.ascontiguousarray(stored[name].transpose(0, 3, 1, 2)[:, ::-1]) for name in ("hu", "mask"))
    patient = np.array([name.split("_")[0] for name in stored["name"]])
    names = np.unique(patient)
    half = rng(0, "halves of the patients").permutation(len(names)) < len(names) // 2
    tuned = np.isin(patient, names[half])
    labels = pd.read_csv(folder / "real_nodules" / "labels.csv").set_index("name").loc[stored["name"]]
    volume = mask.sum(axis=(1, 2, 3))
    labels["diameter_mm"] = (6 * volume / np.pi) ** (1 / 3)
    labels["touched"] = [_touched(*pair) for pair in zip(hu, mask, strict=True)]
    nodules = Samples(hu.astype(np.int16), patient, tuned)
    beside = _beside(nodules, mask)
    files = [folder / "ricord_ct" / "RICORD-1A-419639-000082.mha", folder / "chest_ct" / "C3N-00247.mhd"]
    parts = [_blobs_of(file) for file in files]
    blobs = Samples(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    return Rod(nodules, blobs, beside, labels)


def _blobs_of(file: Path) -> Samples:
    """The most distinct blobs of a CT; those of the right lung are for tuning, of the left for reporting."""
    image = sitk.ReadImage(str(file))
    hu = sitk.GetArrayFromImage(image).astype(np.float32)
    spacing = np.array(image.GetSpacing())[::-1]
    lungs = _lungs(hu)
    places = find_blobs(hu, lungs, spacing).irc
    middle = np.argwhere(lungs)[:, 2].mean()
    reach = (CUBE // 2 + 1) / spacing
    whole = ((places > reach) & (places < np.array(hu.shape) - 1 - reach)).all(axis=1)
    places = places[whole][:BLOBS_A_CT]
    cubes = np.stack([_cube(hu, place, spacing) for place in places])
    return Samples(cubes, np.full(len(places), file.parent.name), places[:, 2] < middle)


def _lungs(hu: Volume) -> BoolArray:
    """The large air regions inside the body, closed over their vessels slice by slice.

    Not the package's: if the blobs of the rod changed, its figures could not be compared with earlier ones.
    """
    air = hu < -500
    outside = np.zeros_like(air)
    for index, layer in enumerate(air):
        labels, _ = ndimage.label(layer)
        border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        outside[index] = np.isin(labels, border[border > 0])
    labels, _ = ndimage.label(air & ~outside)
    core = np.isin(labels, np.flatnonzero(np.bincount(labels.ravel())[1:] > 0.01 * hu.size) + 1)
    disk = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 6)
    return np.stack([ndimage.binary_closing(np.pad(layer, 8), disk)[8:-8, 8:-8] for layer in core])


def _cube(hu: Volume, place: IntArray, spacing: FloatArray) -> npt.NDArray[np.int16]:
    """The cube of 1 mm voxels around a voxel, trilinear."""
    reach = np.ceil((CUBE // 2 + 1) / spacing).astype(int)
    box = tuple(slice(p - r, p + r + 1) for p, r in zip(place, reach, strict=True))
    lines = [r + (np.arange(CUBE) - CUBE // 2) / step for r, step in zip(reach, spacing, strict=True)]
    grid = np.meshgrid(*lines, indexing="ij")
    return np.rint(ndimage.map_coordinates(hu[box], grid, order=1)).astype(np.int16)


def _touched(hu: npt.NDArray[np.int16], mask: npt.NDArray[np.uint8]) -> float:
    """Share of soft tissue in the layer 2 to 4 mm around a nodule."""
    away = ndimage.distance_transform_edt(mask == 0)
    return float((hu[(away > 2) & (away <= 4)] > -400).mean())


def _beside(nodules: Samples, mask: npt.NDArray[np.uint8]) -> Samples:
    """The second control: for each nodule's cube, the brightest blob of it that is 6 mm or more away.

    It is moved to the middle; what lies beyond the cube repeats its faces.
    """
    cubes = []
    for cube, inside in zip(nodules.cubes, mask, strict=True):
        air = ndimage.binary_closing(cube < -500, iterations=3)
        blobs = find_blobs(cube, air, np.ones(3)).irc
        far = ndimage.distance_transform_edt(~inside.astype(bool))[tuple(blobs.T)] > NEAREST_MM
        place = blobs[far][0] if far.any() else np.full(3, CUBE // 2)
        moved = ndimage.shift(cube, CUBE // 2 - place, order=0, mode="nearest")
        cubes.append(moved if far.any() else np.full_like(cube, -850))
    return Samples(np.stack(cubes), nodules.patient, nodules.tuned)


def crops_of(cubes: npt.NDArray[np.int16], size: tuple[int, int, int] = CROP) -> npt.NDArray[np.int16]:
    """The middles of cubes (n, 51, 51, 51) as the network sees them, clipped: (n, *size)."""
    lines = [
        (CUBE - 1) / 2 + (np.arange(count) - (count - 1) / 2) * step
        for count, step in zip(size, SPACING_MM, strict=True)
    ]
    grid = np.meshgrid(*lines, indexing="ij")
    crops = [
        ndimage.map_coordinates(cube.astype(np.float32), grid, order=1, mode="nearest") for cube in cubes
    ]
    return np.rint(np.clip(crops, *CLIP_HU)).astype(np.int16)


def scores(
    models: list[ModelFile], crops: npt.NDArray[np.int16], device: torch.device, flips: bool
) -> FloatArray:
    """Mean probability of the models for each crop (n,)."""
    total = np.zeros(len(crops))
    for trained in models:
        network = trained.network(device)
        with torch.inference_mode(), autocast(device, trained.recipe.precision):
            for start in range(0, len(crops), 64):
                batch = to_input(torch.from_numpy(crops[start : start + 64]), trained.crop)
                total[start : start + 64] += probabilities_of(network, batch.to(device), flips).cpu().numpy()
    return total / len(models)


def measures(positive: FloatArray, negative: FloatArray) -> dict[str, float]:
    """AUC, average precision, and recall at one false positive in 20 blobs."""
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    values = np.concatenate([positive, negative])
    threshold = np.quantile(negative, 1 - FALSE_POSITIVES)
    auc, average_precision = areas(*Ranking(labels, values).counts())
    return {
        "AUC": auc,
        "AP": average_precision,
        "recall": float((positive > threshold).mean()),
    }


def with_intervals(
    positive: FloatArray, patients: npt.NDArray[np.str_], negative: FloatArray
) -> dict[str, list[float]]:
    """Each measure with its 95 % interval: patients of the nodules are drawn again, and single blobs."""
    generator, names = rng(0, "transfer"), np.unique(patients)
    members = [np.flatnonzero(patients == name) for name in names]
    drawn = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([members[i] for i in generator.integers(len(names), size=len(names))])
        drawn.append(measures(positive[chosen], generator.choice(negative, len(negative))))
    table = pd.DataFrame(drawn)
    return {
        name: [value, *table[name].quantile([0.025, 0.975])]
        for name, value in measures(positive, negative).items()
    }


def groups(labels: pd.DataFrame) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Kinds of nodules: by diameter, by texture as a reader rated it, by what they touch."""
    edges = (0, 6, 10, 16, 60)
    for low, high in itertools.pairwise(edges):
        inside = labels["diameter_mm"].between(low, high, inclusive="left")
        yield f"{low} to {high} mm" if low else f"under {high} mm", inside.to_numpy()
    for name, ratings in (("ground glass", (1, 2)), ("part-solid", (3, 4)), ("solid", (5,))):
        yield name, labels["texture"].isin(ratings).to_numpy()
    attached = (labels["touched"] > TOUCHED_SHARE).to_numpy()
    yield "touching wall or vessels", attached
    yield "free", ~attached


def spread(values: "pd.Series[float]") -> str:
    """Mean and range."""
    return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"

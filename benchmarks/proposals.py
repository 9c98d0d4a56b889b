"""How many real nodules the search for places finds, and what it finds in whole chests.

python benchmarks/proposals.py --data FOLDER [--chests N]

The nodules are those of rod.py, in cubes of 51 mm. They compete with everything that is proposed in a whole
CT of another patient: a nodule counts as found at N proposals where each step of the search would keep it
among that CT's. The CT has no annotations, so some of what outranks a nodule there may be one.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from luna.base.arrays import BoolArray, FloatArray
from luna.base.randomness import rng
from luna.config.phantom import PhantomSettings
from luna.imaging.blobs import find_blobs
from luna.imaging.ct import Ct, read_ct
from luna.imaging.geometry import Grid
from luna.imaging.lungs import AIR_HU, close_lungs, find_lungs
from luna.model.shipped import shipped_models, shipped_sieve
from luna.phantom.dataset import draw_series
from luna.runtime.cores import usable_threads
from luna.runtime.device import prepared_device
from luna.scans.findings import measure
from luna.scans.models import LoadedModel, Models, load_models
from luna.scans.propose import BLOBS, HALVED, SIFTED, propose
from rod import CUBE, RESAMPLES, SPACING_MM, groups, parsed, parser_of, read_rod

COUNTS = (50, 100, 200, 500)
LEAST_MM = 4.0
"""Smaller nodules are left out."""
HITS = 3
"""Blobs in one nodule that are judged, at most."""
PADDED_MM = 24
"""Around a cube its faces are repeated, so that its lung is closed as in a whole chest."""
NODULES = 6
"""Mean number in a phantom chest."""
PROBABILITIES = (0.5, 0.1)


class Scores(NamedTuple):
    """What each step of the search says of places: response, small network, first large one, all of them."""

    response: FloatArray
    sieve: FloatArray
    first: FloatArray
    mean: FloatArray


def scores_of(ct: Ct, inside: BoolArray, models: Models, near: FloatArray | None) -> Scores:
    """Of the blobs in a CT; with `near` (center irc, radius in mm) only of those in a nodule."""
    spacing = ct.grid.spacing[::-1]
    blobs = find_blobs(ct.hu, inside, spacing)
    chosen = np.ones(len(blobs.irc), dtype=bool)
    if near is not None:
        away = np.linalg.norm((blobs.irc - near[:3]) * spacing, axis=1)
        chosen = away < max(near[3], 1.0)
    irc, response = blobs.irc[chosen], blobs.response[chosen]
    if near is not None:
        irc, response = irc[:HITS], response[:HITS]
    each = np.stack([model.probabilities(ct, irc) for model in models.ensemble])
    return Scores(response, models.sieve.probabilities(ct, irc), each[0], each.mean(axis=0))


def found_at(nodule: Scores, others: Scores, most: int) -> bool:
    """Whether one of a nodule's blobs would be among so many proposals of a CT with other blobs."""
    left = np.ones(len(others.response), dtype=bool)
    kept = np.ones(len(nodule.response), dtype=bool)
    steps = (
        (BLOBS, "response"),
        (max(SIFTED, HALVED * most), "sieve"),
        (HALVED * most, "first"),
        (most, "mean"),
    )
    for count, name in steps:
        values = np.sort(getattr(others, name)[left])[::-1]
        limit = values[count - 1] if len(values) >= count else -np.inf
        kept &= getattr(nodule, name) > limit
        left &= getattr(others, name) >= limit
    return bool(kept.any())


def cube_ct(cube: npt.NDArray[np.int16], name: str) -> tuple[Ct, BoolArray]:
    """A cube at the spacing of LUNA16's CTs, and its lung."""
    lines = [np.arange(0, CUBE - 1, step) for step in SPACING_MM]
    grid = np.meshgrid(*lines, indexing="ij")
    hu = np.rint(ndimage.map_coordinates(cube.astype(np.float32), grid, order=1)).astype(np.int16)
    spacing = np.array(SPACING_MM)
    pad = [(int(PADDED_MM / step),) * 2 for step in spacing]
    lung = close_lungs(np.pad(hu < AIR_HU, pad, mode="edge"), spacing)
    inside = lung[tuple(slice(before, -after) for before, after in pad)]
    return Ct(name, hu, Grid(np.zeros(3), spacing[::-1], np.eye(3))), inside


def recall_lines(folder: Path, models: Models) -> Iterator[str]:
    """Recall of the nodules at several numbers of proposals, as lines of Markdown."""
    rod = read_rod(folder)
    masks = np.load(folder / "real_nodules" / "cubes51.npz")["mask"].transpose(0, 3, 1, 2)[:, ::-1]
    ct = read_ct(folder / "ricord_ct" / "RICORD-1A-419639-000082.mha")
    inside = find_lungs(ct.hu, ct.grid.spacing[::-1]).voxels(ct.hu.shape)
    others = scores_of(ct, inside, models, None)
    found = []
    for number, (cube, mask) in enumerate(zip(rod.nodules.cubes, masks, strict=True)):
        one, lung = cube_ct(cube, str(number))
        center = np.argwhere(mask).mean(axis=0) / SPACING_MM
        near = np.array([*center, rod.labels["diameter_mm"].iloc[number] / 2])
        scores = scores_of(one, lung, models, near)
        found.append([found_at(scores, others, most) for most in COUNTS])
    table = pd.DataFrame(found, columns=COUNTS)
    large = (rod.labels["diameter_mm"] >= LEAST_MM).to_numpy()
    yield f"{len(others.response)} blobs in the CT. Recall at so many proposals:\n"
    yield f"| nodules of {LEAST_MM:g} mm and more | number | {' | '.join(map(str, COUNTS))} |"
    yield "|---|---|" + "---|" * len(COUNTS)
    tuned = rod.nodules.tuned
    rows = [("all", large), ("half for tuning", large & tuned), ("reported half", large & ~tuned)]
    rows += [(name, large & part) for name, part in groups(rod.labels) if (large & part).any()]
    for name, part in rows:
        figures = [with_interval(table[most].to_numpy()[part], rod.nodules.patient[part]) for most in COUNTS]
        yield f"| {name} | {part.sum()} | {' | '.join(figures)} |"


def with_interval(found: BoolArray, patients: npt.NDArray[np.str_]) -> str:
    """A share with its 95 % interval, drawing patients again."""
    generator, names = rng(0, "proposals"), np.unique(patients)
    members = [found[patients == name] for name in names]
    drawn = [
        np.concatenate([members[i] for i in generator.integers(len(names), size=len(names))]).mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{found.mean():.3f} ({low:.3f} to {high:.3f})"


def chest_lines(count: int, models: Models) -> Iterator[str]:
    """What predict finds in whole phantom chests, as lines of Markdown."""
    settings = PhantomSettings(series=count, view="chest", size=384, slices=200, nodules=NODULES)
    hits, false = [], dict.fromkeys(PROBABILITIES, 0)
    for chest in range(count):
        drawn = draw_series(settings, 1, chest)
        ct = Ct(str(chest), drawn.hu, drawn.grid)
        spacing = ct.grid.spacing[::-1]
        lungs = find_lungs(ct.hu, spacing)
        proposals = propose(ct, lungs.voxels(ct.hu.shape), models, 200)
        findings = measure(ct, lungs, proposals, min(PROBABILITIES), 1000).findings
        places = np.array([(each.index, each.row, each.column) for each in findings]).reshape(-1, 3)
        probability = np.array([each.probability for each in findings])
        taken = np.zeros(len(findings), dtype=bool)
        for number, nodule in enumerate([*drawn.nodules, *drawn.excluded]):
            away = np.linalg.norm((places - nodule.center_irc) * spacing, axis=1)
            of_it = away < nodule.diameter_mm / 2
            taken |= of_it
            best = float(probability[of_it].max(initial=0))
            if nodule.diameter_mm >= LEAST_MM and number < len(drawn.nodules):
                hits.append((nodule.diameter_mm, nodule.kind, best))
        for least in PROBABILITIES:
            false[least] += int((~taken & (probability >= least)).sum())
    table = pd.DataFrame(hits, columns=["diameter_mm", "kind", "probability"])
    yield f"\n{count} phantom chests, {len(table)} nodules of {LEAST_MM:g} mm and more:\n"
    yield "| probability of at least | " + " | ".join(f"{least:g}" for least in PROBABILITIES) + " |"
    yield "|---|" + "---|" * len(PROBABILITIES)
    yield "| other findings a scan | " + " | ".join(f"{false[p] / count:.1f}" for p in PROBABILITIES) + " |"
    bands = pd.cut(table["diameter_mm"], [LEAST_MM, 6, 10, 16, 60], right=False)
    for band, part in [("all", table), *table.groupby(bands, observed=True)]:
        name = band if isinstance(band, str) else f"{band.left:g} to {band.right:g} mm"
        shares = [f"{(part['probability'] >= least).mean():.2f}" for least in PROBABILITIES]
        yield f"| recall, {name} ({len(part)}) | {' | '.join(shares)} |"


def main() -> None:
    parser = parser_of(__doc__ or "")
    parser.add_argument("--chests", type=int, default=0, help="whole phantom chests to look at")
    options = parsed(parser)
    with prepared_device("cpu", usable_threads(2)) as device:
        models = Models(load_models(shipped_models(), device), LoadedModel.load(shipped_sieve(), device))
        for line in recall_lines(options.data, models):
            print(line, flush=True)
        for line in chest_lines(options.chests, models) if options.chests else ():
            print(line, flush=True)


if __name__ == "__main__":
    main()

"""Make a phantom data set in LUNA16's format: drawn chests, or a real CT, with nodules laid in.

The drawn chest is simple anatomy in millimetres: a body with fat, ribs and a spine, two lungs
with branching vessels, correlated noise, and padding outside the round field of view. It is made
to give the whole workflow something honest to learn from, not to look like a patient.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from luna.ct import HuArray, read_ct
from luna.fileio import atomic_path, write_csv, write_text
from luna.geometry import FloatArray, Grid, irc_to_xyz
from luna.lungs import segment_lungs
from luna.program import UserError
from luna.progress import progress
from luna.uids import phantom_series_uid

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

PADDING_HU = -3024
"""What LUNA16's scanners write outside the round field of view."""
VESSEL_HU = 0
SUBSETS = 10
_SLICE_SPACINGS = (0.75, 1.0, 1.25, 1.5, 2.0)
_FLIPPED = np.diag([-1.0, -1.0, 1.0])
_SMALLEST_MM, _LARGEST_MM = 3.0, 25.0


@dataclass(frozen=True)
class PhantomSettings:
    """What to make. `size` is rows and columns, `slices` and `candidates` are means per series."""

    series: int = 40
    size: int = 144
    slices: int = 72
    candidates: int = 80
    seed: int = 0
    background: Path | None = None


@dataclass(frozen=True)
class Anatomy:
    """A chest without nodules: HU (float32), where the lungs are (vessels included), the vessels."""

    hu: Volume
    lungs: Mask
    vessels: Mask
    grid: Grid


@dataclass(frozen=True)
class Nodule:
    """A nodule in the CT: centre in voxels (irc, float) and diameter in mm."""

    center_irc: FloatArray
    diameter_mm: float


def make_phantom(folder: Path, settings: PhantomSettings, processes: int = 1) -> None:
    """Write the data set below `folder`: subset0..9/UID.mhd + .raw, annotations.csv, candidates.csv.

    The same settings give the same bytes, however many processes work. Raises UserError when the
    background CT has no lungs or the disk is full.
    """
    numbers = range(settings.series)
    for subset in range(SUBSETS):
        (folder / f"subset{subset}").mkdir(parents=True, exist_ok=True)
    if processes == 1:
        made = [
            make_series(folder, settings, number) for number in progress(numbers, "phantom", settings.series)
        ]
    else:
        with ProcessPoolExecutor(processes) as pool:
            jobs = pool.map(make_series, *zip(*((folder, settings, n) for n in numbers), strict=True))
            made = list(progress(jobs, "phantom", settings.series))
    for name, tables in zip(("annotations", "candidates"), zip(*made, strict=True), strict=True):
        write_csv(folder / f"{name}.csv", pd.concat(tables))


def make_series(folder: Path, settings: PhantomSettings, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write one CT; return its rows of annotations.csv and of candidates.csv."""
    rng = np.random.default_rng([settings.seed, number])
    uid = phantom_series_uid(settings.seed, number)
    if settings.background is None:
        anatomy = draw_chest(rng, settings)
    else:
        anatomy = chest_from_ct(rng, settings.background)
    nodules = place_nodules(rng, anatomy)
    for nodule in nodules:
        draw_nodule(rng, anatomy, nodule)
    hu = np.rint(np.clip(anatomy.hu, PADDING_HU, 3071)).astype("<i2")
    write_mhd(folder / f"subset{number % SUBSETS}" / f"{uid}.mhd", hu, anatomy.grid)
    points, classes = list_candidates(rng, anatomy, nodules, settings.candidates)
    return (
        _table(
            uid, np.array([nodule.center_irc for nodule in nodules]), anatomy.grid,
            "diameter_mm", np.round([nodule.diameter_mm for nodule in nodules], 6),
        ),
        _table(uid, points, anatomy.grid, "class", classes),
    )  # fmt: skip


def write_mhd(path: Path, hu: HuArray, grid: Grid) -> None:
    """Write a CT as MetaImage: the header at `path`, the int16 voxels beside it as .raw."""
    raw = path.with_suffix(".raw")
    with atomic_path(raw) as temporary:
        hu.tofile(temporary)

    def words(values: npt.ArrayLike) -> str:
        return " ".join(f"{value:.12g}" for value in np.asarray(values).ravel())

    write_text(
        path,
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = False\n"
        f"TransformMatrix = {words(grid.direction.T)}\nOffset = {words(grid.origin)}\n"
        "CenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
        f"ElementSpacing = {words(grid.spacing)}\nDimSize = {words(hu.shape[::-1])}\n"
        f"ElementType = MET_SHORT\nElementDataFile = {raw.name}\n",
    )


def draw_chest(rng: np.random.Generator, settings: PhantomSettings) -> Anatomy:
    """Draw a chest. The body grows with `size`, from 80 mm at 64 to 360 mm at 512 columns."""
    slices = max(12, round(settings.slices * rng.uniform(0.7, 1.3)))
    field_mm = np.interp(settings.size, [64, 512], [80, 360]) * rng.uniform(0.92, 1.08)
    spacing = np.array([field_mm / settings.size] * 2 + [rng.choice(_SLICE_SPACINGS)]).round(6)
    grid = Grid(
        origin=np.round([*(rng.normal(0, 20, 2) - field_mm / 2), rng.uniform(-400, 200)], 6),
        spacing=spacing,
        direction=_FLIPPED if rng.random() < 0.2 else np.eye(3),
    )
    z = ((np.arange(slices) - (slices - 1) / 2) * spacing[2]).astype(np.float32)
    y = x = ((np.arange(settings.size) - (settings.size - 1) / 2) * spacing[0]).astype(np.float32)
    axes = (z[:, None, None], y[None, :, None], x[None, None, :])
    hu, lungs, lung_boxes = _draw_trunk(rng, axes, float(field_mm))
    vessels = np.zeros(hu.shape, dtype=np.float32)
    for center, semi_axes in lung_boxes:
        for start, end, radius in _vessel_tree(rng, center, semi_axes):
            _draw_segment(vessels, (z, y, x), start, end, radius)
    vessels *= lungs
    hu += vessels * (VESSEL_HU - hu)
    hu += _correlated_noise(rng, hu.shape, (0.4, 0.7, 0.7), rng.uniform(15, 30))
    hu += _correlated_noise(rng, hu.shape, (1.5, 2.5, 2.5), rng.uniform(10, 25)) * lungs
    hu[:, (y[:, None] ** 2 + x[None, :] ** 2) > (field_mm / 2) ** 2] = PADDING_HU
    return Anatomy(hu, lungs > 0.5, (vessels > 0.5) & (lungs > 0.5), grid)


def chest_from_ct(rng: np.random.Generator, path: Path) -> Anatomy:
    """A real CT as background: mirrored in half of the series and with a little noise added."""
    ct = read_ct(path)
    hu = ct.hu.astype(np.float32)
    if rng.random() < 0.5:
        hu = np.ascontiguousarray(hu[:, :, ::-1])
    lungs = segment_lungs(hu)
    if not lungs.any():
        raise UserError(f"{path}: no lungs found in it, so it cannot be a background")
    vessels = lungs & (hu > -400) & ndimage.binary_erosion(lungs, iterations=2)
    hu += _correlated_noise(rng, hu.shape, (0.4, 0.7, 0.7), 10)
    return Anatomy(hu, lungs, vessels, ct.grid)


def place_nodules(rng: np.random.Generator, anatomy: Anatomy) -> list[Nodule]:
    """One to three nodules: isolated, on a vessel or at the pleura, none touching another."""
    places = _places(anatomy)
    kinds = [places["lung"], places["vessel"], places["pleura"]]
    nodules: list[Nodule] = []
    for _ in range(rng.choice([1, 2, 3], p=[0.2, 0.3, 0.5])):
        for _attempt in range(50):
            voxels = kinds[rng.choice(3, p=[0.5, 0.3, 0.2])]
            if not len(voxels):
                continue
            diameter = float(np.clip(rng.lognormal(np.log(10), 0.4), _SMALLEST_MM, _LARGEST_MM))
            center = voxels[rng.integers(len(voxels))] + rng.uniform(-0.5, 0.5, 3)
            room = [_distance_mm(anatomy.grid, center, other.center_irc) for other in nodules]
            reach = [(diameter + other.diameter_mm) / 2 + 4 for other in nodules]
            if all(have > need for have, need in zip(room, reach, strict=True)):
                nodules.append(Nodule(center, diameter))
                break
    return nodules


def draw_nodule(rng: np.random.Generator, anatomy: Anatomy, nodule: Nodule) -> None:
    """Blend a nodule into the HU: nearly round, lobed, with a soft edge; some are part-solid."""
    spacing = anatomy.grid.spacing[::-1]
    radius = nodule.diameter_mm / 2
    box, offsets = _box_around(anatomy.hu.shape, nodule.center_irc, (radius + 3) / spacing)
    delta = [offset * step for offset, step in zip(offsets, spacing, strict=True)]
    stretch = rng.normal(1, 0.06, 3)
    distance = np.sqrt(sum((d / s) ** 2 for d, s in zip(delta, stretch, strict=True)))
    wave, phase = rng.normal(0, 2.5 / radius, 3), rng.uniform(0, 2 * np.pi)
    lobes = 1 + 0.08 * np.sin(sum(d * w for d, w in zip(delta, wave, strict=True)) + phase)
    softness = rng.uniform(0.3, 0.6)
    share = 1 / (1 + np.exp(np.clip((distance - radius * lobes) / softness, -30, 30)))
    density = rng.uniform(-350, -150) if rng.random() < 0.1 else rng.normal(80, 40)
    patch = anatomy.hu[box]
    patch += (share * np.maximum(density - patch, 0)).astype(np.float32)


def list_candidates(
    rng: np.random.Generator, anatomy: Anatomy, nodules: list[Nodule], mean: int
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Candidate locations (irc) and classes: most nodules, some twice, and distractors."""
    points: list[FloatArray] = []
    for nodule in nodules:
        hits = rng.choice(3, p=[0.05, 0.65, 0.3])
        for _ in range(hits):
            away = rng.normal(0, 1, 3)
            away *= rng.uniform(0, 0.3) * nodule.diameter_mm / np.linalg.norm(away)
            points.append(nodule.center_irc + away / anatomy.grid.spacing[::-1])
    hits_made = len(points)
    wanted = max(0, rng.poisson(mean) - hits_made)
    points.extend(_distractors(rng, anatomy, nodules, wanted))
    classes = (np.arange(len(points)) < hits_made).astype(np.int64)
    order = rng.permutation(len(points))
    return np.array(points).reshape(-1, 3)[order], classes[order]


def _distractors(
    rng: np.random.Generator, anatomy: Anatomy, nodules: list[Nodule], wanted: int
) -> Iterator[FloatArray]:
    places = _places(anatomy)
    kinds = [places[name] for name in ("vessel", "crossing", "pleura", "lung")]
    for _attempt in range(20 * wanted):
        if wanted == 0:
            return
        voxels = kinds[rng.choice(4, p=[0.3, 0.2, 0.2, 0.3])]
        if not len(voxels):
            continue
        point = voxels[rng.integers(len(voxels))] + rng.uniform(-0.5, 0.5, 3)
        if all(
            _distance_mm(anatomy.grid, point, nodule.center_irc) > nodule.diameter_mm / 2 + 4
            for nodule in nodules
        ):
            wanted -= 1
            yield point


def _places(anatomy: Anatomy) -> dict[str, npt.NDArray[np.int64]]:
    """Voxels (n, 3) of each kind of place a nodule or a distractor can sit at."""
    inner = ndimage.binary_erosion(anatomy.lungs, iterations=2)
    density = ndimage.uniform_filter(anatomy.vessels.astype(np.float32), 7)
    inside_vessel = density[anatomy.vessels]
    busy = np.quantile(inside_vessel, 0.85) if inside_vessel.size else 1
    # A crop at the first or last slices is shifted inwards and loses its candidate from its
    # centre. In LUNA16, with 250 slices, that is rare; so it is kept rare here, where slices are few.
    slices = len(anatomy.lungs)
    middle = slice(slices // 5, slices - slices // 5)
    return {
        name: np.argwhere(kind[middle]) + np.array([middle.start, 0, 0])
        for name, kind in (
            ("lung", inner & ~anatomy.vessels),
            ("vessel", anatomy.vessels),
            ("crossing", anatomy.vessels & (density >= busy)),
            ("pleura", anatomy.lungs & ~inner),
        )
    }


def _distance_mm(grid: Grid, a_irc: FloatArray, b_irc: FloatArray) -> float:
    return float(np.linalg.norm((a_irc - b_irc) * grid.spacing[::-1]))


def _table(uid: str, points_irc: FloatArray, grid: Grid, name: str, values: npt.ArrayLike) -> pd.DataFrame:
    xyz = np.round(irc_to_xyz(points_irc, grid), 6)
    return pd.DataFrame(
        {"seriesuid": uid, "coordX": xyz[:, 0], "coordY": xyz[:, 1], "coordZ": xyz[:, 2], name: values}
    )


def _box_around(
    shape: tuple[int, ...], center: FloatArray, reach: FloatArray
) -> tuple[tuple[slice, ...], list[FloatArray]]:
    """The box within `reach` voxels of a centre, and each axis' offsets from it, for broadcasting."""
    box = tuple(
        slice(max(0, int(np.floor(c - r))), min(n, int(np.ceil(c + r)) + 1))
        for c, r, n in zip(center, reach, shape, strict=True)
    )
    offsets = [np.arange(part.start, part.stop) - c for part, c in zip(box, center, strict=True)]
    return box, [offsets[0][:, None, None], offsets[1][None, :, None], offsets[2][None, None, :]]


def _ellipse(u: Volume, v: Volume, a: float, b: float, edge_mm: float) -> Volume:
    """1 inside an ellipse of semi-axes a and b (mm), 0 outside, a ramp of `edge_mm` between."""
    inside = (1 - np.sqrt((u / a) ** 2 + (v / b) ** 2)) * min(a, b) / edge_mm + 0.5
    return np.clip(inside, 0, 1)


def _draw_trunk(
    rng: np.random.Generator, axes: tuple[Volume, Volume, Volume], field_mm: float
) -> tuple[Volume, Volume, list[tuple[FloatArray, FloatArray]]]:
    """HU of body and lungs, the lungs' share of each voxel, and each lung's centre and semi-axes (zyx)."""
    z, y, x = axes
    edge = float(x.ravel()[1] - x.ravel()[0])
    width, depth = field_mm * rng.uniform(0.42, 0.46), field_mm * rng.uniform(0.33, 0.37)
    height = float(np.abs(z).max()) * rng.uniform(1.1, 1.5) + 5
    body = _ellipse(x, y, width, depth, edge)
    muscle = _ellipse(x, y, width * 0.93, depth * 0.91, edge)
    hu = np.broadcast_to(-1000 + body * 900 + muscle * 140, (z.size, y.size, x.size)).astype(np.float32)
    angle = np.arctan2(y / depth, x / width)
    ring = np.exp(-(((np.hypot(x / width, y / depth) - 0.86) / 0.025) ** 2))
    hu += 350 * ring * (np.cos(z / 12 + 2 * np.cos(angle)) > 0.6)
    hu += 260 * _ellipse(x, y - depth * 0.62, width * 0.13, depth * 0.16, edge)
    profile = np.sqrt(np.clip(1 - (z / height) ** 2, 0.05, 1))
    lungs = np.zeros_like(hu)
    boxes = []
    for side in (-1, 1):
        a, b = width * rng.uniform(0.33, 0.38), depth * rng.uniform(0.66, 0.74)
        center_x = side * width * rng.uniform(0.42, 0.45)
        lungs = np.maximum(
            lungs, _ellipse((x - center_x) / profile, (y + 0.02 * depth) / profile, a, b, edge)
        )
        boxes.append((np.array([0.0, -0.02 * depth, center_x]), np.array([height, b, a])))
    lungs = lungs.astype(np.float32)
    hu += lungs * (rng.uniform(-880, -820) - hu)
    return hu, lungs, boxes


def _vessel_tree(
    rng: np.random.Generator, center: FloatArray, semi_axes: FloatArray
) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Segments (start zyx mm, end zyx mm, radius mm) that branch out from the lung's hilum."""
    hilum = center - np.array([0, 0, np.sign(center[2]) * semi_axes[2] * 0.8])
    reach = float(semi_axes[2])
    branches = []
    for _ in range(7):
        target = center + rng.uniform(-0.85, 0.85, 3) * semi_axes
        start = hilum + np.array([rng.uniform(-0.6, 0.6) * semi_axes[0], 0, 0])
        heading = target - start
        branches.append((start, heading / np.linalg.norm(heading), rng.uniform(1.4, 2.2), 0.55 * reach))
    while branches:
        start, heading, radius, length = branches.pop()
        end = start + heading * length * rng.uniform(0.7, 1.3)
        yield start, end, radius
        if radius > 0.9:
            for _ in range(2):
                bent = heading + rng.normal(0, 0.45, 3)
                bent /= np.linalg.norm(bent)
                branches.append((end, bent, radius * rng.uniform(0.6, 0.8), length * 0.75))


def _draw_segment(
    vessels: Volume,
    axes: tuple[npt.NDArray[np.float32], ...],
    start: FloatArray,
    end: FloatArray,
    radius: float,
) -> None:
    """Raise the vessels' share of each voxel to that of a capsule between two points (zyx, mm)."""
    low, high = np.minimum(start, end) - radius - 2, np.maximum(start, end) + radius + 2
    box = tuple(
        slice(int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b)))
        for axis, a, b in zip(axes, low, high, strict=True)
    )
    if any(part.start >= part.stop for part in box):
        return
    z, y, x = (axis[part] for axis, part in zip(axes, box, strict=True))
    points = [z[:, None, None] - start[0], y[None, :, None] - start[1], x[None, None, :] - start[2]]
    line = end - start
    along = sum(p * c for p, c in zip(points, line, strict=True)) / max(float(line @ line), 1e-6)
    along = np.clip(along, 0, 1)
    squared = sum((p - along * c) ** 2 for p, c in zip(points, line, strict=True))
    share = np.clip((radius - np.sqrt(squared)) / 1.0 + 0.5, 0, 1)
    np.maximum(vessels[box], share, out=vessels[box], casting="same_kind")


def _correlated_noise(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, ...], hu: float
) -> Volume:
    """Gaussian noise smoothed over `sigma` voxels, with a standard deviation of `hu`."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return np.asarray(noise * (hu / noise.std()), dtype=np.float32)

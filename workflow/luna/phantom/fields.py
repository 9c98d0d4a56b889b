"""Where voxels lie in the body, and smooth random fields over them."""

from typing import NamedTuple

import numpy as np

from luna.base.arrays import FloatArray, IntArray, Volume

_SPLINE_VARIANCE = 0.479
"""Mean variance, per axis, of a cubic B-spline whose coefficients are independent and have variance 1."""


Box = tuple[slice, slice, slice]


class Axes(NamedTuple):
    """Body coordinates of voxels in mm, float32: z up, y to the back, x to the patient's left.

    Shapes (n, 1, 1), (1, m, 1) and (1, 1, k), so that they broadcast to a volume.
    """

    z: Volume
    y: Volume
    x: Volume

    @classmethod
    def of(cls, z: Volume, y: Volume, x: Volume) -> "Axes":
        """Axes of places along each, (n,), (m,) and (k,) in mm."""
        return cls(z[:, None, None], y[None, :, None], x[None, None, :])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Index, row, column."""
        return self.z.size, self.y.size, self.x.size

    @property
    def steps(self) -> FloatArray:
        """From one voxel to the next along z, y and x in mm, (3,); negative where an axis runs backwards.

        1 along an axis of a single voxel: whether a place lies at it does not depend on the step.
        """
        lines = [axis.ravel() for axis in self]
        return np.array([float(line[1]) - float(line[0]) if line.size > 1 else 1.0 for line in lines])

    @property
    def spacing(self) -> FloatArray:
        """Distance between voxels along z, y and x in mm, (3,)."""
        return np.asarray(np.fabs(self.steps))

    @property
    def corners(self) -> tuple[FloatArray, FloatArray]:
        """The lowest and the highest z, y and x in mm, (3,) each."""
        return np.array([axis.min() for axis in self]), np.array([axis.max() for axis in self])

    def at(self, irc: FloatArray | IntArray) -> FloatArray:
        """The point (z, y, x) in mm of a place in voxels; it may lie between them."""
        return np.asarray(self._firsts + np.asarray(irc) * self.steps, dtype=np.float64)

    def irc_of(self, point: FloatArray) -> FloatArray:
        """The place in voxels of a point (z, y, x) in mm."""
        return np.asarray((point - self._firsts) / self.steps, dtype=np.float64)

    @property
    def _firsts(self) -> FloatArray:
        return np.array([float(axis.ravel()[0]) for axis in self])

    def box(self, low: FloatArray, high: FloatArray) -> Box:
        """The voxels between two corners (z, y, x) in mm; it may be empty."""
        return self.boxes(low[None], high[None])[0]

    def boxes(self, low: FloatArray, high: FloatArray) -> list[Box]:
        """The voxels between each pair of corners, (n, 3) in mm."""
        ends = np.sort([self.irc_of(low), self.irc_of(high)], axis=0)
        starts = np.clip(np.ceil(ends[0]), 0, self.shape).astype(int)
        stops = np.clip(np.floor(ends[1]) + 1, starts, self.shape).astype(int)
        return [
            (slice(a, b), slice(c, d), slice(e, f))
            for a, b, c, d, e, f in np.stack([starts, stops], axis=2).reshape(-1, 6).tolist()
        ]

    def part(self, box: Box) -> "Axes":
        """The coordinates of a box of voxels."""
        return Axes(self.z[box[0]], self.y[:, box[1]], self.x[:, :, box[2]])


def smooth_field(rng: np.random.Generator, axes: Axes, length: float) -> Volume:
    """A random field of mean 0 and standard deviation 1 that changes over about `length` mm, float32.

    A cubic B-spline through random coefficients on a lattice of that spacing: it costs four
    multiplications a voxel and axis, however long the waves are.
    """
    lattice, knots = [], []
    for axis in axes:
        place = (axis.ravel() - axis.min()) / np.float32(length) + np.float32(rng.random())
        knots.append(place)
        lattice.append(int(place.max()) + 4)
    field = rng.standard_normal(lattice, dtype=np.float32)
    for number, place in enumerate(knots):
        field = _interpolate(field, place, number)
    field *= np.float32(_SPLINE_VARIANCE**-1.5)
    return field


def _interpolate(coefficients: Volume, place: Volume, axis: int) -> Volume:
    """Values of a cubic B-spline along one axis; `place` in lattice steps, from 0."""
    below = np.floor(place)
    first, t = below.astype(np.int64), place - below
    weights = (
        (1 - t) ** 3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6,
        t**3 / 6,
    )
    shape = [1, 1, 1]
    shape[axis] = place.size
    values = coefficients.take(first, axis) * weights[0].reshape(shape)
    for step in (1, 2, 3):
        values += coefficients.take(first + step, axis) * weights[step].reshape(shape)
    return np.asarray(values, dtype=np.float32)


def depth_in_ellipsoid(axes: Axes, center: FloatArray, semi_axes: FloatArray) -> Volume:
    """Distance in mm to an ellipsoid's surface, positive inside; centre and semi-axes (z, y, x) in mm.

    Exact at the surface to first order: f / |grad f| of f = 1 - |p / semi_axes|. A semi-axis may be
    infinite: a cylinder.
    """
    squares, gradients = [], []
    for axis, middle, semi in zip(axes, center, semi_axes, strict=True):
        scaled = (axis - np.float32(middle)) / np.float32(semi)
        squares.append(scaled**2)
        gradients.append((scaled / np.float32(semi)) ** 2)
    radius = np.sqrt(squares[0] + squares[1] + squares[2] + np.float32(1e-6))
    gradient = np.sqrt(gradients[0] + gradients[1] + gradients[2] + np.float32(1e-12))
    return np.asarray(radius * (1 - radius) / gradient, dtype=np.float32)


def ramp(distance: Volume, width: float) -> Volume:
    """0 to 1 over `width` mm about a surface: the share of a voxel that lies inside."""
    return np.clip(distance / np.float32(width) + np.float32(0.5), 0, 1)

"""Where voxels lie in the body, and smooth random fields over them."""

from typing import NamedTuple

import numpy as np

from luna.base.arrays import FloatArray, Volume

_SPLINE_VARIANCE = 0.479
"""Mean variance, per axis, of a cubic B-spline whose coefficients are independent and have variance 1."""


class Axes(NamedTuple):
    """Body coordinates of voxels in mm, float32: z up, y to the back, x to the patient's left.

    Shapes (n, 1, 1), (1, m, 1) and (1, 1, k), so that they broadcast to a volume.
    """

    z: Volume
    y: Volume
    x: Volume

    @property
    def shape(self) -> tuple[int, int, int]:
        """Index, row, column."""
        return self.z.size, self.y.size, self.x.size

    @property
    def spacing(self) -> FloatArray:
        """Distance between voxels along z, y and x in mm, (3,), always positive."""
        return np.array([abs(float(axis.ravel()[1] - axis.ravel()[0])) for axis in self])

    def at(self, irc: FloatArray) -> FloatArray:
        """The point (z, y, x) in mm of a place in voxels; it may lie between them."""
        firsts = [float(axis.ravel()[0]) for axis in self]
        steps = [float(axis.ravel()[1]) - first for axis, first in zip(self, firsts, strict=True)]
        return np.array(firsts) + np.asarray(irc) * np.array(steps)

    def box(self, low: FloatArray, high: FloatArray) -> tuple[slice, slice, slice]:
        """The voxels between two corners (z, y, x) in mm; it may be empty."""
        parts = []
        for axis, a, b in zip(self, low, high, strict=True):
            first, step = float(axis.ravel()[0]), float(axis.ravel()[1] - axis.ravel()[0])
            ends = sorted(((a - first) / step, (b - first) / step))
            start, stop = max(0, int(np.ceil(ends[0]))), min(axis.size, int(np.floor(ends[1])) + 1)
            parts.append(slice(start, max(start, stop)))
        return parts[0], parts[1], parts[2]

    def part(self, box: tuple[slice, slice, slice]) -> "Axes":
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
    return field * np.float32(_SPLINE_VARIANCE**-1.5)


def _interpolate(coefficients: Volume, place: Volume, axis: int) -> Volume:
    """Values of a cubic B-spline along one axis; `place` in lattice steps, from 0."""
    first = place.astype(np.int64)
    t = place - first
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
    return values


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

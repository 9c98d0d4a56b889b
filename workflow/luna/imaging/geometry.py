"""Between patient coordinates xyz (mm) and voxel coordinates irc (index, row, column)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from luna.base.arrays import FloatArray, IntArray


class Grid(NamedTuple):
    """Where the voxels of a CT are.

    origin: centre of voxel (0, 0, 0) as x, y, z in mm, shape (3,).
    spacing: voxel size along x, y, z in mm, shape (3,).
    direction: orthonormal matrix whose columns are the axes' directions, shape (3, 3).
    """

    origin: FloatArray
    spacing: FloatArray
    direction: FloatArray


def xyz_to_continuous_irc(xyz: npt.ArrayLike, grid: Grid) -> FloatArray:
    """Voxel coordinates, not rounded, of points in mm; (n, 3) xyz -> (n, 3) irc, float64.

    irc = reverse(inverse(direction * spacing) (xyz - origin)), the inverse of ITK's
    index-to-physical transform (ITK Software Guide, book 1, section 4.1.4).
    """
    to_index = np.linalg.inv(grid.direction * grid.spacing)
    cri = (np.asarray(xyz, dtype=np.float64).reshape(-1, 3) - grid.origin) @ to_index.T
    return np.ascontiguousarray(cri[:, ::-1])


def xyz_to_irc(xyz: npt.ArrayLike, grid: Grid) -> IntArray:
    """Voxels that hold points given in mm; (n, 3) xyz -> (n, 3) irc, int64.

    Halves round up, as ITK's TransformPhysicalPointToIndex does (not to even, as numpy's round).
    The coordinates must be finite and within int64.
    """
    return np.floor(xyz_to_continuous_irc(xyz, grid) + 0.5).astype(np.int64)


def irc_to_xyz(irc: npt.ArrayLike, grid: Grid) -> FloatArray:
    """Centres in mm of voxels; (n, 3) irc -> (n, 3) xyz, float64."""
    cri = np.asarray(irc, dtype=np.float64).reshape(-1, 3)[:, ::-1]
    return cri @ (grid.direction * grid.spacing).T + grid.origin

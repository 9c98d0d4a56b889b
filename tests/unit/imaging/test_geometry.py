"""xyz <-> irc agrees with SimpleITK for every grid."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from luna.imaging.geometry import Grid, irc_to_xyz, xyz_to_continuous_irc, xyz_to_irc

# Finer steps mean nothing in mm or degrees, and denormal numbers break SimpleITK's own inverse.
coordinate = st.floats(-500, 500).map(lambda value: round(value, 6))


triple = st.tuples(coordinate, coordinate, coordinate)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Any origin, spacing of 0.2 to 5 mm, any rotation, and mirrored axes."""
    rotation = Rotation.from_euler("xyz", draw(triple), degrees=True).as_matrix()
    mirror = np.diag(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    spacing = draw(st.tuples(*[st.floats(0.2, 5)] * 3))
    return Grid(np.array(draw(triple)), np.array(spacing), rotation @ mirror)


def as_image(grid: Grid) -> sitk.Image:
    image = sitk.Image(4, 5, 6, sitk.sitkInt16)
    image.SetOrigin(grid.origin.tolist())
    image.SetSpacing(grid.spacing.tolist())
    image.SetDirection(grid.direction.ravel().tolist())
    return image


@settings(max_examples=200, deadline=None)
@given(grids(), triple)
def test_agrees_with_simpleitk(grid: Grid, xyz: tuple[float, ...]) -> None:
    image = as_image(grid)
    continuous = xyz_to_continuous_irc([xyz], grid)[0]
    expected = image.TransformPhysicalPointToContinuousIndex(xyz)[::-1]
    np.testing.assert_allclose(continuous, expected, atol=1e-6)
    # Next to a half the last digit decides, in SimpleITK as well.
    if np.abs(continuous - np.floor(continuous) - 0.5).min() > 1e-6:
        assert tuple(xyz_to_irc([xyz], grid)[0]) == image.TransformPhysicalPointToIndex(xyz)[::-1]


@settings(max_examples=100, deadline=None)
@given(grids(), st.tuples(*[st.integers(-1000, 1000)] * 3))
def test_voxel_centres_come_back(grid: Grid, irc: tuple[int, ...]) -> None:
    assert tuple(xyz_to_irc(irc_to_xyz([irc], grid), grid)[0]) == irc


def test_halves_round_up_like_simpleitk() -> None:
    grid = Grid(np.zeros(3), np.ones(3), np.eye(3))
    points = [[0.5, 1.5, 2.5], [-0.5, -1.5, 0.0]]
    image = as_image(grid)
    expected = [image.TransformPhysicalPointToIndex(point)[::-1] for point in points]
    assert xyz_to_irc(points, grid).tolist() == [list(each) for each in expected]


def test_direction_that_is_not_symmetric() -> None:
    """A quarter turn: multiplying from the wrong side would give another voxel."""
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    grid = Grid(np.zeros(3), np.ones(3), turn)
    assert xyz_to_irc([[0.0, 3.0, 0.0]], grid).tolist() == [[0, 0, 3]]


def test_empty_list_of_points() -> None:
    assert xyz_to_irc(np.empty((0, 3)), Grid(np.zeros(3), np.ones(3), np.eye(3))).shape == (0, 3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_spacing_belongs_to_its_axis(axis: int) -> None:
    spacing = np.ones(3)
    spacing[axis] = 2
    xyz = np.zeros(3)
    xyz[axis] = 4
    assert xyz_to_irc([xyz], Grid(np.zeros(3), spacing, np.eye(3)))[0][2 - axis] == 2

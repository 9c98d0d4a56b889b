"""The voxels of a CT that lie outside the lungs."""

from typing import NamedTuple

from luna.base.arrays import BoolArray, FloatArray, Volume
from luna.phantom.fields import Axes, depth_in_ellipsoid


class Solid(NamedTuple):
    """Voxels outside the lungs, each field float32 (n,).

    z, y, x: place in mm. behind: mm behind the lungs' surface. coarse, fine: random fields that change
    over about 13 and 5 mm.
    """

    z: Volume
    y: Volume
    x: Volume
    behind: Volume
    coarse: Volume
    fine: Volume

    def where(self, chosen: BoolArray) -> "Solid":
        """Those that are chosen, bool (n,)."""
        return Solid(*(values[chosen] for values in self))

    def depth_in(self, center: FloatArray, semi_axes: FloatArray) -> Volume:
        """Distance in mm to an ellipsoid's surface, positive inside, (n,)."""
        return depth_in_ellipsoid(Axes(self.z, self.y, self.x), center, semi_axes)

"""Places in a scan that might be nodules: simple, and easy to fool."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from luna.base.errors import UserError
from luna.imaging.ct import Ct
from luna.imaging.lungs import segment_lungs

BLOB_SIGMAS_MM = (1.5, 2.5, 4.0, 6.0)
"""A ball of diameter d responds most at sigma = d / (2 sqrt(3)): these are 5 to 21 mm."""


def propose(ct: Ct, most: int) -> npt.NDArray[np.int64]:
    """Voxels (n, 3) irc of bright blobs in the lungs, the most distinct first, at most `most`.

    The blobs are maxima over place and scale of the scale-normalised Laplacian of Gaussian
    (Lindeberg 1998). Vessels respond as well: this is not a detector, only a list to start from.
    Raises UserError where no lungs are found.
    """
    lungs = segment_lungs(ct.hu)
    if not lungs.any():
        raise UserError(
            f"{ct.series_uid}: no lungs were found in the scan, so no places can be proposed; is it a whole"
            " chest? Places of your own can be given with --candidates"
        )
    box = ndimage.find_objects(lungs.astype(np.uint8))[0]
    lungs, spacing = lungs[box], ct.grid.spacing[::-1]
    hu = np.where(lungs, np.clip(ct.hu[box], -1000, 200), -850).astype(np.float32)
    best = np.zeros(hu.shape, dtype=np.float32)
    for sigma in BLOB_SIGMAS_MM:
        answer = ndimage.gaussian_laplace(hu, sigma / spacing) * -(sigma**2)
        np.maximum(best, answer, out=best)
    reach = tuple(int(2 * round(BLOB_SIGMAS_MM[0] * 2 / step) + 1) for step in spacing)
    peaks = (best == ndimage.maximum_filter(best, reach)) & lungs & (best > 0)
    places = np.argwhere(peaks)
    order = np.argsort(-best[peaks], kind="stable")
    return places[order[:most]] + [part.start for part in box]

"""What a scanner makes of a chest: blur, reconstruction kernel, noise, whole numbers."""

import numpy as np
from scipy import ndimage

from luna.base.arrays import HuArray, Volume

BLUR_MM, BLUR_SLICES = (0.3, 0.85), (0.25, 0.6)
"""Blur in the plane, and along z in slices: standard deviations of Gaussians; tuned on real CTs."""
SHARPENED_SHARE, SMOOTHED_SHARE = 0.35, 0.5
"""Shares of the scans with a sharp kernel, and of those smoothed once more."""
SHARPENED_BY, SHARPENED_MM = (0.3, 1.2), (0.7, 1.2)
"""A sharp kernel adds so many times the difference to a Gaussian of this width."""
SMOOTHED_VOXELS, SMOOTHED_SLICES = (0.3, 0.7), (0, 0.5)
"""Gaussian of the scans that are smoothed once more."""
NOISE_VOXELS, SHARP_NOISE_VOXELS, NOISE_SLICES = (0.3, 0.9), (0.2, 0.5), (0, 0.5)
"""Grain of the noise: Gaussians in the plane, also with a sharp kernel, and along z."""
NOISE_HU, NOISE_SPREAD, LEAST_NOISE_HU, MOST_NOISE_HU = 14.0, 0.6, 3.0, 80.0
_LOWEST_HU, _HIGHEST_HU = -1024, 3071


def scan(rng: np.random.Generator, hu: Volume, pixel_mm: float) -> HuArray:
    """Voxels as a scanner would give them, int16; `pixel_mm` is the distance of rows and columns."""
    in_plane, along_z = rng.uniform(*BLUR_MM) / pixel_mm, rng.uniform(*BLUR_SLICES)
    image = _smooth(hu, (along_z, in_plane, in_plane))
    texture = rng.uniform(*NOISE_VOXELS)
    if rng.random() < SHARPENED_SHARE:
        width = rng.uniform(*SHARPENED_MM) / pixel_mm
        image += np.float32(rng.uniform(*SHARPENED_BY)) * (image - _smooth(image, (0, width, width)))
        texture = rng.uniform(*SHARP_NOISE_VOXELS)
    level = np.clip(rng.lognormal(np.log(NOISE_HU), NOISE_SPREAD), LEAST_NOISE_HU, MOST_NOISE_HU)
    white = rng.standard_normal(hu.shape, dtype=np.float32)
    noise = _smooth(white, (rng.uniform(*NOISE_SLICES), texture, texture))
    image += noise * np.float32(level / noise[:: max(1, len(noise) // 8)].std())
    if rng.random() < SMOOTHED_SHARE:
        width = rng.uniform(*SMOOTHED_VOXELS)
        image = _smooth(image, (rng.uniform(*SMOOTHED_SLICES), width, width))
    return np.rint(np.clip(image, _LOWEST_HU, _HIGHEST_HU)).astype("<i2")


def _smooth(image: Volume, sigma: tuple[float, float, float]) -> Volume:
    """Gaussian smoothing, sigma in voxels."""
    return np.asarray(ndimage.gaussian_filter(image, sigma, truncate=3, mode="nearest"), dtype=np.float32)

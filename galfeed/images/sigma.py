"""The sigma image that is made from the data when the menu names none, and the estimate of the sky it needs.

Everything is done in float32 and summed in the order of the pixels, because GALFIT does: where the sky is
high the clipping hangs on single pixels, and another rounding would move the RMS by a part in a thousand.

Source: probed with GALFIT 3.0.5, whose ``sigma.fits`` (-outsig) is reproduced in every bit.
"""

from __future__ import annotations

from functools import cache

import numpy as np

NO_WEIGHT = 1e10
"""Standard deviation of a pixel that must not count."""

SMOOTHING = 2.0
"""Standard deviation in pixels of the Gaussian that smooths the data."""

RADIUS = 5
"""Pixels farther than this from the centre do not enter the smoothed value."""

CLIP = np.float32(5)
"""Pixels farther than this many standard deviations from the sky do not enter its estimate."""


def _total(values: np.ndarray) -> np.float32:
    """Sum in float32, one value after the other."""
    if values.size == 0:
        return np.float32(0)
    return np.float32(np.add.accumulate(values, dtype=np.float32)[-1])


def estimate_sky(
    image: np.ndarray, use: np.ndarray, mean: float | None = None, rms: float | None = None
) -> tuple[np.float32, np.float32]:
    """Mean and RMS of the sky by GALFIT's clipping.

    The pixels are sorted, a_1 <= ... <= a_n.  With m = a_[n/2] and s^2 = sum (a_i - m)^2 / (0.6 n - 1) over
    the elements from [0.2 n] to [0.8 n], the mean is sum x / (n1 - 1) over the n1 pixels within 5 s of m, and
    RMS^2 is sum (x - mean)^2 / (n1 - 1) over the pixels within 5 s of the mean.  The divisor of the mean is
    GALFIT's: a high sky comes out too high by mean / n1.

    Args:
        image: (H, W) the fitting region, ADU.
        use: (H, W) bool, the n pixels that the estimate is made from.
        mean: the user's sky (-skyped); it takes the place of m and of the mean, and n1 is H W.
        rms: the user's RMS (-skyrms); it takes the place of s and of the RMS.

    Returns:
        (mean, RMS) in ADU; not finite where the pixels allow no estimate.
    """
    with np.errstate(over="ignore"):
        values = np.asarray(image, dtype=np.float32)[use]
    n = values.size
    # GALFIT counts the sorted array from 1 but reads it from 0, where it finds a zero: seen for n < 5.
    ordered = np.concatenate([np.zeros(1, np.float32), np.sort(values)])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        centre = ordered[int(0.5 * n)] if mean is None else np.float32(mean)
        middle = ordered[int(0.2 * n) : int(0.8 * n) + 1] - centre
        scatter = np.float32(rms or 0)
        if rms is None:
            scatter = np.sqrt(_total(middle * middle) / np.float32(0.6 * n - 1))
        kept, level = image.size, centre
        if mean is None:
            near = values[np.abs(values - centre) <= CLIP * scatter]
            kept = near.size
            level = _total(near) / np.float32(kept - 1)
        if rms is not None:
            return level, np.float32(rms)
        distance = values - level
        distance = distance[np.abs(distance) <= CLIP * scatter]
        return level, np.sqrt(_total(distance * distance) / np.float32(kept - 1))


@cache
def _taps() -> tuple[tuple[int, int, int, np.float32], ...]:
    """(row, column, squared distance, weight) of the smoothing kernel's elements, row after row."""
    steps = range(-RADIUS, RADIUS + 1)
    offsets = [(y, x) for y in steps for x in steps if x * x + y * y <= RADIUS * RADIUS]
    taps = []
    for y, x in offsets:
        # The float32 root, squared again, is what GALFIT puts into the exponential.
        radius = np.float32(np.sqrt(x * x + y * y))
        weight = np.exp(-float(np.float32(radius * radius)) / (2 * SMOOTHING**2))
        taps.append((y, x, x * x + y * y, np.float32(weight)))
    return tuple(taps)


def _weighted_sum(image: np.ndarray) -> np.ndarray:
    """Sum of the neighbours times the kernel's weights, none beyond the border.  (H, W) float32"""
    height, width = image.shape
    padded = np.pad(image, RADIUS)
    stride = padded.shape[1]
    products = {square: (weight * padded).ravel() for _, _, square, weight in _taps()}
    # Shifts of the flattened padded image: long contiguous sums take half the time of two-dimensional ones.
    total = np.zeros(height * stride, np.float32)
    length = (height - 1) * stride + width
    for y, x, square, _ in _taps():
        start = (RADIUS + y) * stride + RADIUS + x
        total[:length] += products[square][start : start + length]
    return total.reshape(height, stride)[:, :width]


def _edge_distance(length: int) -> np.ndarray:
    """For each of ``length`` positions one of at most 2 RADIUS + 1 that lies alike to the ends.  (length,)"""
    index = np.arange(length)
    if length <= 2 * RADIUS + 1:
        return index
    return np.minimum(index, RADIUS) + np.maximum(index - (length - 1 - RADIUS), 0)


def smooth(image: np.ndarray) -> np.ndarray:
    """The image smoothed by a Gaussian of 2 pixels, cut at 5 pixels and renormalised at the borders.

    Args:
        image: (H, W), finite.

    Returns:
        (H, W) float32.
    """
    image = np.asarray(image, dtype=np.float32)
    rows, columns = (_edge_distance(length) for length in image.shape)
    norm = _weighted_sum(np.ones((rows[-1] + 1, columns[-1] + 1), np.float32))
    smoothed: np.ndarray = _weighted_sum(image) / norm[np.ix_(rows, columns)]
    return smoothed


def internal_sigma(data: np.ndarray, gain: float, ncombine: float, sky: float = 0.0, rms: float = 0.0) -> np.ndarray:
    """Standard deviation of each pixel from photon noise and the sky's scatter.

    sigma^2 = max(p, 0) + RMS^2 with p = (D - sky) / (GAIN NCOMBINE) and D the smoothed data.  A pixel so far
    below the sky that p < -25 RMS^2 has no weight (1e10).  -noskyest is sky = RMS = 0.

    Args:
        data: (H, W) ADU, finite, the fitting region; nothing beyond it is used.
        gain: electrons per ADU, not 0.
        ncombine: number of exposures averaged, not 0.
        sky, rms: mean and RMS of the sky, ADU.

    Returns:
        (H, W) float32; 0 where both terms vanish.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scatter = np.float32(rms) * np.float32(rms)
        scale = np.float32(gain) * np.float32(ncombine)
        # Once through electrons, as GALFIT rounds.
        photons = (smooth(data) - np.float32(sky)) * scale / scale / scale
        sigma = np.sqrt(np.maximum(photons, np.float32(0)) + scatter)
        return np.where(photons < np.float32(-25) * scatter, np.float32(NO_WEIGHT), sigma)

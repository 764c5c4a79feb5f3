"""Does the sigma image agree with the noise that the pixels themselves show?

The noise is seen in differences of neighbouring pixels, from which smooth light drops out: x1 - 2 x2 + x3 along rows
and columns, and the product of two such differences over 3 x 3 pixels, from which curved light drops out too.  Each is
divided by the standard deviation that the sigma image predicts for it; the robust width of the quotients should be 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from galfeed.errors import Remark
from galfeed.images.exposure import Exposure
from galfeed.images.sigma import NO_WEIGHT
from galfeed.job import Job

TOO_SMALL, TOO_LARGE = 2.0, 0.3
"""Noise over sigma that is remarkable.  Twice as much noise quadruples chi^2; less noise is seen where that of
neighbouring pixels is correlated, as in drizzled images, so only a third is remarkable."""

FITS = 1.5
"""Another reading of the numbers fits if noise over sigma is then within this factor of 1."""

FEWEST = 50
"""Differences needed to judge the noise, to about a seventh."""

MOST = 2**19
"""Pixels that are looked at; of larger regions bands of ``BAND`` rows, so that the answer comes in a second."""

BAND = 32

QUANTISED = 0.25
"""Share of differences that are exactly 0 from which on the noise is below the step of whole numbers."""

DARK = 2.0
"""Pixels of an internal sigma image whose variance is more than this times the sky's are ruled by photon noise."""

UNWEIGHTED = 0.5
"""Share of pixels without a weight that is remarkable even if their sigma is infinite, which says so on purpose."""

MAD = 1.4826
"""Standard deviation of a Gaussian over its median absolute deviation."""

READINGS = (
    (0.5, "the variance", "take its square root"),
    (-0.5, "the inverse variance", "take 1 over its square root"),
    (-1.0, "a weight, 1 over sigma", "take 1 over it"),
)
"""What else an image of this kind may hold: the power of it that is sigma, its name, and what to do."""


def look(job: Job, exposure: Exposure) -> Iterator[Remark]:
    """What to say of the sigma image, given or made.

    Args:
        job: the menu.
        exposure: its images, data among them.
    """
    if exposure.data is None:
        return
    if not exposure.data[exposure.good].any():
        yield Remark(job.path, job.control.place("A"), f"all good pixels of '{job.control.data}' in the region are 0")
    elif "A-5" in exposure.flags:
        yield from _made(job, exposure, exposure.data)
    else:
        yield from _given(job, exposure, exposure.data)


def spread(values: np.ndarray) -> float:
    """Robust standard deviation of numbers around their median; 0 where half of them are alike."""
    with np.errstate(all="ignore"):
        return float(MAD * np.median(np.abs(values - np.median(values))))


def _given(job: Job, exposure: Exposure, data: np.ndarray) -> Iterator[Remark]:
    place, name = job.control.place("C"), job.control.sigma
    weighted = exposure.good & (exposure.sigma < NO_WEIGHT)
    good, lost = int(exposure.good.sum()), int((exposure.good & ~weighted).sum())
    if lost > UNWEIGHTED * good or lost and "I-4" in exposure.flags:
        what = f"{lost} of {good} good pixels of the sigma image '{name}' are not positive and finite and do not count"
        yield Remark(job.path, place, f"{what}; expected sigma [ADU] above 0, and bad pixels in the mask F)")
    ratios = _ratios(data, exposure.sigma, weighted)
    if ratios is None or TOO_LARGE <= ratios[0] and min(ratios) <= TOO_SMALL:
        return
    ratio = ratios[0] if ratios[0] < TOO_LARGE else min(ratios)
    yield Remark(
        job.path,
        place,
        f"{_seen(ratio, exposure.sigma[weighted])} of the sigma image '{name}'; {_reading(data, exposure, weighted)}",
    )


def _reading(data: np.ndarray, exposure: Exposure, weighted: np.ndarray) -> str:
    """What the sigma image may be instead, and the cure."""
    fitting = []
    for power, what, cure in READINGS:
        sigma = np.where(weighted, exposure.sigma, 1.0) ** power
        ratios = _ratios(data, sigma, weighted)
        if ratios is not None and 1 / FITS <= ratios[0] <= FITS:
            fitting.append((abs(np.log(ratios[0])), f"it looks like {what}: {cure}"))
    usual = "expected one standard deviation of each pixel in the ADU of the data"
    return min(fitting)[1] if fitting else f"{usual}; check its scale (ADU or electrons, exposure time, coadds)"


def _made(job: Job, exposure: Exposure, data: np.ndarray) -> Iterator[Remark]:
    """Of an internal sigma image: all of it, then where photon noise rules."""
    weighted = exposure.good & (exposure.sigma < NO_WEIGHT)
    sky = exposure.sky_rms or 0.0
    bright = weighted & (exposure.sigma**2 > DARK * sky**2)
    place = job.control.place("A")
    for pixels, where in ((weighted, ""), (bright, " where objects are bright")):
        ratios = _ratios(data, exposure.sigma, pixels)
        if ratios is None or TOO_LARGE <= ratios[0] and min(ratios) <= TOO_SMALL:
            continue
        ratio = ratios[0] if ratios[0] < TOO_LARGE else min(ratios)
        seen = f"{_seen(ratio, exposure.sigma[pixels])} of the sigma image made from the data{where}"
        ruled = pixels is bright or 2 * bright.sum() > weighted.sum()
        if ruled or ratio > 1:
            cure = _units(exposure)
        else:
            level = ratio * float(np.median(exposure.sigma[pixels]))
            cure = (
                f"its sky RMS of {sky:.3g} ADU holds light of objects: fit a larger region, or give a sigma image or "
                f"-skyrms {level:.2g}"
            )
        yield Remark(job.path, place, f"{seen}; {cure}")
        return


def _units(exposure: Exposure) -> str:
    missing = {"H-3": "GAIN", "H-4": "NCOMBINE"}
    gain, combined = (
        f"{word} {value:g}{' (not in the header)' if flag in exposure.flags else ''}"
        for (flag, word), value in zip(missing.items(), (exposure.gain, exposure.ncombine), strict=True)
    )
    return (
        f"with {gain} and {combined}: ADU x GAIN must be electrons, so an image in counts per second or in "
        "calibrated units needs a sigma image, or GAIN = electrons per unit"
    )


def _seen(ratio: float, sigma: np.ndarray) -> str:
    typical = float(np.median(sigma))
    return f"the noise seen in the data is {ratio * typical:.3g} ADU, {ratio:.2g} times the {typical:.3g} ADU"


def _ratios(data: np.ndarray, sigma: np.ndarray, use: np.ndarray) -> tuple[float, float] | None:
    """Noise over sigma, from second differences and from their products; None where it cannot be judged.

    Args:
        data, sigma: (H, W) ADU.
        use: (H, W) bool.
    """
    data, sigma, use = _thinned(data, sigma, use)
    with np.errstate(all="ignore"):
        quotients = np.concatenate([_second(*images) for images in ((data, sigma, use), (data.T, sigma.T, use.T))])
        if quotients.size < FEWEST or np.mean(quotients == 0) > QUANTISED:
            return None
        twice = _twice(data, sigma, use)
        first = spread(quotients)
        second = spread(twice) if twice.size >= FEWEST else first
    return (first, second) if math.isfinite(first + second) else None


def _thinned(data: np.ndarray, sigma: np.ndarray, use: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bands of a large region one below the other, the last row of each not used, so that no difference joins two."""
    row = np.arange(len(data)) % (BAND * -(-data.size // MOST))
    kept = row < BAND
    if kept.all():
        return data, sigma, use
    return data[kept], sigma[kept], use[kept] & (row < BAND - 1)[kept, None]


def _second(data: np.ndarray, sigma: np.ndarray, use: np.ndarray) -> np.ndarray:
    """x1 - 2 x2 + x3 of rows over what sigma predicts, where all three are used and not alike."""
    rows = slice(None, -2), slice(1, -1), slice(2, None)
    (a, b, c), (sa, sb, sc), (ua, ub, uc) = ([image[row] for row in rows] for image in (data, sigma, use))
    use = ua & ub & uc & ~((a == b) & (b == c))  # filled borders are alike
    difference: np.ndarray = (a - 2 * b + c)[use] / np.sqrt(sa**2 + 4 * sb**2 + sc**2)[use]
    return difference


def _twice(data: np.ndarray, sigma: np.ndarray, use: np.ndarray) -> np.ndarray:
    """The second difference along columns of that along rows, over what sigma predicts."""
    weights = np.array([1.0, -2.0, 1.0])
    height, width = (max(n - 2, 0) for n in data.shape)
    difference, variance = np.zeros((2, height, width))
    all_used = np.ones((height, width), bool)
    for y in range(3):
        for x in range(3):
            part = slice(y, y + height), slice(x, x + width)
            weight = weights[y] * weights[x]
            difference += weight * data[part]
            variance += weight**2 * sigma[part] ** 2
            all_used &= use[part]
    found: np.ndarray = difference[all_used] / np.sqrt(variance[all_used])
    return found

"""The standard deviation of each pixel: the sigma image of the menu, or one made from the data.

Source: galfit-reference.md 6; probed with GALFIT 3.0.5.
"""

from __future__ import annotations

import math

import numpy as np

from galfeed.errors import ImageError
from galfeed.images.inputs import Field, Inputs, beside
from galfeed.images.sigma import NO_WEIGHT, estimate_sky, internal_sigma

Sky = tuple[float, float]

ESTIMATED = (
    "-- Estimating the sky mean and RMS to generate an internal sigma image.  This",
    "   estimate won't work right if the product ADUxGAIN has a unit other than ",
    "   [electrons] (e.g. MJy/sr or e-/sec). To turn off this feature, start by:   ",
    "                 galfit -noskyest <filename>  ",
    "   For other options, do:  ",
    "                 galfit -help  ",
    "",
)
SKY_GIVEN = (
    "-- Using the RMS and user provided sky mean to generate an internal sigma image.  ",
    "   This estimate won't work right if the product ADUxGAIN has a unit other ",
    "   [electrons] (e.g. microjanskies). To turn off this feature, start by:   ",
    "                 galfit -noskyest <filename>  ",
    "",
)
NO_SKY = (
    "-- WARNING: Intrinsic sky is not estimated to create the internal sigma image.",
    "            Zero pix values are set to (eff_rdnoise)/(eff_gain) in sigma image.",
)


def read_sigma(inputs: Inputs, field: Field) -> np.ndarray | None:
    """The sigma image as in its file.  (H, W) float64, or None if there is none.

    Raises:
        ImageError: a file that cannot be used.
    """
    name = inputs.job.control.sigma
    image = inputs.image("C", name, "sigma image", "made from the data")
    if image is None:
        return None
    if not field.has_data and image.shape != field.shape:
        return unweighted(field)
    return beside(inputs, "C", "sigma image", image, field, "have no weight")


def unweighted(field: Field) -> np.ndarray:
    """(H, W) float64, no pixel counts."""
    return np.full(field.region.shape, NO_WEIGHT)


def find_sky(
    inputs: Inputs,
    data: np.ndarray,
    use: np.ndarray,
    noskyest: bool = False,
    skyped: float | None = None,
    skyrms: float | None = None,
) -> Sky | None:
    """Mean and RMS of the sky for the internal sigma image, ADU; None if they are not to be estimated.

    Args:
        inputs: what GALFIT prints is added to its messages.
        data: (H, W) ADU.
        use: (H, W) bool, the pixels to estimate it from.
        noskyest, skyped, skyrms: the options of these names.

    Raises:
        ImageError: too few pixels for an estimate.
    """
    if noskyest and skyped is None:
        inputs.messages += NO_SKY
        return None
    inputs.messages += ESTIMATED if skyped is None else SKY_GIVEN
    mean, rms = map(float, estimate_sky(data, use, skyped, None if skyrms is None or skyrms < 0 else skyrms))
    if not (math.isfinite(mean) and math.isfinite(rms)):
        raise ImageError(
            inputs.job.control.data,
            f"the sky cannot be estimated (mean {mean:g}, RMS {rms:g}), expected a sigma image or -skyped",
        )
    inputs.messages.append(f"   Est'd sky mean = {mean:.2f}, RMS = {rms:.2f} ADUs.  (Are these fairly reasonable?)")
    return mean, rms


def make_sigma(inputs: Inputs, data: np.ndarray, gain: float, ncombine: float, sky: Sky | None) -> np.ndarray:
    """The internal sigma image.  (H, W) float64, ADU; 0 where nothing makes noise.

    Args:
        inputs: warnings are added to it.
        data: (H, W) ADU, finite.
        gain, ncombine: of the header.
        sky: mean and RMS; None: not subtracted.

    Raises:
        ImageError: ``gain`` or ``ncombine`` is 0 or not finite.
    """
    name = inputs.job.control.data
    for keyword, value in (("GAIN", gain), ("NCOMBINE", ncombine)):
        if value == 0 or not math.isfinite(value):
            raise ImageError(name, f"{keyword} is {value:g}, expected another number or a sigma image")
        if value < 0:
            inputs.warn("A", f"{keyword} of '{name}' is negative: {value:g}")
    sigma = internal_sigma(data, gain, ncombine, *(sky or (0.0, 0.0))).astype(np.float64)
    if (sigma == NO_WEIGHT).all():
        inputs.warn("A", f"no pixel of '{name}' has a weight: the sigma image made from it is 1e10 everywhere")
    return sigma


def usable(inputs: Inputs, field: Field, sigma: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The sigma image with 1e10 for what cannot be a standard deviation; flag I-4.  (H, W) float64

    Args:
        inputs: flag and message are added to it.
        field: the region, to name a pixel.
        sigma: (H, W) ADU.
        good: (H, W), False where a NaN does no harm.

    Raises:
        ImageError: NaN in a good pixel.
    """
    finite = np.isfinite(sigma)
    if not finite.all() and len(bad := np.argwhere(np.isnan(sigma) & good)):
        y, x = (int(i) for i in bad[0])
        raise ImageError(
            inputs.job.control.sigma,
            f"pixel ({field.region.x1 + x}, {field.region.y1 + y}) of the sigma image is NaN, expected a number",
        )
    low = sigma <= 0
    if low.any():
        inputs.say("I-4", "-- WARNING: Sigma image has zero or negative pixels; set to 1e10. ")
    weighted: np.ndarray = np.where(low | ~finite, NO_WEIGHT, sigma)
    return weighted

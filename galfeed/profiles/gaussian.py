"""Gaussian: f(r) = exp(-r^2 / (2 sigma^2)), sigma = FWHM / (2 sqrt(2 ln 2)).

Peng et al. 2010 (AJ 139, 2097), section 3.4.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from galfeed.profiles._profile import (
    AT_BREAK,
    AXIS_RATIO,
    BREAK,
    CENTRAL,
    IMAGE,
    POSITION_ANGLE,
    STEEP,
    X_SPACED,
    Profile,
    Sampling,
    Y,
    magnitude,
    size,
)

if TYPE_CHECKING:
    from torch import Tensor

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))


def derived(fwhm: Tensor) -> dict[str, Tensor]:
    return {"sigma": fwhm / FWHM_PER_SIGMA}


def intensity(r: Tensor, fwhm: Tensor, sigma: Tensor) -> Tensor:
    """f(r), 1 at the centre.  Args: r, fwhm, sigma in pixels."""
    return (-0.5 * (r / sigma) ** 2).exp()


def by_square(square: Tensor, level: Tensor, sigma: Tensor, partials: bool) -> dict[str, Tensor]:
    """e^level f, and that times r^2 / sigma^2 (``STEEP``)."""
    scaled = square / sigma**2
    f = (scaled * -0.5).add_(level).exp_()
    return {IMAGE: f, STEEP: scaled.mul_(f)} if partials else {IMAGE: f}


def by_basis(sigma: Tensor) -> dict[str, dict[str, Tensor]]:
    """df/dln(r) = -r^2 / sigma^2 f."""
    return {"log": {STEEP: sigma.new_ones(sigma.shape)}, "sigma": {STEEP: 1 / sigma}}


def total(fwhm: Tensor, sigma: Tensor) -> Tensor:
    """2 pi sigma^2: the integral over the plane for q = 1."""
    return 2 * math.pi * sigma**2


PROFILE = Profile(
    name="gaussian",
    params=(
        X_SPACED,
        Y,
        magnitude(),
        size("fwhm", "FWHM", "FWHM [pixels]", "     FWHM       [pix]"),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={
        1: replace(CENTRAL, menu="  Central surface brghtness  [mag/arcsec^2]"),
        2: replace(magnitude(), name="mu", menu="  Surface brightness at FWHM [mag/arcsec^2]"),
        3: AT_BREAK,
    },
    intensity=intensity,
    by_square=by_square,
    by_basis=by_basis,
    derived=derived,
    total=total,
    anchors={1: "", 2: "", 3: BREAK},
    scale="sigma",
    sampling=Sampling(inner_radius=3.0, core_size="sigma"),
)

"""Moffat profile: f(r) = (1 + (r / rd)^2)^(-n), rd = FWHM / (2 sqrt(2^(1/n) - 1)).

Moffat 1969; Peng et al. 2010 (AJ 139, 2097), eq. 11 and 12.
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
    POSITION_ANGLE,
    X_SPACED,
    Profile,
    Sampling,
    Y,
    index,
    magnitude,
    size,
)

if TYPE_CHECKING:
    from torch import Tensor


def derived(fwhm: Tensor, n: Tensor) -> dict[str, Tensor]:
    return {"rd": fwhm / (2 * ((math.log(2) / n).expm1()).sqrt())}


def galfit(fwhm: Tensor, n: Tensor) -> dict[str, Tensor]:
    """GALFIT differentiates by n at constant rd (probed)."""
    return derived(fwhm, n.detach())


def intensity(r: Tensor, fwhm: Tensor, n: Tensor, rd: Tensor) -> Tensor:
    """f(r), 1 at the centre.  Args: r, fwhm, rd in pixels; n: power-law index."""
    return (-n * ((r / rd) ** 2).log1p()).exp()


def total(fwhm: Tensor, n: Tensor, rd: Tensor) -> Tensor:
    """pi rd^2 / (n - 1): the integral over the plane for q = 1 (eq. 12); infinite for n <= 1."""
    return math.pi * rd**2 / (n - 1)


def lag(r: Tensor, rd: Tensor) -> Tensor:
    """Of df/dr = -(2 n / r) f w with w = (r/rd)^2 / (1 + (r/rd)^2) GALFIT has the w of the sample before (probed)."""
    squared = (r / rd) ** 2
    return squared / (1 + squared)


PROFILE = Profile(
    name="moffat",
    params=(
        X_SPACED,
        Y,
        magnitude(),
        size("fwhm", "FWHM", "FWHM [pixels]", "     FWHM       [pix]"),
        index("C", "Powerlaw", "  Moffat powerlaw index ", limits=(1.01, 50.0)),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={
        1: replace(CENTRAL, menu="  Central surface brghtness  [mag/arcsec^2]"),
        2: replace(magnitude(), name="mu", menu="  Surface brightness at FWHM [mag/arcsec^2]"),
        3: AT_BREAK,
    },
    intensity=intensity,
    derived=derived,
    total=total,
    anchors={1: "", 2: "", 3: BREAK},
    galfit=galfit,
    lag=lag,
    scale="rd",
    sampling=Sampling(
        inner=200, inner_radius=3.0, core_size="rd", core_count=400.0, largest_core_size=1.0, accurate=True
    ),
)

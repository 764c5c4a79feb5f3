"""Exponential disk: f(r) = exp(-r / Rs).

Freeman 1970; Peng et al. 2010 (AJ 139, 2097), eq. 8 and 9.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from galfeed.profiles._profile import (
    AT_BREAK,
    AXIS_RATIO,
    CENTRAL,
    POSITION_ANGLE,
    Profile,
    Sampling,
    X,
    Y,
    magnitude,
    size,
)

if TYPE_CHECKING:
    from torch import Tensor


def intensity(r: Tensor, rs: Tensor) -> Tensor:
    """f(r), 1 at the centre.  Args: r, scale length rs in pixels."""
    return (-r / rs).exp()


def by_square(square: Tensor, rs: Tensor, partials: bool) -> dict[str, Tensor]:
    """f and its slopes by the squared radius ("square") and rs."""
    scaled = square.sqrt().div_(-rs)
    f = scaled.exp()
    if not partials:
        return {"": f}
    steep = scaled.mul_(f)  # df / dln(r)
    return {"": f, "square": steep / square * 0.5, "rs": steep.div_(-rs)}


def total(rs: Tensor) -> Tensor:
    """2 pi Rs^2: the integral over the plane for q = 1 (eq. 9)."""
    return 2 * math.pi * rs**2


PROFILE = Profile(
    name="expdisk",
    params=(
        X,
        Y,
        magnitude(),
        size("rs", "RS", "Scalelength [pixels]", "  R_s (disk scale-length)   [pix]"),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={
        1: CENTRAL,
        2: replace(magnitude(), name="mu", menu="  Surface brightness at Rs  [mag/arcsec^2]"),
        3: AT_BREAK,
    },
    intensity=intensity,
    by_square=by_square,
    total=total,
    anchors={1: "", 2: "", 3: ""},  # GALFIT normalises expdisk at the centre whatever the digit
    scale="rs",
    sampling=Sampling(
        inner=200,
        inner_radius=3.0,
        core_size="rs",
        core_count=400.0,
        largest_core_size=1.0,
        accurate=True,
        gauss_from=0.6,
    ),
)

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
    IMAGE,
    POSITION_ANGLE,
    STEEP,
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


def by_square(square: Tensor, level: Tensor, rs: Tensor, partials: bool) -> dict[str, Tensor]:
    """e^level f, and that times r / rs (``STEEP``)."""
    scaled = square.sqrt().div_(rs)
    f = (level - scaled).exp_()
    return {IMAGE: f, STEEP: scaled.mul_(f)} if partials else {IMAGE: f}


def by_basis(rs: Tensor) -> dict[str, dict[str, Tensor]]:
    """df/dln(r) = -r / rs f."""
    return {"log": {STEEP: rs.new_ones(rs.shape)}, "rs": {STEEP: 1 / rs}}


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
    by_basis=by_basis,
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

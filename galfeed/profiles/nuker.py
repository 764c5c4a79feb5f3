"""Nuker profile: f(r) = 2^((beta-gamma)/alpha) (r/Rb)^(-gamma) (1 + (r/Rb)^alpha)^((gamma-beta)/alpha), f(Rb) = 1.

Lauer et al. 1995 (AJ 110, 2622), eq. 3; Peng et al. 2010 (AJ 139, 2097), eq. 10.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from galfeed.job import ParamSpec
from galfeed.profiles._profile import (
    AT_BREAK_RADIUS,
    AXIS_RATIO,
    BREAK,
    CENTRAL,
    POSITION_ANGLE,
    SLOPE_STEP,
    SLOPES,
    Profile,
    Sampling,
    X,
    Y,
    index,
    size,
    surface_brightness,
)

if TYPE_CHECKING:
    from torch import Tensor

AT_RB = surface_brightness("MU", "Surface brightness at Rb", "     Mu(Rb)   [mag/arcsec^2]")
TINY = 1e-300  # keeps log(r) finite at the centre


def intensity(r: Tensor, rb: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
    """f(r), 1 at r = rb.

    Args:
        r, rb: radius and break radius, pixels.
        alpha: sharpness of the break.  beta, gamma: outer and inner power-law slope.
    """
    x = (r.clamp(min=TINY) / rb).log()
    bend = (alpha * x).logaddexp(x.new_zeros(())) - math.log(2)
    return (-gamma * x + (gamma - beta) / alpha * bend).exp()


PROFILE = Profile(
    name="nuker",
    params=(
        X,
        Y,
        AT_RB,
        size("rb", "RB", "Break radius Rb [pixels]", "      Rb      [pix]"),
        index("ALPHA", "alpha", "     Alpha ", name="alpha"),
        ParamSpec("6", "beta", "BETA", "beta", "      Beta ", limits=SLOPES, step=SLOPE_STEP),
        ParamSpec("7", "gamma", "GAMMA", "gamma", "     Gamma ", limits=SLOPES, step=SLOPE_STEP),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={1: replace(CENTRAL, menu=AT_RB.menu), 3: AT_BREAK_RADIUS},
    intensity=intensity,
    anchors={0: "rb", 1: "rb", 2: "rb", 3: BREAK},
    scale="rb",
    sampling=Sampling(inner=10, count=10.0, limit=5.0, core_size="rb", core_count=10.0),
)

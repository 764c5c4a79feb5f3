"""Modified Ferrer profile: f(r) = (1 - (r / Rout)^(2 - beta))^alpha within Rout, nothing beyond.

Binney & Tremaine 1987; Peng et al. 2010 (AJ 139, 2097), eq. 14.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from galfeed.job import ParamSpec
from galfeed.profiles._profile import (
    AT_BREAK,
    AXIS_RATIO,
    BREAK,
    POSITION_ANGLE,
    SLOPE_STEP,
    X_SPACED,
    Profile,
    Sampling,
    Y,
    index,
    size,
    surface_brightness,
)

if TYPE_CHECKING:
    from torch import Tensor

CENTRE = surface_brightness("MU_0", "Central surface brightness", "  Central surface brghtness  [mag/arcsec^2]")
TINY = 1e-300  # keeps logarithms finite at the centre and at the edge


def intensity(r: Tensor, rout: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """f(r), 1 at the centre.

    Args:
        r, rout: radius and outer radius, pixels.
        alpha: sharpness of the edge.  beta: central slope, below 2.
    """
    falling = -((2 - beta) * (r.clamp(min=TINY) / rout).log()).expm1()
    return (alpha * falling.clamp(min=TINY).log()).exp().where((r < rout) & (falling > 0), 0.0)


PROFILE = Profile(
    name="ferrer",
    params=(
        X_SPACED,
        Y,
        CENTRE,
        size("rout", "ROUT", "Outer radius [pixels]", "  Outer truncation radius  [pix]"),
        index("ALPHA", "Alpha (outer truncation sharpness)", "  Alpha (outer truncation sharpness) ", name="alpha"),
        ParamSpec(
            "6",
            "beta",
            "BETA",
            "Beta (central slope)",
            "  Beta (central slope)",
            limits=(-10.0, 1.99),
            step=SLOPE_STEP,
        ),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={
        2: replace(CENTRE, menu="  Surface brightness at FWHM [mag/arcsec^2]"),
        3: replace(CENTRE, menu=AT_BREAK.menu),
    },
    intensity=intensity,
    anchors={0: "", 1: "", 2: "", 3: BREAK},
    scale="rout",
    edge="rout",
    sampling=Sampling(core_size="rout", core_count=40.0, largest_core_size=1.0),
)

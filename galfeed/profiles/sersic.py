"""Sersic profile: f(r) = exp(-kappa ((r / Re)^(1/n) - 1)), f(Re) = 1.

Sersic 1968; Peng et al. 2010 (AJ 139, 2097), eq. 5 and 6.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from galfeed.profiles._exact_kappa import exact_kappa
from galfeed.profiles._kappa import kappa
from galfeed.profiles._profile import (
    AT_BREAK_RADIUS,
    AXIS_RATIO,
    BREAK,
    CENTRAL,
    IMAGE,
    POSITION_ANGLE,
    STEEP,
    Profile,
    Sampling,
    X,
    Y,
    index,
    magnitude,
    size,
    surface_brightness,
)

if TYPE_CHECKING:
    from torch import Tensor

TINY = 1e-300  # keeps log(r) finite at the centre
LARGEST = 80.0  # of log(r / re) / n: the light has long been 0, and single precision is not left


def derived(re: Tensor, n: Tensor) -> dict[str, Tensor]:
    return {"kappa": kappa(n)}


def exact(re: Tensor, n: Tensor) -> dict[str, Tensor]:
    return {"kappa": exact_kappa(n)}


def intensity(r: Tensor, re: Tensor, n: Tensor, kappa: Tensor) -> Tensor:
    """f(r), 1 at r = re.

    Args:
        r: elliptical radius, pixels.
        re: effective radius, pixels.  n: Sersic index.  kappa: kappa(n).
    """
    return (kappa * (1.0 - ((r.clamp(min=TINY) / re).log() / n).exp())).exp()


def by_square(square: Tensor, level: Tensor, re: Tensor, n: Tensor, kappa: Tensor, partials: bool) -> dict[str, Tensor]:
    """e^level f, and that times x = (r / re)^(1/n) (``STEEP``) and times x ln(x) ("n")."""
    scaled = square.log().mul_(0.5 / n).sub_(re.log() / n).clamp_(max=LARGEST)
    power = scaled.exp()
    if not partials:
        return {IMAGE: power.mul_(-kappa).add_(kappa + level).exp_()}
    f = (power * -kappa).add_(kappa + level).exp_()
    steep = power.mul_(f)
    return {IMAGE: f, STEEP: steep, "n": scaled.mul_(steep)}


def by_basis(re: Tensor, n: Tensor, kappa: Tensor) -> dict[str, dict[str, Tensor]]:
    """df/dln(r) = -kappa/n x f; df/dn = kappa/n x ln(x) f; df/dkappa = (1 - x) f."""
    one = n.new_ones(n.shape)
    return {
        "log": {STEEP: kappa / n},
        "re": {STEEP: kappa / (n * re)},
        "n": {"n": kappa / n},
        "kappa": {IMAGE: one, STEEP: -one},
    }


def total(re: Tensor, n: Tensor, kappa: Tensor) -> Tensor:
    """2 pi Re^2 e^kappa n kappa^(-2n) Gamma(2n): the integral over the plane for q = 1 (eq. 6)."""
    return 2 * math.pi * re**2 * n * (kappa - 2 * n * kappa.log() + (2 * n).lgamma()).exp()


PROFILE = Profile(
    name="sersic",
    params=(
        X,
        Y,
        magnitude("Integrated magnitude [mag]"),
        size("re", "RE", "Effective radius Re [pixels]", "  R_e (effective radius)   [pix]"),
        index("N", "Sersic index", "  Sersic index n (de Vaucouleurs n=4) "),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={
        1: CENTRAL,
        2: surface_brightness(
            "MU_E", "Effective surface brightness [mag/arcsec^2]", "  Surface brightness at R_e [mag/arcsec^2]"
        ),
        3: AT_BREAK_RADIUS,
    },
    intensity=intensity,
    by_square=by_square,
    by_basis=by_basis,
    derived=derived,
    exact=exact,
    total=total,
    anchors={1: "", 2: "re", 3: BREAK},
    scale="re",
    sampling=Sampling(core_size="re"),
    cusp=True,
)

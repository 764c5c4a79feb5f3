"""De Vaucouleurs profile: the Sersic profile of n = 4.

de Vaucouleurs 1948; Peng et al. 2010 (AJ 139, 2097), section 3.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from galfeed.profiles import sersic
from galfeed.profiles._profile import Blank, Profile

if TYPE_CHECKING:
    from torch import Tensor

N = 4.0
KAPPA = 7.669254  # GALFIT's kappa(4), probed to 1e-6
EXACT_KAPPA = 7.669249442500805


def derived(re: Tensor) -> dict[str, Tensor]:
    return {"kappa": re.new_full(re.shape, KAPPA)}


def exact(re: Tensor) -> dict[str, Tensor]:
    return {"kappa": re.new_full(re.shape, EXACT_KAPPA)}


def intensity(r: Tensor, re: Tensor, kappa: Tensor) -> Tensor:
    """f(r), 1 at r = re.  Args: r, re in pixels; kappa: kappa(4)."""
    return (kappa * (1.0 - ((r.clamp(min=sersic.TINY) / re).log() / N).exp())).exp()


def by_square(square: Tensor, level: Tensor, re: Tensor, kappa: Tensor, partials: bool) -> dict[str, Tensor]:
    """The Sersic profile's for n = 4."""
    return sersic.by_square(square, level, re, re.new_full(re.shape, N), kappa, partials)


def by_basis(re: Tensor, kappa: Tensor) -> dict[str, dict[str, Tensor]]:
    """The Sersic profile's for n = 4."""
    return sersic.by_basis(re, re.new_full(re.shape, N), kappa)


def total(re: Tensor, kappa: Tensor) -> Tensor:
    """Integral over the plane for q = 1, square pixels."""
    return sersic.total(re, re.new_full(re.shape, N), kappa)


PROFILE: Profile = replace(
    sersic.PROFILE,
    name="devauc",
    params=tuple(
        replace(s, menu="  R_e (effective radius)    [pix]") if s.key == "4" else s
        for s in sersic.PROFILE.params
        if s.key != "5"
    ),
    intensity=intensity,
    by_square=by_square,
    by_basis=by_basis,
    derived=derived,
    exact=exact,
    total=total,
    blanks={"5": Blank(value=N)},
)

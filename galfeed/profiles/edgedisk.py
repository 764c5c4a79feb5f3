"""Edge-on disk: f(u, v) = (|u| / Rs) K1(|u| / Rs) sech^2(v / hs), u along and v across the disk, f(0, 0) = 1.

van der Kruit & Searle 1981 (A&A 95, 105); Peng et al. 2010 (AJ 139, 2097), eq. 16.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from galfeed.profiles._profile import AT_BREAK, BREAK, POSITION_ANGLE, Blank, Profile, X, Y, size, surface_brightness

if TYPE_CHECKING:
    from torch import Tensor

CENTRE = surface_brightness("MU_0", "Central surface brightness", "     Mu(0)   [mag/arcsec^2]")
SMALLEST, LARGEST = 1e-12, 700.0  # of |u| / Rs


def intensity(u: Tensor, v: Tensor, hs: Tensor, rs: Tensor) -> Tensor:
    """f(u, v), 1 at the centre.

    Args:
        u, v: coordinates along and across the disk, pixels.
        hs, rs: scale height and scale length, pixels.
    """
    return _long(u.abs() / rs) * 4 * (-2 * v.abs() / hs).exp() / (1 + (-2 * v.abs() / hs).exp()) ** 2


def _long(x: Tensor) -> Tensor:
    """x K1(x); its slope -x K0(x) is carried along, torch has none for its Bessel functions."""
    from torch.special import modified_bessel_k0, modified_bessel_k1

    at = x.detach().clamp(SMALLEST, LARGEST)
    value: Tensor = at * modified_bessel_k1(at) - at * modified_bessel_k0(at) * (x - x.detach())
    return value


PROFILE = Profile(
    name="edgedisk",
    params=(
        X,
        Y,
        CENTRE,
        size("hs", "HS", "Scale-height [pixels]", "  h_s (disk scale-height)   [pix]"),
        size("rs", "RS", "Scale-length [pixels]", "  R_s (disk scale-length)   [pix]", key="5"),
        POSITION_ANGLE,
    ),
    surface={
        2: replace(CENTRE, menu="  Surface brightness at Rc  [mag/arcsec^2]"),
        3: replace(CENTRE, menu=AT_BREAK.menu),
    },
    kind="edge",
    intensity=intensity,
    anchors={0: "", 1: "", 2: "rs", 3: BREAK},
    blanks={"9": Blank(toggle=-1)},
)

"""Modified King profile: f(r) = (1 - T)^(-alpha) ((1 + (r/Rc)^2)^(-1/alpha) - T)^alpha, T = (1 + (Rt/Rc)^2)^(-1/alpha).

Nothing beyond Rt.  Elson 1999; Peng et al. 2010 (AJ 139, 2097), eq. 15; alpha = 2 is King 1962.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from galfeed.profiles._profile import (
    AT_BREAK,
    AXIS_RATIO,
    BREAK,
    CENTRAL,
    POSITION_ANGLE,
    Profile,
    Sampling,
    X,
    Y,
    index,
    size,
)

if TYPE_CHECKING:
    from torch import Tensor

NO_CARD = replace(CENTRAL, header="", comment="")  # GALFIT writes none for the surface brightness of a king
TINY = 1e-300  # keeps the logarithm finite at the edge


def derived(rc: Tensor, rt: Tensor, alpha: Tensor) -> dict[str, Tensor]:
    """T, which is subtracted so that the light ends at rt, and the central value that it leaves."""
    floor = _floor(rc, rt, alpha)
    return {"floor": floor, "peak": 1 - floor}


def galfit(rc: Tensor, rt: Tensor, alpha: Tensor) -> dict[str, Tensor]:
    """GALFIT has the sign wrong where it differentiates (1 - T)^(-alpha) by rt (probed)."""
    floor, by_rt = _floor(rc, rt.detach(), alpha), _floor(rc.detach(), rt, alpha.detach())
    return {"floor": _floor(rc, rt, alpha), "peak": 1 - floor + (by_rt - by_rt.detach())}


def _floor(rc: Tensor, rt: Tensor, alpha: Tensor) -> Tensor:
    return (-((rt / rc) ** 2).log1p() / alpha).exp()


def intensity(r: Tensor, rc: Tensor, rt: Tensor, alpha: Tensor, floor: Tensor, peak: Tensor) -> Tensor:
    """f(r), 1 at the centre.

    Args:
        r, rc, rt: radius, core radius and truncation radius, pixels.
        alpha: power.  floor: T.  peak: 1 - T.
    """
    height = ((-((r / rc) ** 2).log1p() / alpha).exp() - floor) / peak
    return (alpha * height.clamp(min=TINY).log()).exp().where((r < rt) & (height > 0), 0.0)


PROFILE = Profile(
    name="king",
    params=(
        X,
        Y,
        NO_CARD,
        size("rc", "RC", "Core radius [pixels]", "      Rc      [pix]"),
        size("rt", "RT", "Truncation radius [pixels]", "      Rt      [pix]", key="5"),
        index("ALPHA", "Powerlaw alpha", "    Alpha ", key="6", name="alpha"),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={1: CENTRAL, 2: replace(NO_CARD, menu="  Surface brightness at Rc  [mag/arcsec^2]"), 3: AT_BREAK},
    intensity=intensity,
    derived=derived,
    galfit=galfit,
    anchors={0: "", 1: "", 2: "rc", 3: BREAK},
    scale="rc",
    edge="rt",
    sampling=Sampling(core_size="rc", core_count=40.0, largest_core_size=1.0),
)

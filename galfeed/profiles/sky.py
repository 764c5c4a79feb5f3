"""Sky: a plane, sky + dsdx (x - x0) + dsdy (y - y0), (x0, y0) the centre of the fitting region.

Peng et al. 2010 (AJ 139, 2097), section 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from galfeed.job import ParamSpec
from galfeed.profiles._profile import Profile

if TYPE_CHECKING:
    from torch import Tensor


def intensity(dx: Tensor, dy: Tensor, sky: Tensor, dsdx: Tensor, dsdy: Tensor) -> Tensor:
    """Level in ADU at the offset dx, dy [pixel] from the centre of the region; gradients in ADU a pixel."""
    return sky + dsdx * dx + dsdy * dy


PROFILE = Profile(
    name="sky",
    params=(
        ParamSpec(
            "1",
            "sky",
            "SKY",
            "Sky background [ADUs]",
            "  Sky background at center of fitting region [ADUs]",
            "ADU",
        ),
        ParamSpec(
            "2", "dsdx", "DSDX", "x sky gradient [ADUs]", "  dsky/dx (sky gradient in x)     [ADUs/pix]", "ADU/pix"
        ),
        ParamSpec(
            "3", "dsdy", "DSDY", "y sky gradient [ADUs]", "  dsky/dy (sky gradient in y)     [ADUs/pix]", "ADU/pix"
        ),
    ),
    kind="background",
    intensity=intensity,
)

"""From pixel offsets to the elliptical radius of a component.

Conventions, stated here once: x and y are image axes, PA is in degrees, 0 up (+y), counter-clockwise.  GALFIT's own
frame has its first axis along the major axis but pointing opposite to the direction PA (Peng et al. 2010, AJ 139,
2097, section 4; the sense is probed).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from galfeed.job import ParamSpec

if TYPE_CHECKING:
    from torch import Tensor

C0 = ParamSpec(
    "c0",
    "c0",
    "C0",
    "Diskyness (<0) or Boxyness (>0)",
    "  Diskyness(-)/Boxyness(+)",
    limits=(-1.9, 10.0),
    step=0.5,
)

SMALLEST = 1e-10  # pixels; keeps the derivatives of r finite at the centre


def derived(pa: Tensor) -> dict[str, Tensor]:
    """Sine and cosine of the position angle [deg]."""
    angle = pa * (math.pi / 180)
    return {"sin_pa": angle.sin(), "cos_pa": angle.cos()}


def radius(dx: Tensor, dy: Tensor, q: Tensor, sin_pa: Tensor, cos_pa: Tensor, c0: Tensor | None = None) -> Tensor:
    """Generalised elliptical radius in pixels along the major axis, elementwise.

    r = (|x'|^(C0+2) + |y'/q|^(C0+2))^(1/(C0+2)); Athanassoula et al. 1990; Peng et al. 2010, eq. 4.

    Args:
        dx, dy: offsets from the centre, pixels.
        q: axis ratio.  sin_pa, cos_pa: of the position angle.  c0: diskyness (< 0) or boxyness (> 0).
    """
    major = dx * sin_pa - dy * cos_pa
    minor = (dx * cos_pa + dy * sin_pa) / q
    if c0 is None:
        return (major * major + minor * minor).clamp(min=SMALLEST**2).sqrt()
    power = c0 + 2
    major, minor = major.abs().clamp(min=SMALLEST), minor.abs().clamp(min=SMALLEST)
    return (major**power + minor**power) ** (1 / power)


def area(c0: Tensor | None = None) -> Tensor | float:
    """Area of a circle over that of the generalised ellipse of q = 1: pi p / (4 B(1/p, 1 + 1/p)), p = C0 + 2.

    Peng et al. 2010, eq. 7.
    """
    if c0 is None:
        return 1.0
    power = c0 + 2
    beta = ((1 / power).lgamma() + (1 + 1 / power).lgamma() - (1 + 2 / power).lgamma()).exp()
    return math.pi * power / (4 * beta)

"""The exact kappa(n) of a Sersic profile: Gamma(2n) = 2 gamma(2n, kappa) (Ciotti & Bertin 1999, A&A 352, 447).

With a = 2n the root of P(a, kappa) = 1/2 is found by Newton steps on log P over log kappa, where P is nearly a straight
line for small n.  P and its slope by a come from one series of positive terms,
P(a, x) = x^a e^-x sum_k x^k / Gamma(a + k + 1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST, LARGEST = 0.02, 50.0
SMALL = 0.3  # below, Newton starts from the first term of the series
TERMS = 150  # enough for x = a = 100
STEPS = 6


def exact_kappa(n: Tensor) -> Tensor:
    """kappa(n), elementwise, to 1e-13 of its value; differentiable once.

    Args:
        n: Sersic index; below 0.02 the value of 0.02 is taken, above 50 kappa goes on with the slope 2.
    """
    given = n.detach().nan_to_num(SMALLEST)
    inside = given.clamp(SMALLEST, LARGEST)
    a = 2 * inside
    small = ((a + 1).lgamma() - math.log(2)) / a
    large = (a - 1 / 3 + 8 / (405 * a)).clamp(min=SMALLEST).log()
    y = small.where(inside < SMALL, large)
    for _ in range(STEPS):
        p, _, slope_y = _incomplete_gamma(a, y)
        y = y - (2 * p).log() * p / slope_y
    _, slope_a, slope_y = _incomplete_gamma(a, y)
    root = y.exp()
    slope = -2 * root * slope_a / slope_y
    slope = slope.where(given >= SMALLEST, 0.0).where(given <= LARGEST, 2.0)
    return root + 2 * (given - inside).clamp(min=0) + slope * (n - n.detach())


def _incomplete_gamma(a: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P(a, e^y) and its derivatives by a and by y."""
    top = a[..., None] + a.new_tensor(range(1, TERMS + 1))  # a + k + 1
    y = y[..., None]
    term = ((top - 1) * y - y.exp() - top.lgamma()).exp()
    return term.sum(-1), (term * (y - top.digamma())).sum(-1), a * term[..., 0]

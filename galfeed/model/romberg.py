"""The open Romberg quadrature that GALFIT uses: 5 levels, extrapolated to no step at all.

Press et al. 1992, Numerical Recipes, section 4.4 (``midpnt`` and ``qromo``); GALFIT stops at the fifth level in every
case probed, so that it is a fixed sum.  It is not accurate where the integrand has a cusp or waves fast, which shows in
GALFIT's numbers.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

LEVELS = 5


@cache
def nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on (0, 1): mid-points of 1, 3, 9, 27 and 81 intervals, extrapolated in the step squared."""
    steps = [9.0**-level for level in range(LEVELS)]
    points, weights = [], []
    for level, step in enumerate(steps):
        share = math.prod(other / (other - step) for k, other in enumerate(steps) if k != level)  # Lagrange, at 0
        number = 3**level
        points.append((np.arange(number) + 0.5) / number)
        weights.append(np.full(number, share / number))
    return np.concatenate(points), np.concatenate(weights)

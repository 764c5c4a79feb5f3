"""GALFIT's kappa(n), the number that makes Re of a Sersic profile the radius of half the light.

Exactly, Gamma(2n) = 2 gamma(2n, kappa) (Ciotti & Bertin 1999).  GALFIT 3.0.5 takes a cubic spline through a table below
n = 5 and a straight line from there on; both are reproduced here from probed values, because the default must give
GALFIT's numbers.  Down to n = 0.06 the largest deviation from the exact root is 2.6e-4, at n = 0.555; below, GALFIT's
spline swings up again.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FINE = (  # kappa at n = 0.020, 0.025, ... 0.300
    0.0076220, 0.0054251, 0.0036685, 0.0023340, 0.0014238, 0.0009226, 0.0008153, 0.0011202, 0.0018150, 0.0029031,
    0.0043585, 0.0062021, 0.0084038, 0.0109727, 0.0138925, 0.0171595, 0.0207647, 0.0247186, 0.0289902, 0.0335726,
    0.0384639, 0.0436232, 0.0490579, 0.0547384, 0.0606573, 0.0667879, 0.0731220, 0.0796413, 0.0863357, 0.0931969,
    0.1002070, 0.1073616, 0.1146585, 0.1220844, 0.1296386, 0.1373024, 0.1450729, 0.1529495, 0.1609181, 0.1689677,
    0.1771084, 0.1853206, 0.1936159, 0.2019779, 0.2104172, 0.2189107, 0.2274675, 0.2360790, 0.2447484, 0.2534600,
    0.2622212, 0.2710320, 0.2798895, 0.2887864, 0.2977163, 0.3066932, 0.3157038,
)  # fmt: skip
MEDIUM = (  # kappa at n = 0.31, 0.32, ... 0.70
    0.3338175, 0.3520571, 0.3704188, 0.3888742, 0.4074250, 0.4260639, 0.4447814, 0.4635648, 0.4824296, 0.5013523,
    0.5203278, 0.5393612, 0.5584467, 0.5775762, 0.5967412, 0.6159491, 0.6351824, 0.6544509, 0.6737667, 0.6931258,
    0.7125490, 0.7320079, 0.7515098, 0.7710206, 0.7905269, 0.8100234, 0.8294967, 0.8489705, 0.8684566, 0.8879566,
    0.9075031, 0.9270880, 0.9467001, 0.9663379, 0.9859926, 1.0056583, 1.0253223, 1.0449991, 1.0646761, 1.0843716,
)  # fmt: skip
COARSE = (  # kappa at n = 0.75, 0.80, ... 5.00
    1.1829877, 1.2817907, 1.3807657, 1.4798563, 1.5790554, 1.6783472, 1.7777117, 1.8771341, 1.9766294, 2.0761557,
    2.1757314, 2.2753380, 2.3749852, 2.4746438, 2.5743391, 2.6740581, 2.7737972, 2.8735444, 2.9733230, 3.0731012,
    3.1729095, 3.2727199, 3.3725379, 3.4723680, 3.5722052, 3.6720652, 3.7719149, 3.8717838, 3.9716539, 4.0715328,
    4.1714120, 4.2713016, 4.3712007, 4.4711005, 4.5709997, 4.6709099, 4.7708193, 4.8707291, 4.9706476, 5.0705782,
    5.1704991, 5.2704269, 5.3703580, 5.4702866, 5.5702278, 5.6701667, 5.7701066, 5.8700382, 5.9699848, 6.0699362,
    6.1698764, 6.2698263, 6.3697760, 6.4697249, 6.5696851, 6.6696358, 6.7695945, 6.8695555, 6.9695052, 7.0694646,
    7.1694246, 7.2693943, 7.3693544, 7.4693238, 7.5692845, 7.6692538, 7.7692149, 7.8691837, 7.9691529, 8.0691241,
    8.1690932, 8.2690644, 8.3690347, 8.4689927, 8.5689730, 8.6689529, 8.7689239, 8.8688931, 8.9688817, 9.0688537,
    9.1688328, 9.2688041, 9.3687732, 9.4687514, 9.5687435, 9.6687146,
)  # fmt: skip
NODES = tuple(i / 200 for i in (*range(4, 61), *range(62, 141, 2), *range(150, 1001, 10)))
VALUES = FINE + MEDIUM + COARSE
SLOPE, INTERCEPT = 1.9992, -0.3271  # kappa = 1.9992 n - 0.3271 for n >= 5


@cache
def _second_derivatives() -> tuple[float, ...]:
    """Second derivatives of the natural cubic spline at the nodes (tridiagonal system, Thomas algorithm)."""
    size = len(NODES)
    upper, right = [0.0] * size, [0.0] * size
    for i in range(1, size - 1):
        before, after = NODES[i] - NODES[i - 1], NODES[i + 1] - NODES[i]
        bend = 6 * ((VALUES[i + 1] - VALUES[i]) / after - (VALUES[i] - VALUES[i - 1]) / before)
        pivot = 2 * (before + after) - before * upper[i - 1]
        upper[i], right[i] = after / pivot, (bend - before * right[i - 1]) / pivot
    second = [0.0] * size
    for i in range(size - 2, 0, -1):
        second[i] = right[i] - upper[i] * second[i + 1]
    return tuple(second)


@cache
def _spline(dtype: torch.dtype, device: torch.device) -> Tensor:
    """(3, nodes): n, kappa and its second derivative."""
    import torch

    return torch.tensor([NODES, VALUES, _second_derivatives()], dtype=dtype, device=device)


def kappa(n: Tensor) -> Tensor:
    """kappa(n) as GALFIT has it, elementwise.

    Args:
        n: Sersic index, > 0; below 0.02 the value of 0.02 is taken.
    """
    import torch

    spline = _spline(n.dtype, n.device)
    inside = n.nan_to_num(NODES[0]).clamp(NODES[0], NODES[-1])
    right = torch.searchsorted(spline[0], inside.detach().contiguous()).clamp(1, len(NODES) - 1)
    (start, low, low_bend), (end, high, high_bend) = spline[:, right - 1], spline[:, right]
    width = end - start
    u = (inside - start) / width
    down = 1 - u
    bend = ((down**3 - down) * low_bend + (u**3 - u) * high_bend) * width**2 / 6
    found: Tensor = (down * low + u * high + bend).where(n < NODES[-1], SLOPE * n + INTERCEPT)
    return found

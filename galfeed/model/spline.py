"""The PSF moved by a fraction of a pixel so that its flux is kept and the image is smooth in the shift.

Quintic B-splines through the pixels (Unser et al. 1991, IEEE PAMI 13, 277), zero outside the array.  Unlike GALFIT's
shift (:mod:`galfeed.model.psf`) this has no branches: where the fraction passes one half, and one, it is continuous
with its first derivative.
"""

from __future__ import annotations

from functools import cache
from math import comb, factorial

import numpy as np
import torch
from torch import Tensor

from galfeed.model.psf import Moved, Psf

DEGREE = 5
SUPPORT = (DEGREE + 1) // 2  # pixels; the spline is zero beyond
PAD = 2  # lines added on each side of the array for light that leaves it
REACH = 14  # lines beyond the array after which the coefficients have died out, 0.43 a line


def move(psf: Psf, sx: Tensor, sy: Tensor, *, partials: bool = True) -> Moved:
    """Move each PSF by a fraction of a pixel, 0 <= sx, sy < 1, keeping its sum.

    Args:
        sx, sy: (B,) shifts in PSF pixels.
        partials: the derivatives are made in any case.

    Returns:
        arrays of two more lines on each side than those of the PSF, (B, My + 4, Mx + 4); floor(x) lies on the pixel
        (Mx // 2 + 2, My // 2 + 2) for every shift.
    """
    my, mx = psf.image.shape[-2:]
    x, dx = _matrices(mx, sx)
    y, dy = _matrices(my, sy)
    along, across = y @ psf.image, psf.image @ x.mT
    pixel = torch.zeros_like(sx, dtype=torch.long)
    return Moved(along @ x.mT, along @ dx.mT, dy @ across, pixel + mx // 2 + PAD, pixel + my // 2 + PAD)


def _matrices(size: int, t: Tensor) -> tuple[Tensor, Tensor]:
    """(B, size + 2 PAD, size) that moves a line by t, each column with unit sum; and its d/dt."""
    m = torch.arange(-PAD, size + PAD, dtype=t.dtype, device=t.device)
    k = torch.arange(-REACH, size + REACH, dtype=t.dtype, device=t.device)
    value, slope = _spline(m[:, None] - k - t[:, None, None])
    coefficients = t.new_tensor(_coefficients(size))
    moved, change = value @ coefficients, -slope @ coefficients
    total = moved.sum(1, keepdim=True)  # less than 1 at the border alone
    moved = moved / total
    return moved, (change - moved * change.sum(1, keepdim=True)) / total


def _spline(x: Tensor) -> tuple[Tensor, Tensor]:
    """B-spline and its derivative: sum_j (-1)^j C(6, j) (3 - j - |x|)_+^5 / 5! over j < 3."""
    value, slope = torch.zeros_like(x), torch.zeros_like(x)
    for j in range(SUPPORT):
        inside = (SUPPORT - j - x.abs()).clamp(min=0)
        weight = (-1) ** j * comb(DEGREE + 1, j) / factorial(DEGREE)
        value = value + weight * inside**DEGREE
        slope = slope - weight * DEGREE * inside ** (DEGREE - 1) * x.sign()
    return value, slope


@cache
def _coefficients(size: int) -> np.ndarray:
    """(size + 2 REACH, size): coefficients of the splines through a unit value in each pixel of a line."""
    whole = torch.arange(size + 2 * REACH, dtype=torch.float64)
    values = _spline(whole[:, None] - whole)[0].numpy()
    return np.linalg.solve(values, np.eye(size + 2 * REACH)[:, REACH : REACH + size])

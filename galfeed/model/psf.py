"""The PSF image: preparation, GALFIT's sub-pixel shift, and the PSF placed on an image.

GALFIT 3.0.5 moves a PSF by a fraction of a pixel with bicubic interpolation, replaced near the centre by a
Kaiser-windowed sinc where the width of the PSF lies between 1.7 and 4 pixels.  All rules and constants here are
probed; the model is discontinuous where the fraction passes one half.  Derivatives belong to the branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

SINC_FROM, WIDE_FROM, LARGE_FROM, SINC_TO = 1.7, 2.7, 3.0, 4.0  # widths, pixels
FIRST_TAP, TAPS = -15, 30
NARROW_TAPS = (-9, 10)  # first and last for t >= 0; one lower for t < 0


@dataclass(frozen=True)
class Psf:
    """PSFs of a batch, ready to be moved.

    Args:
        image: (B, My, Mx) unit sum, both sizes even, centre at [My // 2, Mx // 2].
        width: (B,) GALFIT's width statistic, pixels of the PSF image.
        fine: oversampling relative to the data.
        sinc: whether one of them, or of those that it is taken from, may have a width that asks for a sinc.
        nodes: (2, 2, B, My + 2, Mx + 2) what a bicubic is made of, with a line of zeros around it: the image and its
            slope along y, and of each itself and its slope along x; central differences, zero on the border lines.
    """

    image: Tensor
    width: Tensor
    fine: int
    sinc: bool
    nodes: Tensor

    def take(self, index: Tensor) -> Psf:
        return Psf(self.image[index], self.width[index], self.fine, self.sinc, self.nodes[:, :, index])


def prepare(images: Tensor, fine: int) -> Psf:
    """Normalise to unit sum and give every odd axis one leading line of zeros.

    Args:
        images: (B, h, w) as read from the files.
        fine: ``E)``, PSF pixels a data pixel.
    """
    image = images / images.sum((-2, -1), keepdim=True)
    image = torch.nn.functional.pad(image, (image.shape[-1] % 2, 0, image.shape[-2] % 2, 0))
    slope_x, slope_y, twist = _slopes(image)
    nodes = torch.stack([torch.stack([image, slope_x]), torch.stack([slope_y, twist])])
    width = _widths(image)
    return Psf(image, width, fine, bool(_asks_for_sinc(width).any()), torch.nn.functional.pad(nodes, (1, 1, 1, 1)))


def _widths(images: Tensor) -> Tensor:
    """Mean (B,) of the full widths at half maximum along the row and the column of the brightest pixel (pixels)."""
    batch, peak = torch.arange(len(images), device=images.device), images.flatten(1).argmax(1)
    y, x = peak // images.shape[2], peak % images.shape[2]
    lines = ((images[batch, y], x), (images[batch, :, x], y))
    arms = [_half_widths(line, place, step) for line, place in lines for step in (-1, 1)]
    return torch.stack(arms).sum(0) / 2


def _half_widths(line: Tensor, peak: Tensor, step: int) -> Tensor:
    """Distance (B,) from ``peak`` to where a line (B, N) first crosses half of it, by linear interpolation.

    Outside the line there is 0.
    """
    place = peak[:, None] + step * torch.arange(line.shape[1] + 1, device=line.device)
    inside = (place >= 0) & (place < line.shape[1])
    arm = line.gather(1, place.clamp(0, line.shape[1] - 1)) * inside
    half = arm[:, :1] / 2
    last = (arm[:, 1:] <= half).long().argmax(1, keepdim=True)  # the first that is
    before, after = arm.gather(1, last), arm.gather(1, last + 1)
    return (last + (before - half) / (before - after))[:, 0]


def position(x: Tensor, fine: int, *, single: bool = True) -> tuple[Tensor, Tensor]:
    """Fine pixel (counted from 0 at the image's first) and fraction in [0, 1) of a 1-based coordinate x.  (B,) both.

    Args:
        single: in single precision, in which GALFIT keeps coordinates.
    """
    place = ((x.float() if single else x) * fine).to(x.dtype) - (fine + 1) / 2
    pixel = place.floor()
    return pixel.long(), place - pixel


@dataclass(frozen=True)
class Moved:
    """A moved PSF (B, My, Mx), its derivatives with respect to the shift, and the pixel (B,) that lies on floor(x)."""

    image: Tensor
    d_dx: Tensor
    d_dy: Tensor
    x0: Tensor
    y0: Tensor


def move(psf: Psf, sx: Tensor, sy: Tensor, *, partials: bool = True) -> Moved:
    """Move each PSF by a fraction of a pixel, 0 <= sx, sy < 1.

    Args:
        sx, sy: (B,) shifts in PSF pixels.
        partials: whether the derivatives are needed; empty images if not.
    """
    my, mx = psf.image.shape[-2:]
    (jx, tx), (jy, ty) = nearest(sx), nearest(sy)
    return Moved(*displaced(psf, tx, ty, partials=partials), mx // 2 - jx, my // 2 - jy)


def nearest(fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Whole pixels to the nearest one, 0 or 1, and what is left of a fraction in [0, 1): -0.5 <= t < 0.5."""
    whole = (fraction >= 0.5).long()
    return whole, fraction - whole


def displaced(psf: Psf, tx: Tensor, ty: Tensor, *, partials: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """The PSFs (B, My, Mx) displaced by about half a pixel at most, tx, ty (B,), and their derivatives by tx and ty."""
    image = psf.image
    my, mx = image.shape[-2:]
    shifts = torch.stack([tx, ty])
    ((across, along), (across_slopes, along_slopes)) = _hermite(shifts)
    lines = _between(psf.nodes, along, -2)
    moved = _between(lines, across, -1)
    d_dx = _between(lines, across_slopes, -1) if partials else moved.new_empty(0)
    d_dy = _between(_between(psf.nodes, along_slopes, -2), across, -1) if partials else moved.new_empty(0)
    if psf.sinc:
        near = _region(psf, tx, ty) & _asks_for_sinc(psf.width)[:, None, None]
        (x, y), slopes = _sinc(shifts, psf.width, partials)
        wx, wy = _banded(x, mx), _banded(y, my)
        lines = wy @ image
        moved = torch.where(near, lines @ wx.mT, moved)
        if partials:
            d_dx = torch.where(near, lines @ _banded(slopes[0], mx).mT, d_dx)
            d_dy = torch.where(near, _banded(slopes[1], my) @ image @ wx.mT, d_dy)
    return moved, d_dx, d_dy


def _asks_for_sinc(width: Tensor) -> Tensor:
    return (width >= SINC_FROM) & (width <= SINC_TO)


def _slopes(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Central differences in x, in y and in both; zero on the border lines of the array."""
    slope_x, slope_y, twist = torch.zeros_like(image), torch.zeros_like(image), torch.zeros_like(image)
    right, left, up, down = slice(2, None), slice(None, -2), slice(2, None), slice(None, -2)
    inside = (..., slice(1, -1), slice(1, -1))
    slope_x[inside] = (image[..., 1:-1, right] - image[..., 1:-1, left]) / 2
    slope_y[inside] = (image[..., up, 1:-1] - image[..., down, 1:-1]) / 2
    twist[inside] = (
        image[..., up, right] - image[..., up, left] - image[..., down, right] + image[..., down, left]
    ) / 4
    return slope_x, slope_y, twist


def _hermite(t: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (axes, 2, B, 3) by which values and slopes at pixels m - 1, m, m + 1 give the cubic at m - t; their d/dt.

    Args:
        t: (axes, B).
    """
    d = torch.arange(1, -2, -1, dtype=t.dtype, device=t.device) - t[..., None]
    a = d.abs().clamp_(max=1)
    d = d.clamp_(-1, 1)
    rest = 1 - a
    turn = d * rest
    return (
        torch.stack([1 - a * a * (3 - 2 * a), turn * rest], 1),
        torch.stack([6 * turn, -rest * (1 - 3 * a)], 1),
    )


def _between(nodes: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Sums of values and slopes, nodes (2, ..., B, My, Mx), and their neighbours along an axis, two pixels shorter."""
    length = nodes.shape[axis] - 2
    found: Tensor | None = None
    for node, shares in zip(nodes, weights[..., None, None], strict=True):
        for place, share in enumerate(shares.unbind(1)):
            part = node.narrow(axis, place, length)
            found = share * part if found is None else found.addcmul_(share, part)
    assert found is not None
    return found


def _region(psf: Psf, tx: Tensor, ty: Tensor) -> Tensor:
    """(B, My, Mx) bool: array pixels where the sinc replaces the cubic, around the array's centre, one pixel low."""
    my, mx = psf.image.shape[-2:]
    width = psf.width
    reach = torch.where(width >= LARGE_FROM, 2.5 * width, 2.5 * (width - 0.5))
    x = torch.arange(mx, dtype=tx.dtype, device=tx.device) - (mx // 2 - 1) + tx[:, None]
    y = torch.arange(my, dtype=ty.dtype, device=ty.device) - (my // 2 - 1) + ty[:, None]
    return (x[:, None, :].square() + y[:, :, None].square()).sqrt() <= reach[:, None, None]


def _sinc(t: Tensor, width: Tensor, partials: bool) -> tuple[Tensor, Tensor]:
    """Weights (axes, B, TAPS) of a Kaiser-windowed sinc, their sum 1, and their d/dt, or nothing.

    Args:
        t: (axes, B).
        width: (B,) of the PSFs.
    """
    taps = torch.arange(FIRST_TAP, FIRST_TAP + TAPS, dtype=t.dtype, device=t.device)
    wide = (width >= WIDE_FROM)[:, None]
    lower = (t < 0).to(t.dtype)[..., None]
    used = wide | ((taps >= NARROW_TAPS[0] - lower) & (taps <= NARROW_TAPS[1] - lower))
    beta = 1 + wide.to(t.dtype)
    with torch.set_grad_enabled(partials):
        d = (taps - t[..., None]).detach().requires_grad_(partials)
        window = torch.special.i0(beta * (1 - (d / (10 * beta)) ** 2).clamp(min=1e-12).sqrt())
        weight = torch.sinc(d) * window * used
    total = weight.detach().sum(-1, keepdim=True)
    value = weight.detach() / total
    if not partials:
        return value, value.new_empty(0)
    (slope,) = torch.autograd.grad(-weight.sum(), d)  # by t = taps - d
    return value, (slope - value * slope.sum(-1, keepdim=True)) / total


def _banded(weights: Tensor, size: int) -> Tensor:
    """(B, size, size) what moves a line of so many pixels, of weights (B, TAPS)."""
    tap, inside = _band(size, weights.device)
    return weights[:, tap] * inside


@cache
def _band(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(size, size) which weight a pixel has in another, and whether there is one."""
    m = torch.arange(size, device=device)
    tap = m[:, None] - m[None, :] - FIRST_TAP
    return tap.clamp(0, TAPS - 1), (tap >= 0) & (tap < TAPS)


def place(moved: Tensor, x0: Tensor, y0: Tensor, height: int, width: int) -> Tensor:
    """Put arrays (B, My, Mx) onto images (B, height, width) so that their first pixel falls on (x0, y0); rest is 0."""
    my, mx = moved.shape[-2:]
    x = torch.arange(width, device=moved.device) - x0[:, None]
    y = torch.arange(height, device=moved.device) - y0[:, None]
    inside = ((y >= 0) & (y < my))[:, :, None] & ((x >= 0) & (x < mx))[:, None, :]
    batch = torch.arange(moved.shape[0], device=moved.device)[:, None, None]
    return moved[batch, y.clamp(0, my - 1)[:, :, None], x.clamp(0, mx - 1)[:, None, :]] * inside


def bin_down(fine_image: Tensor, fine: int) -> Tensor:
    """Sum blocks of fine x fine pixels: (..., H fine, W fine) -> (..., H, W)."""
    if fine == 1:
        return fine_image
    *batch, height, width = fine_image.shape
    return fine_image.reshape(*batch, height // fine, fine, width // fine, fine).sum((-3, -1))

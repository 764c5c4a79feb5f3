"""Convolution of rendered planes: with the moved PSF by FFT, and with the charge diffusion kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from galfeed.model import host
from galfeed.model.psf import Moved


def fast_length(size: int) -> int:
    """Smallest even length >= size whose prime factors are 2, 3, 5 and 7."""
    length = size + size % 2
    while True:
        rest = length
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


def margin(moved_shape: torch.Size) -> tuple[int, int]:
    """Pixels (y, x) that a canvas must have beyond the window on each side, for a PSF array of this (even) shape."""
    return moved_shape[-2] // 2, moved_shape[-1] // 2


def kernel_transforms(moved: Moved, shape: tuple[int, int], partials: bool) -> Tensor:
    """Transforms (1 or 3, B, *shape/2) of the kernel, normalised to unit sum, and of its derivatives in x and y."""
    return transforms(padded(moved, partials), shape)


def padded(moved: Moved, partials: bool) -> Tensor:
    """The kernel, normalised to unit sum, and its derivatives in x and y, (1 or 3, B, My + 1, Mx + 1).

    There is one pixel of room for the PSFs that were moved by a whole pixel, so that the centre is the same for all.
    """
    total = moved.image.sum((-2, -1), keepdim=True)
    kernel = moved.image / total
    kernels = [kernel]
    if partials:
        for slope in (moved.d_dx, moved.d_dy):
            kernels.append((slope - kernel * slope.sum((-2, -1), keepdim=True)) / total)
    batch, my, mx = kernel.shape
    room = kernel.new_zeros(len(kernels), batch, my + 1, mx + 1)
    across = torch.arange(mx, device=kernel.device) + (mx // 2 - moved.x0)[:, None]
    along = torch.arange(my, device=kernel.device) + (my // 2 - moved.y0)[:, None]
    image = torch.arange(batch, device=kernel.device)
    room[:, image[:, None, None], along[:, :, None], across[:, None, :]] = torch.stack(kernels)
    return room


def transforms(kernels: Tensor, shape: tuple[int, int]) -> Tensor:
    """Transforms of ``shape`` of padded kernels; lines of zeros are not transformed."""
    lines = torch.fft.rfft(kernels, n=shape[1], dim=-1)
    padded = lines.new_zeros(*lines.shape[:2], shape[0], lines.shape[-1])
    padded[..., : lines.shape[-2], :] = lines
    return along_columns(torch.fft.fft, padded)


def along_columns(transform: Callable[..., Tensor], planes: Tensor, **options: Any) -> Tensor:
    """A transform along the columns of planes (K, B, H, W), which rounds a single plane as it does any of several.

    How it rounds depends on how the planes lie in the memory, too.
    """
    if planes.shape[0] * planes.shape[1] == 1:
        twice = planes.new_empty_strided((2, *planes.shape[1:]), (planes.numel(), *planes.stride()[1:])).copy_(planes)
        return transform(twice, dim=-2, **options)[:1]
    return transform(planes, dim=-2, **options)


def convolve(
    planes: Tensor,
    kernels: Tensor,
    shape: tuple[int, int],
    reach: tuple[int, int],
    window: tuple[int, int],
    pairs: Sequence[tuple[int, int] | None],
) -> Tensor:
    """Convolve canvases and keep their window: (pairs, B, height, width).

    Args:
        planes: (K, B, ...) canvases that begin ``reach`` pixels before the window.
        kernels: transforms (J, B, ...) of the kernels, of ``shape``.
        shape: of the FFT; at least the size of the canvas.
        reach: ``margin`` of the kernels.
        window: (height, width) of the window.
        pairs: which canvas is to be convolved with which kernel; None: that place is left to the caller.
    """
    (my, mx), (height, width) = reach, window
    first, second = map(list, zip(*filter(None, pairs), strict=True))
    places = [place for place, pair in enumerate(pairs) if pair is not None]
    out = planes.new_empty(len(pairs), planes.shape[1], height, width)
    step = host.together(planes[0], 1)
    for start in range(0, planes.shape[1], step):
        some = slice(start, start + step)
        spectra = torch.fft.rfft2(planes[:, some].contiguous(), s=shape)
        if first != list(range(len(planes))):
            spectra = spectra[host.indices(first, spectra)]  # also leaves out what is not convolved
        spectra *= kernels[:, some][second[0] if len(set(second)) == 1 else host.indices(second, spectra)]
        # lines beyond the window are not transformed back
        lines = along_columns(torch.fft.ifft, spectra)[..., 2 * my : 2 * my + height, :]
        image = torch.fft.irfft(lines, n=shape[1], dim=-1)[..., 2 * mx : 2 * mx + width]
        if len(places) == len(pairs):
            out[:, some] = image
        else:
            for place, one in zip(places, image, strict=True):
                out[place, some] = one
    return out


def diffuse(image: Tensor, kernel: Tensor, inside: Tensor) -> Tensor:
    """Apply a charge diffusion kernel inside the convolution box, with nothing outside of it.

    A true convolution with unit sum; the centre of the kernel is its element n // 2.

    Args:
        image: (K, B, H, W).  kernel: (B, h, w) as in the file.  inside: (B, H, W) the box.
    """
    batch, kh, kw = kernel.shape
    weight = (kernel / kernel.sum((-2, -1), keepdim=True)).flip((-2, -1))[:, None]
    top, left = kh - 1 - kh // 2, kw - 1 - kw // 2
    padded = torch.nn.functional.pad(image * inside, (left, kw - 1 - left, top, kh - 1 - top))
    return torch.where(inside, torch.nn.functional.conv2d(padded, weight, groups=batch), image)


def centred(
    planes: Tensor,
    odd: int,
    kernels: Tensor,
    pairs: Sequence[tuple[int, int]],
    at: tuple[Tensor, Tensor],
    size: tuple[int, int],
    window: tuple[int, int],
) -> Tensor:
    """Convolve planes that are like their opposite, (pairs, B, h, w).

    Args:
        planes: (K, B, H / 2 + 1, W) half of them, the centre in the first line and column, each line from its right to
            its left end.
        odd: how many, the first ones, change their sign on the opposite side.
        kernels: (J, B, kh, kw) padded kernels.
        pairs: which plane is to be convolved with which kernel; planes with the same one stand side by side.
        at: column and row (B,) of the window that the centre is to be on.
        size: (H, W) even.  window: (h, w).
    """
    moved = _moved_transforms(kernels, *at, size)
    spectra = _spectra(planes, odd, size)
    products = _columns(moved, len(pairs), *moved.shape[1:])
    place = 0
    for (kernel, turned), same in groupby(pairs, lambda pair: (pair[1], pair[0] < odd)):
        chosen = [plane for plane, _ in same]
        by = moved[kernel] * -1j if turned else moved[kernel]  # spectra of odd planes are imaginary
        own = spectra[chosen[0] : chosen[-1] + 1]
        torch.mul(own, by, out=products[place : place + len(own)])
        place += len(own)
    lines = along_columns(torch.fft.ifft, products)[..., : window[0], :].contiguous()
    return torch.fft.irfft(lines, n=size[1], dim=-1)[..., : window[1]]


def _spectra(planes: Tensor, odd: int, size: tuple[int, int]) -> Tensor:
    """Transforms (K, B, H, W / 2 + 1) without the i of those that are imaginary."""
    lines = torch.fft.rfft(planes, dim=-1)  # the complex conjugates, as the lines are reversed
    if odd:
        lines[:odd] *= -1j
    return along_columns(torch.fft.irfft, lines, n=size[0], norm="forward")


def _moved_transforms(kernels: Tensor, column: Tensor, row: Tensor, size: tuple[int, int]) -> Tensor:
    """Transforms (J, B, H, W / 2 + 1) of padded kernels (J, B, h, w) with their centres at pixels (B,) of a plane."""
    count, batch, height, width = kernels.shape
    x = (torch.arange(width, device=kernels.device) - width // 2 + column[:, None]) % size[1]
    y = (torch.arange(height, device=kernels.device) - height // 2 + row[:, None]) % size[0]
    lines = kernels.new_zeros(count, batch, height, size[1])
    lines.scatter_(3, x[None, :, None, :].expand_as(kernels), kernels)
    transformed = torch.fft.rfft(lines, dim=-1)
    planes = _columns(transformed, count, batch, size[0], size[1] // 2 + 1).zero_()
    planes[:, torch.arange(batch, device=kernels.device)[:, None], y] = transformed
    return along_columns(torch.fft.fft, planes)


def _columns(like: Tensor, count: int, batch: int, height: int, width: int) -> Tensor:
    """Empty planes (count, batch, height, width) whose columns lie side by side in the memory.

    So they come from a transform along columns, and so they go into one without being copied.
    """
    return like.new_empty(count, batch, width, height).mT

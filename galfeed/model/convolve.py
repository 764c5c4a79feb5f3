"""Convolution of rendered planes: with the moved PSF by FFT, and with the charge diffusion kernel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

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
    total = moved.image.sum((-2, -1), keepdim=True)
    kernel = moved.image / total
    kernels = [kernel]
    if partials:
        for slope in (moved.d_dx, moved.d_dy):
            kernels.append((slope - kernel * slope.sum((-2, -1), keepdim=True)) / total)
    batch, my, mx = kernel.shape
    # one pixel of room for the PSFs that were moved by a whole pixel, so that the centre is the same for all
    padded = kernel.new_zeros(len(kernels), batch, my + 1, mx + 1)
    across = torch.arange(mx, device=kernel.device) + (mx // 2 - moved.x0)[:, None]
    along = torch.arange(my, device=kernel.device) + (my // 2 - moved.y0)[:, None]
    image = torch.arange(batch, device=kernel.device)
    padded[:, image[:, None, None], along[:, :, None], across[:, None, :]] = torch.stack(kernels)
    return torch.fft.rfft2(padded, s=shape)


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
    # on a CPU one image after the other, which stays in the core's cache
    step = 1 if planes.device.type == "cpu" else planes.shape[1]
    for start in range(0, planes.shape[1], step):
        some = slice(start, start + step)
        spectra = torch.fft.rfft2(planes[:, some], s=shape)
        if first != list(range(len(planes))):
            spectra = spectra[first]  # also leaves out what is not convolved
        spectra *= kernels[second[0] if len(set(second)) == 1 else second, some]
        image = torch.fft.irfft2(spectra, s=shape)
        for place, one in zip(places, image[..., 2 * my : 2 * my + height, 2 * mx : 2 * mx + width], strict=True):
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

"""Mean surface brightness of pixels, on the sub-pixel grid that GALFIT uses, with partial derivatives.

GALFIT takes the mean over N x N mid-points of a pixel, N from the elliptical radius of the pixel's centre (all numbers
probed).  The image is therefore evaluated twice here: once at all pixel centres, which decides N, and once at the
sub-samples of the pixels with N > 1, as one flat list.

Every parameter enters as a tensor of its own with one value a sample, so that the intensity is elementwise and one
backward pass gives all partial derivatives at all samples; no profile and no shape needs a derivative by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from galfeed.profiles import Sampling

MAX_SAMPLED_RADIUS = 10.0  # pixels; beyond, one sample a pixel
SAMPLES_TIMES_RADIUS = 20.0  # N = nint(20 / r) between the inner radius and 10
MAX_CORE = 100

CUSP_NODES = 24
CUSP_STEP = 0.005  # pixels
CUSP_POWER = 4  # r = R s^4 spreads the nodes evenly over a cusp

Select = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """The light of one component in each of B images, before it is integrated over pixels.

    Args:
        values: (B,) each, parameters by name ("xc", "yc", "q", ...), lengths in pixels of the grid.
        derived: numbers made of them, such as kappa(n): {name: (B,)} from ``values``.
        radius: (x, y, **all of them) -> elliptical radius, elementwise.
        intensity: (radius, **all of them) -> intensity, elementwise.
        wanted: names of ``values`` whose partial derivatives are asked for.
        sampling: sub-pixel rule.
        core_size: (B,) the length times q that sets the grid in the core, or None where it is constant.
        cusp: replace the sub-sample nearest the centre by the mean over its area.
        fine: pixels of this grid in one pixel of the data, along an axis.
        steps_across_cusp: differentiate the replaced sub-sample by x and y as GALFIT does.
    """

    values: dict[str, Tensor]
    derived: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    radius: Callable[..., Tensor]
    intensity: Callable[..., Tensor]
    wanted: tuple[str, ...]
    sampling: Sampling
    core_size: Tensor | None
    cusp: bool
    fine: int = 1
    steps_across_cusp: bool = False

    def spread(self, select: Select) -> tuple[dict[str, Tensor], list[Tensor]]:
        """One value a sample instead of one an image: all of them by name, and the leaves to differentiate by.

        A derived number is carried by its value and its slope, which is all that a first derivative sees.
        """
        full = {name: select(value) for name, value in self.values.items()}
        for name in self.wanted:
            full[name] = full[name].clone().requires_grad_()
        own = {name: value.detach().clone().requires_grad_() for name, value in self.values.items()}
        with torch.enable_grad():
            made = self.derived(own)
        for name, number in made.items():
            full[name] = select(number.detach())
            if number.requires_grad and self.wanted:
                by = [own[w] for w in self.wanted]
                slopes = torch.autograd.grad(number.sum(), by, allow_unused=True, retain_graph=True)
                for w, slope in zip(self.wanted, slopes, strict=True):
                    if slope is not None:
                        with torch.enable_grad():
                            full[name] = full[name] + select(slope) * (full[w] - full[w].detach())
        return full, [full[name] for name in self.wanted]


def integrate(source: Source, x: Tensor, y: Tensor) -> Tensor:
    """Mean intensity of pixels and its partial derivatives.

    Args:
        source: the light.
        x: (B, W) pixel centres along the rows.  y: (B, H) along the columns.

    Returns:
        (1 + len(source.wanted), B, H, W): the image, then one partial image for each wanted name.
    """
    grid = (x.shape[0], y.shape[1], x.shape[1])
    planes, radius = _evaluate(
        source,
        x[:, None, :].expand(grid),
        y[:, :, None].expand(grid),
        lambda v: v[:, None, None].expand(grid),
    )
    counts = grid_size(radius, source)
    image, row, column = torch.nonzero(counts > 1, as_tuple=True)
    if len(image) == 0:
        return planes
    count, order = torch.sort(counts[image, row, column], stable=True)
    image, row, column = image[order], row[order], column[order]
    groups = torch.unique_consecutive(count, return_counts=True)
    sizes = list(zip(groups[0].tolist(), groups[1].tolist(), strict=True))  # (N, pixels with that N)

    xs, ys = [], []
    for (n, _), pixels in zip(sizes, torch.split(torch.arange(len(image)), groups[1].tolist()), strict=True):
        step = (torch.arange(n, dtype=x.dtype, device=x.device) + 0.5) / n - 0.5
        across = x[image[pixels], column[pixels]][:, None, None] + step[None, :, None]
        along = y[image[pixels], row[pixels]][:, None, None] + step[None, None, :]
        xs.append(across.expand(-1, n, n).reshape(-1))
        ys.append(along.expand(-1, n, n).reshape(-1))
    owner = image.repeat_interleave(count**2)
    samples, sample_radius = _evaluate(source, torch.cat(xs), torch.cat(ys), lambda v: v[owner])
    if source.cusp:
        place = (torch.cat(xs), torch.cat(ys))
        _replace_cusp(source, samples, sample_radius, place, owner, count.repeat_interleave(count**2))
    means = [
        part.reshape(len(samples), number, n * n).mean(2)
        for (n, number), part in zip(
            sizes, torch.split(samples, [n * n * number for n, number in sizes], dim=1), strict=True
        )
    ]
    planes[:, image, row, column] = torch.cat(means, dim=1)
    return planes


def grid_size(radius: Tensor, source: Source) -> Tensor:
    """N of the N x N sub-samples of each pixel, from the elliptical radius (B, H, W) of its centre.

    On the fine grid of an oversampled PSF the counts are divided and the inner radii multiplied by the oversampling.
    """
    rule, fine = source.sampling, source.fine
    if source.core_size is None:
        core = radius.new_full((radius.shape[0],), rule.core)
    else:
        core = (SAMPLES_TIMES_RADIUS / source.core_size).floor().clamp(rule.inner, MAX_CORE)
    core = (core / fine).floor()[:, None, None]
    outer = (SAMPLES_TIMES_RADIUS / fine / radius + 0.5).floor()
    size = torch.where(radius < rule.inner_radius * fine, float(rule.inner // fine), outer)
    size = torch.where(radius < fine, core, size)
    return torch.where(radius < MAX_SAMPLED_RADIUS, size, 1.0).clamp(min=1).long()


def _evaluate(source: Source, x: Tensor, y: Tensor, select: Select) -> tuple[Tensor, Tensor]:
    """Intensity and its partials at samples, (1 + wanted, *shape), and their radius."""
    full, leaves = source.spread(select)
    with torch.set_grad_enabled(bool(leaves)):
        radius = source.radius(x, y, **full)
        light = source.intensity(radius, **full)
    partials = torch.autograd.grad(light.sum(), leaves) if leaves else ()
    return torch.stack([light.detach(), *partials]), radius.detach()


def _replace_cusp(
    source: Source, samples: Tensor, radius: Tensor, place: tuple[Tensor, Tensor], owner: Tensor, count: Tensor
) -> None:
    """Where r < 1 / (2N), put the mean over the centred ellipse that has the area of one sub-cell; in place.

    mean = 2 / R^2 int_0^R f(r) r dr with R = 1 / (N sqrt(pi q)).  It does not depend on the position; GALFIT's
    derivatives by x and y there are central differences of the intensity itself (probed).
    """
    central = torch.nonzero(radius < 0.5 / count)[:, 0]
    if len(central) == 0:
        return
    nodes, weights = np.polynomial.legendre.leggauss(CUSP_NODES)
    s = radius.new_tensor((nodes + 1) / 2)
    weight = radius.new_tensor(weights) * CUSP_POWER * s ** (2 * CUSP_POWER - 1)
    owner, count = owner[central], count[central]
    full, leaves = source.spread(lambda v: v[owner][:, None])
    with torch.set_grad_enabled(bool(leaves)):
        reach = 1 / (count[:, None] * (torch.pi * full["q"]).sqrt())
        light = (weight * source.intensity(reach * s**CUSP_POWER, **full)).sum(1)
    used = light.requires_grad  # the mean does not depend on the position
    partials = torch.autograd.grad(light.sum(), leaves, allow_unused=True) if used else [None] * len(leaves)
    samples[0, central] = light.detach()
    for plane, partial in enumerate(partials, start=1):
        samples[plane, central] = 0.0 if partial is None else partial[:, 0]
    if source.steps_across_cusp:
        x, y = place[0][central], place[1][central]
        for name, dx, dy in (("xc", CUSP_STEP, 0.0), ("yc", 0.0, CUSP_STEP)):
            if name in source.wanted:
                full, _ = replace(source, wanted=()).spread(lambda v: v[owner])
                ahead, behind = (
                    source.intensity(source.radius(x - side * dx, y - side * dy, **full), **full) for side in (1, -1)
                )
                samples[1 + source.wanted.index(name), central] = (ahead - behind) / (2 * CUSP_STEP)

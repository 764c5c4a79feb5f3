"""Mean surface brightness of pixels, on the sub-pixel grid that GALFIT uses, with partial derivatives.

GALFIT takes the mean over N x N mid-points of a pixel, N from the elliptical radius of the pixel's centre (all numbers
probed).  The image is therefore evaluated twice here: once at all pixel centres, which decides N, and once at the
sub-samples of the pixels with N > 1, as one flat list.

Every number enters as a tensor of its own with one value a sample, so that the intensity is elementwise and one
backward pass gives all partial derivatives at all samples; no profile and no shape needs a derivative by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from galfeed.model import romberg
from galfeed.model.light import OFF_AXIS, Light, Place
from galfeed.model.shape import DEGREE
from galfeed.profiles import Profile

MAX_CORE = 100
EDGE_COUNT, EDGE_NEAR, EDGE_LIMIT = 10.0, 3.0, 10.0  # edge-on disk: nint(10 / d) between d = 3 and 10, ...
EDGE_INNER = 5  # ... this nearer, ...
THIN, THIN_COUNT = 1.0, 20.0  # ... and int(20 / d) in the core of one with a scale height up to 1

GAUSS = 12  # nodes an axis, in place of GALFIT's 200
SMALLEST_FOR_GAUSS, SMALLEST_FOR_GRID = 0.5, 1.0  # pixels along the minor axis
SMOOTH_MODES = 6  # highest Fourier mode that they are enough for


_TAKEN: dict[tuple[object, ...], tuple[str, ...]] = {}

Select = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """The light of one component in each of B images, before it is integrated over pixels.

    Args:
        light: function, shape and truncations.
        values: (B,) each, all numbers that these take, in pixels of the grid.
        wanted: names of ``values`` whose partial derivatives are asked for.
        fine: pixels of this grid in one pixel of the data, along an axis.
    """

    light: Light
    values: dict[str, Tensor]
    wanted: tuple[str, ...]
    fine: int = 1

    def sample(self, x: Tensor, y: Tensor, image: Tensor, partials: bool = True) -> Tensor:
        """Light and its partial derivatives at points: (1 + wanted, S), or (1, S) without the partials.

        Args:
            x, y: (S,) points, pixels.
            image: (S,) to which of the B images each belongs.
        """
        return torch.stack(self.evaluate(x, y, lambda v: v[image], partials)[0])

    @property
    def lags(self) -> bool:
        """Whether partials need to know of the sample evaluated before."""
        return self.light.derivatives == "galfit" and self.light.profile.lag is not None and bool(self.wanted)

    def evaluate(
        self,
        x: Tensor,
        y: Tensor,
        select: Select,
        partials: bool = True,
        before: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[list[Tensor], Place]:
        """Light and its partials at points, all of the same shape, and where these lie in the function.

        Args:
            select: spreads a number (B,) over the points.
            before: from each point to the one before it, where the light lags.
        """
        p, leaves = self.spread(select, partials)
        with torch.set_grad_enabled(bool(leaves)):
            place, left = self.light.geometry(x, y, p)
            if before is not None:
                place = self.light.lagging(
                    place, self.light.untruncated.geometry(x + before[0], y + before[1], p)[0], p
                )
            light = self.light.intensity(place, p)
            if left is not None:
                light = light * left
        return [light.detach(), *_partials(light, leaves)], tuple(part.detach() for part in place)

    def taken(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of some numbers that the light itself is made of, and not only others that are made of them."""
        key = (self.light.profile.name, self.light.structure, names)
        if key not in _TAKEN:
            at = self.values["xc"][:1] + 0.7
            p = {name: value[:1].clone() for name, value in self.values.items()}
            leaves = [p[name].requires_grad_() for name in names]
            with torch.enable_grad():
                place, left = self.light.geometry(at, at, p)
                light = self.light.intensity(place, p) if left is None else self.light.intensity(place, p) * left
            slopes = torch.autograd.grad(light.sum(), leaves, allow_unused=True) if light.requires_grad else ()
            _TAKEN[key] = tuple(name for name, slope in zip(names, slopes, strict=False) if slope is not None)
        return _TAKEN[key]

    def spread(self, select: Select, partials: bool = True) -> tuple[dict[str, Tensor], list[Tensor]]:
        """One value a point instead of one an image: all of them by name, and the leaves to differentiate by."""
        p = {name: select(value) for name, value in self.values.items()}
        leaves = [p[name].requires_grad_() for name in self.wanted] if partials else []
        return p, leaves

    def single(self, x: Tensor, y: Tensor) -> Place:
        """Where the pixel centres x (B, W), y (B, H) lie in the function, as GALFIT has it in single precision.

        That decides on which side of a limit they fall.
        """
        p = {name: value.float()[:, None, None] for name, value in self.values.items()}
        dx, dy = x.float()[:, None, :] - p["xc"], y.float()[:, :, None] - p["yc"]
        dx, dy = dx.where(dx != 0, OFF_AXIS), dy.where(dy != 0, OFF_AXIS)
        turn = ((self.values["pa"] - 90) * DEGREE).float().double()[:, None, None]
        zero = torch.zeros_like(p["xc"])
        p |= {"xc": zero, "yc": zero, "sin_pa": turn.cos().float(), "cos_pa": -turn.sin().float()}
        place, _ = self.light.untruncated.geometry(dx, dy, p)
        return place


def _partials(light: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    if not leaves or not light.requires_grad:
        return [torch.zeros_like(light) for _ in leaves]
    slopes = torch.autograd.grad(light.sum(), leaves, allow_unused=True)
    return [torch.zeros_like(light) if slope is None else slope for slope in slopes]


def integrate(source: Source, x: Tensor, y: Tensor) -> list[Tensor]:
    """Mean intensity of pixels and its partial derivatives.

    Args:
        source: the light.
        x: (B, W) pixel centres along the rows.  y: (B, H) along the columns.

    Returns:
        (B, H, W) each: the image, then one partial image for each wanted name.
    """
    grid = (x.shape[0], y.shape[1], x.shape[1])
    planes, place = source.evaluate(
        x[:, None, :].expand(grid),
        y[:, :, None].expand(grid),
        lambda v: v[:, None, None].expand(grid),
        before=_before_pixels(x, y) if source.lags else None,
    )
    counts = grid_size(source, place, source.single(x, y))
    image, row, column = torch.nonzero(counts != 1, as_tuple=True)
    if len(image) == 0:
        return planes
    count, order = torch.sort(counts[image, row, column], stable=True)
    image, row, column = image[order], row[order], column[order]
    sizes, lengths = (part.tolist() for part in torch.unique_consecutive(count, return_counts=True))
    points, shares = [], []
    for n, pixels in zip(sizes, torch.split(torch.arange(len(image), device=x.device), lengths), strict=True):
        own = image[pixels]
        middle = (x[own, column[pixels]], y[own, row[pixels]])
        (xs, across), (ys, along) = (_grid(axis, n) if n > 0 else _gauss(axis, -n) for axis in middle)
        shape = (len(pixels), xs.shape[1], ys.shape[1])
        points.append(torch.stack([xs[:, :, None].expand(shape), ys[:, None, :].expand(shape)]).flatten(1))
        shares.append((across[:, :, None] * along[:, None, :]).flatten(1))
    owner = image.repeat_interleave(torch.cat([torch.full_like(s[:, 0], s.shape[1], dtype=torch.long) for s in shares]))
    xs, ys = torch.cat(points, dim=1)
    before = _before_samples(sizes, shares) if source.lags else None
    values, where = source.evaluate(xs, ys, lambda v: v[owner], before=before)
    samples = torch.stack(values)
    profile = source.light.profile
    if profile.cusp:
        _replace_cusp(source, samples, where[0], (xs, ys), owner, count.repeat_interleave(count**2))
    ends = [share.numel() for share in shares]
    pieces = torch.split(samples, ends, dim=1)
    if profile.edge:
        outside = torch.split(where[0] >= source.values[profile.edge][owner], ends)
        pieces = tuple(piece * _kept(*both) for piece, *both in zip(pieces, outside, sizes, strict=True))
    means = [
        (piece.reshape(len(samples), *share.shape) * share).sum(2) for piece, share in zip(pieces, shares, strict=True)
    ]
    for plane, mean in zip(planes, torch.cat(means, dim=1), strict=True):
        plane[image, row, column] = mean
    return planes


def _before_pixels(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """From each pixel to the one before: to its left, or the last one of the row below."""
    width = x.shape[1]
    first = (torch.arange(width, device=x.device) == 0).to(x.dtype)
    return first * width - 1, -first


def _before_samples(sizes: list[int], shares: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The same for the sub-samples of grids, column by column; nowhere for Gauss-Legendre nodes."""
    across, along = [], []
    for n, share in zip(sizes, shares, strict=True):
        step = 1 / n if n > 0 else 0.0
        lowest = (torch.arange(share.shape[1], device=share.device) % abs(n) == 0).to(share.dtype)
        across.append((-step * lowest).expand_as(share).reshape(-1))
        along.append((step * (lowest * abs(n) - 1)).expand_as(share).reshape(-1))
    return torch.cat(across), torch.cat(along)


def _grid(middle: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Mid-points (pixels, n) of n equal parts of pixels along one axis, and their shares of a pixel."""
    step = (torch.arange(n, dtype=middle.dtype, device=middle.device) + 0.5) / n - 0.5
    points = middle[:, None] + step
    return points, torch.full_like(points, 1 / n)


def _gauss(middle: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes (pixels, n) of pixels along one axis, and their shares of a pixel."""
    nodes, weights = (middle.new_tensor(numbers) / 2 for numbers in np.polynomial.legendre.leggauss(n))
    points = middle[:, None] + nodes
    return points, weights.expand_as(points)


def grid_size(source: Source, place: Place, single: Place) -> Tensor:
    """N of the N x N sub-samples of each pixel, (B, H, W), from where its centre lies; ties as in GALFIT.

    A negative N stands for Gauss-Legendre nodes, where GALFIT's grid is so fine that it is as good as the integral.
    On the fine grid of an oversampled PSF the counts are divided and the inner radii multiplied by the oversampling.
    """
    if source.light.profile.kind == "edge":
        return _edge_grid_size(source, *place)
    profile, fine = source.light.profile, source.fine
    radius = single[0]
    rule, values = profile.sampling, source.values
    core = core_size(profile, values, fine)[:, None, None]
    size = (rule.count / fine / radius + 0.5).floor().to(core.dtype)
    size = torch.where(radius <= rule.inner_radius * fine, float(rule.inner // fine), size)
    size = torch.where(radius <= fine, core, size)
    if rule.accurate:
        size = _as_accurate(source, size, radius)
    if profile.edge:  # no light at the centre of a pixel: none in it
        size = torch.where(place[0] < values[profile.edge][:, None, None], size, 1.0)
    size = torch.where(size >= 0, size.clamp(min=1), size)
    return torch.where(radius < rule.limit, size, 1.0).long()


def _as_accurate(source: Source, size: Tensor, radius: Tensor) -> Tensor:
    """Fewer samples where GALFIT takes so many that it has the integral: the same within 1e-5 of the peak.

    Not for the smallest sizes.  At the centre a grid, as it does not move with the component; around it Gauss-Legendre
    nodes where these see no kink.
    """
    light, rule, values = source.light, source.light.profile.sampling, source.values
    q = values["q"][:, None, None]
    extent = values[rule.core_size][:, None, None] * q
    size = torch.where(extent >= SMALLEST_FOR_GRID, size.clamp(max=MAX_CORE), size)
    if light.shape.c0 or max(light.shape.fourier, default=0) > SMOOTH_MODES:
        return size
    ring = (radius > source.fine) & (radius <= rule.inner_radius * source.fine)
    return torch.where((extent >= SMALLEST_FOR_GAUSS) & (q >= rule.gauss_from) & ring, -GAUSS, size)


def core_size(profile: Profile, values: dict[str, Tensor], fine: int) -> Tensor:
    """N (B,) of the pixels nearest the centre."""
    rule = profile.sampling
    if not rule.core_size:
        return values["xc"].new_full(values["xc"].shape, rule.inner // fine)
    size, inner = values[rule.core_size] * values["q"], rule.inner // fine
    core = ((rule.core_count / size).floor() / fine).floor().clamp(min=inner).clamp(max=MAX_CORE)
    return torch.where(size <= rule.largest_core_size, core, float(inner))


def _edge_grid_size(source: Source, along: Tensor, across: Tensor) -> Tensor:
    """The rule of an edge-on disk: the nearer of its two axes counts, and one side is never sampled finely."""
    fine, height = source.fine, source.values["hs"][:, None, None]
    distance = along.abs().minimum(across.abs())
    size = (EDGE_COUNT / fine / distance + 0.5).floor()
    size = torch.where(distance < EDGE_NEAR * fine, float(EDGE_INNER // fine), size)
    core = ((THIN_COUNT / distance).floor() / fine).floor().clamp(max=MAX_CORE)
    core = torch.where(distance == 0, 1.0, core)
    size = torch.where((height <= THIN) & (distance < fine), core, size)
    beyond = (distance >= EDGE_LIMIT) | (across >= EDGE_LIMIT)
    return torch.where(beyond, 1.0, size.clamp(min=1)).long()


def _kept(outside: Tensor, n: int) -> Tensor:
    """Which sub-samples GALFIT adds up in pixels on the edge of a ferrer or king.

    It goes column by column; after one whose topmost sub-sample is outside, all further columns are left out (probed).

    Args:
        outside: (pixels n n) beyond the edge, column by column.
    """
    ended = outside.reshape(-1, n, n)[:, :, -1].cumsum(1) > 0  # with this column
    kept = torch.cat([torch.ones_like(ended[:, :1]), ~ended[:, :-1]], dim=1)
    return kept[:, :, None].expand(-1, n, n).reshape(-1)


def _replace_cusp(
    source: Source, samples: Tensor, radius: Tensor, point: tuple[Tensor, Tensor], owner: Tensor, count: Tensor
) -> None:
    """Where r < 1 / (2N), put the mean over the centred ellipse that has the area of one sub-cell; in place.

    mean = 2 / R^2 int_0^R f(r) r dr with R = 1 / (N sqrt(pi q)), by GALFIT's quadrature, times what truncations leave
    at the sub-sample.  GALFIT's derivatives there are those of the sample itself, scaled to the mean (probed).
    """
    light = source.light
    central = torch.nonzero(radius < 0.5 / count)[:, 0]
    if len(central) == 0:
        return
    nodes, weights = (radius.new_tensor(numbers) for numbers in romberg.nodes())
    x, y, owner, count = point[0][central], point[1][central], owner[central], count[central]
    p, leaves = source.spread(lambda v: v[owner], partials=light.derivatives == "true")
    with torch.set_grad_enabled(bool(leaves)):
        columns = {name: number[:, None] for name, number in p.items()}
        reach = 1 / (count[:, None] * (torch.pi * columns["q"]).sqrt())
        mean = (2 * weights * nodes * light.intensity((reach * nodes,), columns)).sum(1)
        _, left = light.geometry(x, y, p) if light.truncations else (None, None)
        mean = mean if left is None else mean * left
    if light.derivatives == "true":
        samples[:, central] = torch.stack([mean.detach(), *_partials(mean, leaves)])
    else:
        samples[:, central] *= mean / samples[0, central]

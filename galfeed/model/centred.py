"""Plain ellipses: the same light as :mod:`galfeed.model.pixels`, many times faster.

An ellipse without hidden parameters needs no derivative but those of its function by the radius and by its shape
parameters; the others are geometry.  Under a convolution it is drawn on the centre of a pixel, so that GALFIT's
sub-samples lie at the same places for all galaxies and iterations, and opposite samples have the same light.

Near the centre, within the radius beyond which GALFIT takes one sample a pixel, half of the pixels are evaluated: each
on the largest grid that its distance allows, and those within ``Sampling.inner_radius`` on the inner grid as well.  The
central pixel of a small galaxy has a grid of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from galfeed.model import romberg
from galfeed.model.light import BRIGHTNESS, Light, taken
from galfeed.model.pixels import Source, core_size, grid_size
from galfeed.model.shape import DEGREE, FLOOR
from galfeed.profiles import Sampling

GEOMETRY = ("xc", "yc", "q", "pa")
ODD = ("xc", "yc")
"""Partial derivatives that change their sign on the opposite side."""

IMAGE = ""
"""Name of the light itself among those of its partial derivatives."""

NODES = 20, 12
"""Gauss-Legendre nodes an axis where GALFIT's grid is as good as the integral: near the centre, and farther."""

FAR, FAR_NODES, FLAT = 2.0, 8, 0.2
"""From this distance on, so many points an axis have the sum over GALFIT's grid, for axis ratios not below the last."""

CENTRAL_NODES = (8, 25)
"""Nodes along and across each of two triangles from the centre to a border of the central pixel; as many points."""

FLATTEST, SMALLEST = 0.15, 0.05
"""Axis ratio and pixels along the minor axis for which these nodes give the integral."""

GRIDDED = 1.0
"""Pixels along the minor axis below which GALFIT's grid in the central pixel is not as good as the integral."""

IN_CACHE = 8
"""Images whose samples near the centre are drawn together on a CPU."""

Spread = Callable[[Tensor], Tensor]
"""From numbers (B,), one an image, to one a point."""


def applies(light: Light, fine: int) -> bool:
    """Whether a component is a plain ellipse with sub-samples as GALFIT's most common ones."""
    profile, shape = light.profile, light.shape
    hidden = shape.rotation or shape.bending or shape.c0 or shape.fourier or light.truncations
    special = profile.by_square is None or profile.lag
    return profile.kind == "radial" and light.accuracy == "galfit" and fine == 1 and not hidden and not special


def covers(light: Light, values: Mapping[str, Tensor]) -> Tensor:
    """Which (B,) images :func:`integrate` can draw: those that are not too small or flat.

    Args:
        values: (B,) parameters; the centre is taken to be that of a pixel.
    """
    nowhere = torch.zeros_like(values["xc"])
    scaled = light.scaled({**values, "xc": nowhere, "yc": nowhere}, 1)
    numbers = scaled | light.derived(scaled)
    sampling, q = light.profile.sampling, scaled["q"]
    if sampling.accurate:
        return (numbers[sampling.core_size] * q >= SMALLEST) & (q >= FLATTEST) & (q <= 1)
    fine_core = core_size(light.profile, numbers, 1) > sampling.inner
    line = q.new_tensor([-1.0, 0.0, 1.0]).expand(len(q), 3)
    beside = Source(light, numbers, ()).single(line, line)[0].flatten(1)[:, 5:]  # the others are opposite
    return ~fine_core | (beside > 1).all(1)


@dataclass(frozen=True)
class Ellipse:
    """One component in each of B images.

    Args:
        light: what it is.
        values, derived: (B,) its parameters, and numbers made of them, in pixels.
        slopes: (B,) of the derived numbers and of the amplitude by parameters: {(number, parameter): slope}.
        amplitude: (B,) factor of the intensity.
        names: of the planes to draw, the image or the parameter to differentiate with respect to.
    """

    light: Light
    values: dict[str, Tensor]
    derived: dict[str, Tensor]
    slopes: dict[tuple[str, str], Tensor]
    amplitude: Tensor
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, light: Light, values: Mapping[str, Tensor], names: tuple[str, ...], scale: Mapping[str, Tensor]
    ) -> Ellipse:
        """From parameters in the units of the menu, on the centre of a pixel; ``scale`` as for ``Light.amplitude``."""
        own = {name: value.detach().clone() for name, value in values.items()}
        own |= {name: torch.zeros_like(own[name]) for name in ("xc", "yc")}
        wanted = [name for name in names if name != IMAGE]
        parameters = [own[name].requires_grad_() for name in wanted]
        with torch.enable_grad():
            scaled = light.scaled(own, 1)
            derived = light.derived(scaled)
            amplitude = light.amplitude(own, scaled | derived, scale)
        slopes: dict[tuple[str, str], Tensor] = {}
        for number, value in ((IMAGE, amplitude), *derived.items()):
            if parameters and value.requires_grad:
                found = torch.autograd.grad(value.sum(), parameters, allow_unused=True, retain_graph=True)
                slopes |= {(number, w): s for w, s in zip(wanted, found, strict=True) if s is not None}
        plain, made = ({n: v.detach() for n, v in numbers.items()} for numbers in (scaled, derived))
        return cls(light, plain, made, slopes, amplitude.detach(), names)

    def drawing(self, names: tuple[str, ...], dtype: torch.dtype) -> Ellipse:
        """The same for other planes, in another precision."""

        def cast(numbers: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: number.to(dtype) for name, number in numbers.items()}

        slopes = {both: slope.to(dtype) for both, slope in self.slopes.items()}
        return replace(
            self,
            values=cast(self.values),
            derived=cast(self.derived),
            slopes=slopes,
            amplitude=self.amplitude.to(dtype),
            names=names,
        )

    def take(self, some: slice) -> Ellipse:
        """Some of the images."""

        def cut(numbers: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: number[some] for name, number in numbers.items()}

        slopes = {both: slope[some] for both, slope in self.slopes.items()}
        return replace(
            self, values=cut(self.values), derived=cut(self.derived), slopes=slopes, amplitude=self.amplitude[some]
        )

    @property
    def dtype(self) -> torch.dtype:
        return self.amplitude.dtype

    @property
    def differentiated(self) -> bool:
        """Whether slopes of the intensity are needed."""
        return any(name not in (IMAGE, *BRIGHTNESS) for name in self.names)

    def by_shape(self, square: Tensor, spread: Spread) -> dict[str, Tensor]:
        """Intensity, its slopes by the squared radius ("square") and the shape parameters, as far as wanted."""
        function, partials = self.light.profile.by_square, self.differentiated
        p = {name: spread(value) for name, value in (self.values | self.derived).items()}
        assert function is not None
        own = function(square, **taken(function, p), partials=partials)
        if not partials:
            return own
        found = {IMAGE: own[IMAGE], "square": own["square"]}
        for name in (n for n in self.names if n not in (IMAGE, *GEOMETRY, *BRIGHTNESS)):
            total = own.get(name)
            for (number, parameter), slope in self.slopes.items():
                if number and parameter == name and number in own:
                    part = own[number] * spread(slope)
                    total = part if total is None else total + part
            if total is not None:
                found[name] = total
        return found

    def evaluate(self, dx: Tensor, dy: Tensor, spread: Spread) -> dict[str, Tensor]:
        """Intensity (IMAGE) and partials by name at points by which dx, dy are off the centre."""
        sin, cos = spread(self.derived["sin_pa"]), spread(self.derived["cos_pa"])
        q = spread(self.values["q"])
        major, across = dx * sin - dy * cos, dx * (cos / q) + dy * (sin / q)
        squares = [(part * part).clamp_(min=FLOOR) for part in (major, across)]
        found = self.by_shape(squares[0] + squares[1], spread)
        if "square" not in found:
            return found
        slope = found.pop("square").mul_(2)  # by half of the square
        turned = [name for name in self.names if name in GEOMETRY]
        by_major, by_across = slope * major, slope * across
        if self.light.derivatives == "true":  # nothing changes on the floor
            by_major, by_across = by_major * (squares[0] > FLOOR), by_across * (squares[1] > FLOOR)
            squares[1] = squares[1] * (squares[1] > FLOOR)
        geometry = {
            "xc": lambda: by_major * -sin - by_across * (cos / q),
            "yc": lambda: by_major * cos - by_across * (sin / q),
            "q": lambda: slope * squares[1] * (-1 / q),
            "pa": lambda: (by_major * across) * (q * DEGREE) - (by_across * major) * (DEGREE / q),
        }
        return found | {name: geometry[name]() for name in turned}

    def draw(self, found: Mapping[str, Tensor], spread: Spread, out: Tensor) -> Tensor:
        """Planes (names, ...) in ADU of what was found at points, into ``out``."""
        intensity, factor = found[IMAGE], spread(self.amplitude)
        for plane, name in zip(out, self.names, strict=True):
            change = self.slopes.get((IMAGE, name))
            if name in found:
                torch.mul(found[name], factor, out=plane)
                if change is not None:
                    plane.addcmul_(intensity, spread(change))
            elif change is not None:
                torch.mul(intensity, spread(change), out=plane)
            else:
                plane.zero_()
        return out


def points(ellipse: Ellipse, image: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Light and partials (names, S) at points of some images, one sample each."""

    def spread(number: Tensor) -> Tensor:
        return number[image]

    return ellipse.draw(ellipse.evaluate(dx, dy, spread), spread, dx.new_empty(len(ellipse.names), len(image)))


@dataclass(frozen=True)
class Samples:
    """How finely the pixels near the centre of each image are sampled.

    Args:
        counts: N (B, P) of the near pixels; above 7 or negative: the inner grid.
        core: N (B,) of the central pixel where that is finer than the inner grid, else 0.
    """

    counts: Tensor
    core: Tensor


def samples(ellipse: Ellipse) -> Samples:
    """By GALFIT's rule."""
    profile = ellipse.light.profile
    near, numbers = _near(profile.sampling, ellipse.dtype, ellipse.amplitude.device), ellipse.values | ellipse.derived
    line = torch.arange(-near.reach, near.reach + 1, dtype=ellipse.dtype, device=near.x.device)
    source = Source(ellipse.light, numbers, ())
    place = source.single(
        line.expand(len(ellipse.amplitude), -1), line[near.reach :].expand(len(ellipse.amplitude), -1)
    )
    counts = grid_size(source, (), place)[:, near.row, near.column]
    finer = counts[:, 0] > profile.sampling.inner
    if profile.sampling.accurate:
        finer = numbers[profile.sampling.core_size] * numbers["q"] < GRIDDED
    return Samples(counts, torch.where(finer, counts[:, 0], 0))


def patch(ellipse: Ellipse, sampled: Samples) -> Tensor:
    """Light and partials (names, B, S) in ADU of the pixels near the centre, in the order of :func:`integrate`.

    Args:
        ellipse: on the centre of a pixel.
        sampled: of this ellipse.
    """
    near = _near(ellipse.light.profile.sampling, ellipse.dtype, ellipse.amplitude.device)
    half = ellipse.amplitude.new_empty(len(ellipse.names), *sampled.counts.shape)
    size = IN_CACHE if half.device.type == "cpu" else half.shape[1]
    for start in range(0, half.shape[1], max(size, 1)):
        some = slice(start, start + size)
        own = ellipse.take(some)
        own.draw(_means(own, near, Samples(sampled.counts[some], sampled.core[some])), _listed, half[:, some])
    opposite = half[:, :, near.mirrored]
    sign = half.new_tensor([-1.0 if name in ODD else 1.0 for name in ellipse.names])
    return torch.cat([half, opposite * sign[:, None, None]], dim=2)


def integrate(ellipse: Ellipse, near: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean light of pixels and partials (names, B, H / 2 + 1, W) in ADU.

    What is below the centre is opposite to what is above it and is left out.  The first column is that of the centre;
    behind half of the columns follow those to its left.

    Args:
        ellipse: on the centre of a pixel.
        near: :func:`patch` of it.
        size: (H, W) even.
    """
    x, y = _grid(size, ellipse.dtype, near.device)
    canvases = ellipse.amplitude.new_empty(len(ellipse.names), near.shape[1], y.shape[1], x.shape[2])
    ellipse.draw(ellipse.evaluate(x, y, _planes), _planes, canvases)
    place = _near(ellipse.light.profile.sampling, ellipse.dtype, near.device).places(size[1])
    canvases.flatten(2)[:, :, place] = near
    return canvases


@cache
def _grid(size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """x (1, 1, W) and y (1, H / 2 + 1, 1) of the pixels of :func:`integrate`."""
    column, half = torch.arange(size[1], device=device), size[1] // 2
    x = torch.where(column < half, column, column - size[1])
    return x.to(dtype)[None, None, :], torch.arange(size[0] // 2 + 1, dtype=dtype, device=device)[None, :, None]


def _planes(number: Tensor) -> Tensor:
    return number[:, None, None]


def _listed(number: Tensor) -> Tensor:
    return number[:, None]


def _means(ellipse: Ellipse, near: _Near, sampled: Samples) -> dict[str, Tensor]:
    """Means (B, P) over the near pixels of what :meth:`Ellipse.evaluate` finds."""
    batch = len(ellipse.amplitude)

    def chosen(number: Tensor) -> Tensor:
        return number[image, None]

    first = sampled.counts[:, : near.inner]
    finely = (first > near.largest) | (first < 0)
    few = finely & (torch.arange(near.inner, device=first.device) >= near.close)
    if not ellipse.light.profile.sampling.accurate:
        few &= ellipse.values["q"][:, None] >= FLAT
    inner = []
    for which, nodes in ((finely & ~few, near.nodes), (few, near.few)):
        image, pixel = torch.nonzero(which, as_tuple=True)
        found = ellipse.evaluate(nodes.x[pixel], nodes.y[pixel], chosen)
        inner.append((image, pixel, {name: (values * nodes.share[pixel]).sum(1) for name, values in found.items()}))
    n, sample = near.used(sampled.counts)
    x, y = near.x[near.owner] + near.across[n, sample], near.y[near.owner] + near.along[n, sample]
    outer, share = ellipse.evaluate(x, y, _listed), near.share[n, sample]
    means = {}
    for name, values in outer.items():
        mean = values.new_zeros(batch, len(near.x)).index_add_(1, near.owner, values * share)
        for image, pixel, found in inner:
            mean[image, pixel] = found[name]
        if name in ODD:
            mean[:, 0] = 0.0
        means[name] = mean
    small = torch.nonzero(sampled.core)[:, 0]
    if len(small):
        for name, mean in _central(ellipse, small, sampled.core[small]).items():
            means[name][small, 0] = mean
    return means


def _central(ellipse: Ellipse, rows: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """Means (rows,) over the central pixel on grids of N x N; of opposite samples one is taken."""
    half = counts**2 // 2
    image = rows.repeat_interleave(half)
    n = counts.repeat_interleave(half)
    number = torch.arange(len(n), device=n.device) - (half.cumsum(0) - half).repeat_interleave(half)
    step = 1 / n.to(ellipse.dtype)
    dx, dy = ((k + 0.5) * step - 0.5 for k in (number // n, number % n))
    found = ellipse.evaluate(dx, dy, lambda value: value[image])
    owner = torch.arange(len(rows), device=n.device).repeat_interleave(half)
    share = 2 / (counts**2).to(ellipse.dtype)
    means = {
        name: torch.zeros_like(share)
        if name in ODD
        else share * share.new_zeros(len(rows)).index_add_(0, owner, values)
        for name, values in found.items()
    }
    odd = counts % 2 == 1
    for name, middle in _middle(ellipse, rows, counts).items():
        if name not in ODD:
            means[name] += torch.where(odd, middle * share / 2, 0.0)
    return means


def _middle(ellipse: Ellipse, rows: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """What the sample in the centre of odd grids counts for, see ``pixels._replace_cusp``."""
    profile = ellipse.light.profile
    zero = ellipse.amplitude.new_zeros(len(rows))
    found = ellipse.evaluate(zero, zero, lambda value: value[rows])
    if not profile.cusp:
        return found
    nodes, weights = (zero.new_tensor(numbers) for numbers in romberg.nodes())
    q = ellipse.values["q"][rows, None]
    square = (nodes / counts[:, None]).square() / (torch.pi * q)
    weights = 2 * weights * nodes
    mean = {n: (weights * v).sum(1) for n, v in ellipse.by_shape(square, lambda value: value[rows, None]).items()}
    if ellipse.light.derivatives == "galfit":
        return {name: values * mean[IMAGE] / found[IMAGE] for name, values in found.items()}
    if "q" in found:
        slope = ellipse.by_shape(square, lambda value: value[rows, None])["square"]
        mean["q"] = (weights * slope * square / -q).sum(1)
    return {name: mean.get(name, torch.zeros_like(zero)) for name in found}


class _Nodes(NamedTuple):
    """Places (P, S) of samples in the plane, and their shares of a pixel."""

    x: Tensor
    y: Tensor
    share: Tensor


@dataclass(frozen=True)
class _Near:
    """Samples of half of the P pixels around the centre; the other half is opposite.

    Args:
        reach: of the window around the centre, pixels.
        x, y: (P,) pixels, the nearest first.
        row, column: (P,) their places in the upper half of that window.
        mirrored: (M,) those in the line of the centre that have an opposite there.
        inner: how many of them can need the inner grid.
        close: how many of these are nearer than ``FAR``.
        nodes, few: the inner grid's samples; fewer that give the same farther out.
        largest: N of the largest of the other grids.
        owner: (S,) pixel of each sample of these.
        across, along, share: (largest + 1, S) the place of a sample in its pixel, and its share of it, for each N.
    """

    reach: int
    x: Tensor
    y: Tensor
    row: Tensor
    column: Tensor
    mirrored: Tensor
    inner: int
    close: int
    nodes: _Nodes
    few: _Nodes
    largest: int
    owner: Tensor
    across: Tensor
    along: Tensor
    share: Tensor

    def used(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Index of the tables for counts (B, P): N (B, S) and sample (S,)."""
        n = counts.clamp(0, self.largest)[:, self.owner]
        return n, torch.arange(len(self.owner), device=n.device)

    def places(self, width: int) -> Tensor:
        """Where the near pixels are in the flattened canvas of :func:`integrate`, last the mirrored ones."""
        half = self.row * width + (self.column - self.reach) % width
        return torch.cat([half, (self.reach - self.column[self.mirrored]) % width])


@cache
def _near(sampling: Sampling, dtype: torch.dtype, device: torch.device) -> _Near:
    reach = math.ceil(sampling.limit)
    half = [(i, j) for j in range(reach + 1) for i in range(-reach, reach + 1) if j > 0 or i >= 0]
    pixels = sorted((p for p in half if math.hypot(*p) < sampling.limit), key=lambda p: math.hypot(*p))
    inner = sum(math.hypot(*p) <= sampling.inner_radius for p in pixels)
    most = [int(sampling.count / max(math.hypot(*p), sampling.inner_radius) + 0.5) for p in pixels]
    samples = [(k, a, b) for k, n in enumerate(most) for a in range(n) for b in range(n)]

    def table(entry: Callable[[int, int, int], float]) -> Tensor:
        """(largest + 1, S) an entry of (N, a, b), 0 where a grid has no such sample."""
        rows = [[entry(n, a, b) if max(a, b) < n else 0.0 for _, a, b in samples] for n in range(max(most) + 1)]
        return torch.tensor(rows, dtype=dtype, device=device)

    def tensor(numbers: object) -> Tensor:
        return torch.as_tensor(np.array(numbers), dtype=dtype, device=device)

    def nodes(few: bool) -> _Nodes:
        grids = [_nodes(pixel, sampling, few) for pixel in pixels[:inner]]
        return _Nodes(*(tensor(np.stack(part)) for part in zip(*grids, strict=True)))

    return _Near(
        reach=reach,
        x=tensor([i for i, _ in pixels]),
        y=tensor([j for _, j in pixels]),
        row=torch.tensor([j for _, j in pixels], device=device),
        column=torch.tensor([i + reach for i, _ in pixels], device=device),
        mirrored=torch.tensor([k for k, (i, j) in enumerate(pixels) if j == 0 and i > 0], device=device),
        inner=inner,
        close=sum(math.hypot(*p) < FAR for p in pixels[:inner]),
        nodes=nodes(few=False),
        few=nodes(few=True),
        largest=max(most),
        owner=torch.tensor([k for k, _, _ in samples], device=device),
        across=table(lambda n, a, b: (a + 0.5) / n - 0.5),
        along=table(lambda n, a, b: (b + 0.5) / n - 0.5),
        share=table(lambda n, a, b: 1 / n**2),
    )


def _nodes(pixel: tuple[int, int], sampling: Sampling, few: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and share (S,) of the samples of the inner grid of a pixel; GALFIT's, or others with the same sum.

    Args:
        few: as many as are enough farther from the centre.
    """
    if pixel != (0, 0) or few or not sampling.accurate:
        if sampling.accurate:
            steps, weights = (part / 2 for part in np.polynomial.legendre.leggauss(NODES[few]))
        elif few:
            steps, weights = gauss_of_grid(sampling.inner, FAR_NODES)
        else:
            steps = (np.arange(sampling.inner) + 0.5) / sampling.inner - 0.5
            weights = np.full(sampling.inner, 1 / sampling.inner)
        x, y = np.meshgrid(steps, steps, indexing="ij")
        return pixel[0] + x.ravel(), pixel[1] + y.ravel(), np.outer(weights, weights).ravel()
    # r has a kink in the centre, and none along a line from there to the border: triangles of such lines
    (out, out_weights), (side, side_weights) = (np.polynomial.legendre.leggauss(n) for n in CENTRAL_NODES)
    to_border, to_side = np.meshgrid((out + 1) / 4, side, indexing="ij")  # pixels; as a share of the border
    share = (np.outer(out_weights, side_weights) * to_border / 2).ravel()
    near, far = to_border.ravel(), (to_border * to_side).ravel()
    return np.concatenate([near, far]), np.concatenate([far, near]), np.concatenate([share, share])


def gauss_of_grid(count: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Points within (-1/2, 1/2) and weights that give the mean over ``count`` mid-points of polynomials.

    Exact up to degree 2 nodes - 1: the Gauss rule of the discrete Chebyshev polynomials (Gautschi 2004, Orthogonal
    Polynomials, table 1.1), from the eigenvalues of their Jacobi matrix (Golub & Welsch 1969).
    """
    k = np.arange(1, nodes)
    beside = np.sqrt(k**2 * (1 - (k / count) ** 2) / (4 * k**2 - 1)) / 2
    points, vectors = np.linalg.eigh(np.diag(beside, 1) + np.diag(beside, -1))
    return points, vectors[0] ** 2

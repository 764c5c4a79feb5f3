"""Pixels near the centre of a plain ellipse, where GALFIT takes more than one sample a pixel.

Within the radius beyond which it takes one, half of the pixels are evaluated: each on the largest grid that its
distance allows, and those within ``Sampling.inner_radius`` on the inner grid as well.  The central pixel of a small
galaxy has a grid of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from galfeed.model import host, romberg
from galfeed.model.ellipse import ODD, SQUARE, Ellipse, Spread
from galfeed.model.pixels import Source, core_size, grid_size
from galfeed.profiles import IMAGE, STEEP, Sampling

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

IN_CACHE = 64
"""Images whose samples near the centre are drawn together on a CPU."""


@dataclass(frozen=True)
class Samples:
    """How finely the pixels near the centre of each image are sampled.

    Args:
        counts: N (B, P) of the near pixels; above 7 or negative: the inner grid.
        core: N (B,) of the central pixel where that is finer than the inner grid, else 0.
        possible: (B,) whether the image can be drawn so: it is not too small or flat.
    """

    counts: Tensor
    core: Tensor
    possible: Tensor

    def take(self, some: slice | Tensor) -> Samples:
        """Of some of the images."""
        return Samples(self.counts[some], self.core[some], self.possible[some])

    def finely(self, ellipse: Ellipse) -> tuple[Tensor, Tensor]:
        """Which near pixels (B, inner) need the inner grid, and for which of them fewer samples are enough."""
        near = nearby(ellipse.light.profile.sampling, ellipse.dtype, ellipse.table.device)
        first = self.counts[:, : near.inner]
        finely = (first > near.largest) | (first < 0)
        few = finely & (torch.arange(near.inner, device=first.device) >= near.close)
        if not ellipse.light.profile.sampling.accurate:
            few &= ellipse.values["q"][:, None] >= FLAT
        return finely & ~few, few

    def tally(self, ellipse: Ellipse) -> Tensor:
        """(B, 3) what the host must know: how many pixels these are of each kind, and N of the central one.

        Args:
            ellipse: that they are of.
        """
        finely, few = (which.sum(1) for which in self.finely(ellipse))
        return torch.stack([finely, few, self.core], 1)


def samples(ellipse: Ellipse) -> Samples:
    """By GALFIT's rule."""
    profile = ellipse.light.profile
    near, numbers = nearby(profile.sampling, ellipse.dtype, ellipse.table.device), ellipse.values
    line = torch.arange(-near.reach, near.reach + 1, dtype=ellipse.dtype, device=near.x.device)
    source = Source(ellipse.light, numbers, ())
    place = source.single(
        line.expand(ellipse.table.shape[1], -1), line[near.reach :].expand(ellipse.table.shape[1], -1)
    )
    counts = grid_size(source, (), place)[:, near.row, near.column]
    if profile.sampling.accurate:
        q = numbers["q"]
        across = numbers[profile.sampling.core_size] * q
        finer, possible = across < GRIDDED, (across >= SMALLEST) & (q >= FLATTEST) & (q <= 1)
    else:
        finer = counts[:, 0] > profile.sampling.inner
        beside = place[0][:, near.row[near.beside], near.column[near.beside]]
        possible = (core_size(profile, numbers, 1) <= profile.sampling.inner) | (beside > 1).all(1)
    return Samples(counts, torch.where(finer, counts[:, 0], 0), possible)


def patch(ellipse: Ellipse, sampled: Samples, tally: np.ndarray, planes: tuple[str, ...]) -> Tensor:
    """Means of planes (planes, B, S) over the pixels near the centre, in the order of :func:`places`.

    Args:
        sampled: of this ellipse.
        tally: ``sampled.tally``, known to the host.
    """
    near = nearby(ellipse.light.profile.sampling, ellipse.dtype, ellipse.table.device)
    half = ellipse.table.new_empty(len(planes), *sampled.counts.shape)
    size = host.together(half[0], IN_CACHE)
    for start in range(0, half.shape[1], size):
        some = slice(start, start + size)
        means = _means(ellipse.take(some), near, sampled.take(some), tally[some], planes)
        for plane, mean in zip(half, means, strict=True):
            plane[some] = mean
    opposite = half[:, :, near.mirrored]
    sign = host.constant(tuple(-1.0 if name in ODD else 1.0 for name in planes), half.dtype, half.device)
    return torch.cat([half, opposite * sign[:, None, None]], dim=2)


def _listed(table: Tensor) -> Tensor:
    return table[:, :, None]


def _chosen(image: Tensor) -> Spread:
    return lambda table: table[:, image, None]


def _means(
    ellipse: Ellipse, near: Nearby, sampled: Samples, tally: np.ndarray, planes: tuple[str, ...]
) -> list[Tensor]:
    """Means (B, P) of planes over the near pixels."""
    inner = []
    counts, cores = tally[:, :2].sum(0).tolist(), tally[:, 2]
    for which, count, nodes in zip(sampled.finely(ellipse), counts, (near.nodes, near.few), strict=True):
        image, pixel = host.where_true(which, count)
        found = ellipse.evaluate(nodes.x[pixel], nodes.y[pixel], _chosen(image), planes)
        share = nodes.share[pixel]
        inner.append(((image, pixel), [values.mul_(share).sum(1) for values in found]))
    n = near.used(sampled.counts)
    across, along, share = (table.gather(0, n) for table in (near.across, near.along, near.share))
    outer = ellipse.evaluate(across, along, _listed, planes)
    (small,) = host.where_true(sampled.core > 0, int((cores > 0).sum()))
    central = _central(ellipse.take(small), sampled.core[small], cores[cores > 0], planes) if len(small) else []
    means = []
    for place, (name, values) in enumerate(zip(planes, outer, strict=True)):
        mean = values.new_zeros(len(values), len(near.x)).index_add_(1, near.owner, values.mul_(share))
        for at, found in inner:
            mean[at] = found[place]
        if name in ODD:
            mean[:, 0] = 0.0
        if central:
            mean[small, 0] = central[place]
        means.append(mean)
    return means


def _central(ellipse: Ellipse, counts: Tensor, told: np.ndarray, planes: tuple[str, ...]) -> list[Tensor]:
    """Means (B,) of planes over the central pixel on grids of N x N; of opposite samples one is taken.

    Args:
        counts: N (B,).  told: the same, known to the host.
    """
    half = counts**2 // 2
    every = torch.arange(len(counts), device=counts.device)
    image = every.repeat_interleave(half, output_size=int((told**2 // 2).sum()))
    n = counts[image]
    number = torch.arange(len(n), device=n.device) - (half.cumsum(0) - half)[image]
    step = 1 / n.to(ellipse.dtype)
    dx, dy = ((k + 0.5) * step - 0.5 for k in (number // n, number % n))
    found = ellipse.evaluate(dx, dy, lambda table: table[:, image], planes)
    share = 2 / (counts**2).to(ellipse.dtype)
    means = [
        torch.zeros_like(share) if name in ODD else share * torch.zeros_like(share).index_add_(0, image, values)
        for name, values in zip(planes, found, strict=True)
    ]
    (odd,) = host.where_true(counts % 2 == 1, int((told % 2).sum()))
    if len(odd):
        for name, mean, middle in zip(planes, means, _middle(ellipse.take(odd), counts[odd], planes), strict=True):
            if name not in ODD:
                mean[odd] += middle * share[odd] / 2
    return means


def _middle(ellipse: Ellipse, counts: Tensor, planes: tuple[str, ...]) -> list[Tensor]:
    """What the sample in the centre of odd grids counts for, (B,) of each plane, see ``pixels._replace_cusp``."""
    profile = ellipse.light.profile
    zero = ellipse.table.new_zeros(len(counts))
    found = ellipse.evaluate(zero, zero, lambda table: table, planes)
    if not profile.cusp:
        return found
    nodes, weights = _quadrature(zero.dtype, zero.device)
    square = (nodes / counts[:, None]).square() / (torch.pi * ellipse.values["q"][:, None])
    weights = 2 * weights * nodes
    mean = {n: (weights * v).sum(1) for n, v in ellipse.function(square, _listed(ellipse.table), True).items()}
    if ellipse.light.derivatives == "galfit":
        centre = ellipse.evaluate(zero, zero, lambda table: table, (IMAGE,))[0]
        return [values * mean[IMAGE] / centre for values in found]
    mean[SQUARE] = mean[STEEP] / 2
    return [mean.get(name, zero) for name in planes]


@cache
def _quadrature(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the mean over the cell in the centre."""
    nodes, weights = (torch.tensor(numbers, dtype=dtype, device=device) for numbers in romberg.nodes())
    return nodes, weights


class _Nodes(NamedTuple):
    """Places (P, S) of samples in the plane, and their shares of a pixel."""

    x: Tensor
    y: Tensor
    share: Tensor


@dataclass(frozen=True)
class Nearby:
    """Samples of half of the P pixels around the centre; the other half is opposite.

    Args:
        reach: of the window around the centre, pixels.
        x, y: (P,) pixels, the nearest first.
        row, column: (P,) their places in the upper half of that window.
        mirrored: (M,) those in the line of the centre that have an opposite there.
        beside: (4,) those around the central one.
        inner: how many of them can need the inner grid.
        close: how many of these are nearer than ``FAR``.
        nodes, few: the inner grid's samples; fewer that give the same farther out.
        largest: N of the largest of the other grids.
        owner: (S,) pixel of each sample of these.
        across, along, share: (largest + 1, S) the place of a sample, and its share of its pixel, for each N.
    """

    reach: int
    x: Tensor
    y: Tensor
    row: Tensor
    column: Tensor
    mirrored: Tensor
    beside: Tensor
    inner: int
    close: int
    nodes: _Nodes
    few: _Nodes
    largest: int
    owner: Tensor
    across: Tensor
    along: Tensor
    share: Tensor

    def used(self, counts: Tensor) -> Tensor:
        """Rows (B, S) of the tables for counts N (B, P)."""
        return counts.clamp(0, self.largest).index_select(1, self.owner)


@cache
def places(sampling: Sampling, width: int, device: torch.device) -> Tensor:
    """Where the near pixels are in flattened planes of this width, see ``plain.drawn``; last the mirrored ones."""
    near = nearby(sampling, torch.float64, device)
    half = near.row * width + (near.reach - near.column) % width
    return torch.cat([half, (near.column[near.mirrored] - near.reach) % width])


@cache
def nearby(sampling: Sampling, dtype: torch.dtype, device: torch.device) -> Nearby:
    """Of a rule."""
    reach = math.ceil(sampling.limit)
    half = [(i, j) for j in range(reach + 1) for i in range(-reach, reach + 1) if j > 0 or i >= 0]
    pixels = sorted((p for p in half if math.hypot(*p) < sampling.limit), key=lambda p: math.hypot(*p))
    inner = sum(math.hypot(*p) <= sampling.inner_radius for p in pixels)
    most = [int(sampling.count / max(math.hypot(*p), sampling.inner_radius) + 0.5) for p in pixels]
    samples = [(k, a, b) for k, n in enumerate(most) for a in range(n) for b in range(n)]

    def table(entry: Callable[[int, int, int], float], axis: int | None = None) -> Tensor:
        """(largest + 1, S) an entry of (N, a, b), 0 where a grid has no such sample, and the pixel along an axis."""
        first = [0 if axis is None else pixels[k][axis] for k, _, _ in samples]
        rows = [
            [
                place + (entry(n, a, b) if max(a, b) < n else 0.0)
                for place, (_, a, b) in zip(first, samples, strict=True)
            ]
            for n in range(max(most) + 1)
        ]
        return torch.tensor(rows, dtype=dtype, device=device)

    def tensor(numbers: object) -> Tensor:
        return torch.as_tensor(np.array(numbers), dtype=dtype, device=device)

    def nodes(few: bool) -> _Nodes:
        grids = [_nodes(pixel, sampling, few) for pixel in pixels[:inner]]
        return _Nodes(*(tensor(np.stack(part)) for part in zip(*grids, strict=True)))

    return Nearby(
        reach=reach,
        x=tensor([i for i, _ in pixels]),
        y=tensor([j for _, j in pixels]),
        row=torch.tensor([j for _, j in pixels], device=device),
        column=torch.tensor([i + reach for i, _ in pixels], device=device),
        mirrored=torch.tensor([k for k, (i, j) in enumerate(pixels) if j == 0 and i > 0], device=device),
        beside=torch.tensor([k for k, p in enumerate(pixels) if max(map(abs, p)) == 1], device=device),
        inner=inner,
        close=sum(math.hypot(*p) < FAR for p in pixels[:inner]),
        nodes=nodes(few=False),
        few=nodes(few=True),
        largest=max(most),
        owner=torch.tensor([k for k, _, _ in samples], device=device),
        across=table(lambda n, a, b: (a + 0.5) / n - 0.5, 0),
        along=table(lambda n, a, b: (b + 0.5) / n - 0.5, 1),
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

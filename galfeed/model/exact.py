"""Mean surface brightness of pixels by adaptive quadrature, with partial derivatives.

A pixel is one square; a pixel that holds the centre, or nearly, is four triangles with a corner at the centre, of
signed area, so that the centre may lie outside.  In them the distance from the centre goes as s^4, which makes cusps
such as r^(1/n) and r^-1.5 smooth.  Squares and triangles are cut into cells until two rules agree on each, or a cell
and its four parts.  Only the light is looked at; light and partials are then taken at the nodes of the last cells.

Narrow light that falls between the nodes of a pixel is found from its neighbours: around the centre and around pixels
that were cut finely, pixels are looked at again on a fine grid.  What is narrower than 0.2 pixels and not joined to
the centre can be missed.  Where the intensity jumps, an error of the order of 2^-DEPTH of the jump remains in a pixel;
where it ends like (1 - r)^0.5 the light is exact but its partials have errors of a percent in the pixels of the edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from galfeed.model.pixels import Source

TOLERANCE, FAN_TOLERANCE = 2e-8, 1e-9  # of the brightest pixel, in the mean of each pixel
NEAR = 0.2  # pixels; a pixel closer to the centre is made of triangles
CUSP_POWER = 4  # distance from the centre s^4
CORE = 0.05  # s; cells inside, of some 1e-5 pixels, are not cut: there rounding of the coordinates is seen
THIN = 1e-6  # pixels; the sides of lower triangles are divided as those of this height
ROUNDING = 1e-14  # relative to the coordinates: offsets below would be lost in them
STEP = 1e-4  # pixels; see _moved
HALVES, SECTORS, PROBE = (2, 2), (2, 8), (8, 8)  # parts of a cell along its two axes
NEARLY = 10.0  # times what is allowed: the differences in the parts of a cell that agrees with them
ODD = 4.0  # times what is allowed to the power 3/4, for differences of odd order
DEPTH, FAN_DEPTH = 8, 10  # how often a cell is halved
HARSH = 1e4  # a pixel where the rules differ by so much more than allowed is looked at closely at once
SUSPECT = 5  # neighbours of a pixel cut more often are probed
MOST_CELLS = 100_000  # of one image; a rougher one is not refined further
SLAB, PARTIALS_SLAB = 1 << 18, 1 << 16  # samples at a time

Rule = tuple[np.ndarray, np.ndarray]
"""Nodes and weights on [-1, 1]."""


class Cells(NamedTuple):
    """Rectangles [u, u + du] x [v, v + dv] of the unit squares of patches, (N,) each."""

    patch: Tensor
    u: Tensor
    v: Tensor
    du: Tensor
    dv: Tensor

    def take(self, index: Tensor | slice) -> Cells:
        return Cells(*(t[index] for t in self))

    def split(self, parts: tuple[int, int]) -> Cells:
        """parts[0] x parts[1] cells of each, next to each other."""
        across, along = parts
        index = torch.arange(across * along, device=self.u.device)
        du, dv = self.du / across, self.dv / along
        u = self.u[:, None] + (index % across) * du[:, None]
        v = self.v[:, None] + index.div(across, rounding_mode="floor") * dv[:, None]
        whole = [t[:, None].expand(u.shape).reshape(-1) for t in (self.patch, du, dv)]
        return Cells(whole[0], u.reshape(-1), v.reshape(-1), whole[1], whole[2])


@dataclass(frozen=True)
class Squares:
    """Whole pixels.  Args: pixel: (N,) number in the batch.  x, y: (N,) centres."""

    pixel: Tensor
    x: Tensor
    y: Tensor

    def points(self, patch: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """x, y and the area element at points of the unit squares, from patch (N, 1) and u, v (N, nodes)."""
        return self.x[patch] + (u - 0.5), self.y[patch] + (v - 0.5), 1.0


@dataclass(frozen=True)
class Fans:
    """Triangles between the centre and an edge of a pixel.

    A point is centre + s^4 (height, side) with side = |height| sinh(w): w spreads the nodes over the directions even
    if the centre is close to the edge.

    Args:
        pixel: (N,) number in the batch.
        x, y: (N,) centre.
        height: (N,) signed distance of the edge; negative if the centre is beyond it: an area to be subtracted.
        normal_x, normal_y: (N,) unit vector out of the pixel.
        start, stop: (N,) w at the ends of the edge.
    """

    pixel: Tensor
    x: Tensor
    y: Tensor
    height: Tensor
    normal_x: Tensor
    normal_y: Tensor
    start: Tensor
    stop: Tensor

    def points(self, patch: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, y and the area element at points of the unit squares, from patch (N, 1) and u, v (N, nodes)."""
        height, nx, ny = self.height[patch], self.normal_x[patch], self.normal_y[patch]
        side, stretch = self._along(patch, v)
        dx, dy = height * nx + side * ny.abs(), height * ny + side * nx.abs()
        least = ROUNDING * (1 + self.x[patch].abs() + self.y[patch].abs()) / torch.hypot(dx, dy).clamp(min=THIN)
        scale = (u**CUSP_POWER).maximum(least)
        area = CUSP_POWER * u ** (2 * CUSP_POWER - 1) * height * stretch
        return self.x[patch] + scale * dx, self.y[patch] + scale * dy, area

    def growth(self, patch: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Derivative of the area element by the height."""
        return CUSP_POWER * u ** (2 * CUSP_POWER - 1) * self._along(patch, v)[1]

    def _along(self, patch: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Position on the edge and its derivative by v."""
        reach = self.stop[patch] - self.start[patch]
        w, height = self.start[patch] + reach * v, self.height[patch].abs().clamp(min=THIN)
        return height * w.sinh(), height * w.cosh() * reach


Patches = Squares | Fans


@dataclass(frozen=True)
class Pair:
    """Two rules that must agree on a cell, a Gauss-Legendre one and one with nodes on the border.

    A straight edge of the light through a cell has a corner of the cell on either side.

    Args:
        u, v: (nodes,) of both on the unit square.
        weights: (nodes, 5): the light by the better rule; then the differences between the two, in the light and in
            its moments by u v, u and v, so that they hardly vanish by chance.
        sums: nodes an axis of the Gauss-Legendre rules that sum cells where the two, or a cell and its parts, agree.
        odd: order of the differences in the moments by u and v relative to those in the light.
        tolerance: of the brightest pixel.
        depth: how often a cell is halved.
        core: u below which it is not.
    """

    u: Tensor
    v: Tensor
    weights: Tensor
    sums: tuple[int, int]
    odd: float
    tolerance: float
    depth: int
    core: float = 0.0


def _square_pair(like: Tensor) -> Pair:
    """2 x 2 Gauss and Simpson's rule, whose error is -3/2 of it: together a rule of degree 5."""
    u, v, weights = _pair(_gauss(2), _lobatto(3), 0.6, like)
    return Pair(u, v, weights, (2, 3), 3 / 4, TOLERANCE, DEPTH)


def _fan_pair(like: Tensor) -> Pair:
    """6 x 6 Gauss and 8 x 8 Lobatto."""
    u, v, weights = _pair(_gauss(6), _lobatto(8), 0.0, like)
    return Pair(u, v, weights, (8, 8), 1.0, FAN_TOLERANCE, FAN_DEPTH, CORE)


def _pair(first: Rule, second: Rule, share: float, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u, v and weights as of a :class:`Pair`; the better rule has ``share`` of the first."""
    u, v, weight = (torch.cat(both) for both in zip(_product(first, like), _product(second, like), strict=True))
    is_first = torch.arange(len(u), device=u.device) < len(first[0]) ** 2
    differs = weight.where(is_first, -weight)
    across, along = 2 * u - 1, 2 * v - 1
    best = weight * torch.where(is_first, share, 1 - share)
    return u, v, torch.stack([best, differs, differs * across * along, differs * across, differs * along], 1)


class Accepted(NamedTuple):
    """Cells to be summed with the Gauss-Legendre rule of ``order`` nodes an axis."""

    patches: Patches
    cells: Cells
    order: int


def integrate(source: Source, x: Tensor, y: Tensor) -> Tensor:
    """Mean intensity of pixels and its partial derivatives, by adaptive quadrature.

    Args:
        source: the light.
        x: (B, W) pixel centres along the rows.  y: (B, H) along the columns.

    Returns:
        (1 + len(source.wanted), B, H, W): the image, then one partial image for each wanted name.
    """
    accepted = _Refinement(source, x, y).run()
    return _summed(source, accepted, (x.shape[0], y.shape[1], x.shape[1]))


class _Refinement:
    """Which cells give the light of all pixels to the tolerance."""

    def __init__(self, source: Source, x: Tensor, y: Tensor):
        self.source = source
        self.grid = (x.shape[0], y.shape[1], x.shape[1])
        near_x = (x - source.values["xc"][:, None]).abs() <= 0.5 + NEAR
        near_y = (y - source.values["yc"][:, None]).abs() <= 0.5 + NEAR
        self.near = (near_y[:, :, None] & near_x[:, None, :]).reshape(-1)
        every = torch.arange(len(self.near), device=x.device)
        self.squares = Squares(every, *(t.reshape(-1) for t in _centres(x, y)))
        self.fans = self._fans(torch.nonzero(self.near)[:, 0])
        self.mean = x.new_zeros(len(self.near))  # best estimate of each pixel
        self.level = torch.zeros_like(every)  # how often each pixel was cut
        self.accepted: list[Accepted] = []
        self.square_pair, self.fan_pair = _square_pair(x), _fan_pair(x)

    def _fans(self, pixel: Tensor) -> Fans:
        image = pixel // (self.grid[1] * self.grid[2])
        xc, yc = self.source.values["xc"][image], self.source.values["yc"][image]
        right, left = self.squares.x[pixel] + 0.5 - xc, xc - self.squares.x[pixel] + 0.5
        top, bottom = self.squares.y[pixel] + 0.5 - yc, yc - self.squares.y[pixel] + 0.5
        heights, zero, one = torch.cat([right, left, top, bottom]), torch.zeros_like(xc), torch.ones_like(xc)
        clear = heights.abs().clamp(min=THIN)
        return Fans(
            pixel=pixel.repeat(4),
            x=xc.repeat(4),
            y=yc.repeat(4),
            height=heights,
            normal_x=torch.cat([one, -one, zero, zero]),
            normal_y=torch.cat([zero, zero, one, -one]),
            start=(torch.cat([-bottom, -bottom, -left, -left]) / clear).asinh(),
            stop=(torch.cat([top, top, right, right]) / clear).asinh(),
        )

    def run(self) -> list[Accepted]:
        squares = _whole(torch.nonzero(~self.near)[:, 0], self.mean)
        value, error = self._integrals(self.squares, squares, self.square_pair)
        self.mean[squares.patch] = value
        fans = _whole(torch.arange(len(self.fans.pixel), device=self.mean.device), self.mean)
        fan_value, _ = self._integrals(self.fans, fans, self.fan_pair)
        self.mean.index_add_(0, self.fans.pixel, fan_value)
        self._refine(self.fans, fans, fan_value, self.fan_pair, SECTORS)

        excess = self._excess(self.squares, squares, self.square_pair, error)
        rough, harsh = excess > 1, excess > HARSH
        self.accepted.append(Accepted(self.squares, squares.take(~rough), self.square_pair.sums[0]))
        for chosen, parts in ((rough & ~harsh, HALVES), (harsh, PROBE)):
            self._refine(self.squares, squares.take(chosen), value[chosen], self.square_pair, parts)
        self._probe()
        return self.accepted

    def _refine(self, patches: Patches, cells: Cells, value: Tensor, pair: Pair, parts: tuple[int, int]) -> None:
        """Split cells, first into ``parts``, until two rules agree or nearly so and the parts with the cell.

        Args:
            value: (N,) their light, which ``mean`` holds.
        """
        smallest, number = 4.0**-pair.depth, parts[0] * parts[1]
        while len(value):
            pixel = patches.pixel[cells.patch]
            self.level[pixel] = torch.maximum(self.level[pixel], (-(cells.du * cells.dv).log2() / 2).long() + 1)
            children = cells.split(parts)
            values, errors = self._integrals(patches, children, pair)
            change = values.reshape(-1, number).sum(1) - value
            self.mean.index_add_(0, pixel, change)
            excess = self._excess(patches, children, pair, errors)
            whole = ~(change.abs() > self._allowed(patches, cells, pair))
            whole &= ~(excess.reshape(-1, number).amax(1) > NEARLY)
            whole &= parts == HALVES  # a first look is no proof; a low triangle is empty, its derivative is not
            self.accepted.append(Accepted(patches, cells.take(whole), pair.sums[1]))
            apart = ~whole.repeat_interleave(number)
            self.accepted.append(Accepted(patches, children.take(apart & ~(excess > 1)), pair.sums[0]))
            rough = apart & (excess > 1)
            cells, value = children.take(rough), values[rough]
            image = self._image(patches, cells)
            wild = (torch.bincount(image, minlength=self.grid[0]) > MOST_CELLS)[image]
            ended = wild | (cells.du * cells.dv <= smallest) | (cells.u + cells.du <= pair.core)
            self.accepted.append(Accepted(patches, cells.take(ended), pair.sums[1]))
            cells, value, parts, number = cells.take(~ended), value[~ended], HALVES, 4

    def _probe(self) -> None:
        """Look for narrow light in pixels next to finely cut ones, until no more is found."""
        probed = self.near.clone()
        while True:
            fine = ((self.level >= SUSPECT) | self.near).reshape(self.grid)
            around = torch.nn.functional.max_pool2d(fine.to(self.mean.dtype), 3, 1, 1).reshape(-1) > 0
            pixel = torch.nonzero(around & ~probed & (self.level < SUSPECT))[:, 0]
            if len(pixel) == 0:
                return
            probed[pixel] = True
            cells = _whole(pixel, self.mean)
            children = cells.split(PROBE)
            values, _ = self._integrals(self.squares, children, self.square_pair)
            change = values.reshape(len(pixel), -1).sum(1) - self.mean[pixel]
            missed = change.abs() > self._allowed(self.squares, cells, self.square_pair)
            again = torch.zeros_like(probed)
            again[pixel[missed]] = True
            self.accepted = [
                Accepted(p, cells.take(~again[p.pixel[cells.patch]]), order) for p, cells, order in self.accepted
            ]
            self._refine(self.squares, cells.take(missed), self.mean[pixel[missed]], self.square_pair, PROBE)

    def _allowed(self, patches: Patches, cells: Cells, pair: Pair) -> Tensor:
        """(N,) error allowed to cells; as their width, for errors gather along lines."""
        return pair.tolerance * self._peak(patches, cells) * (cells.du * cells.dv).sqrt()

    def _excess(self, patches: Patches, cells: Cells, pair: Pair, errors: Tensor) -> Tensor:
        """(N,) differences (N, 4) of the two rules, the largest, in units of what is allowed."""
        allowed = self._allowed(patches, cells, pair)
        even, odd = errors[:, :2].abs().amax(1), errors[:, 2:].abs().amax(1)
        relative = allowed / self._peak(patches, cells)
        return torch.maximum(even, odd * relative ** (1 - pair.odd) / ODD) / allowed

    def _image(self, patches: Patches, cells: Cells) -> Tensor:
        return patches.pixel[cells.patch] // (self.grid[1] * self.grid[2])

    def _peak(self, patches: Patches, cells: Cells) -> Tensor:
        return self.mean.reshape(self.grid[0], -1).abs().amax(1)[self._image(patches, cells)]

    def _integrals(self, patches: Patches, cells: Cells, pair: Pair) -> tuple[Tensor, Tensor]:
        """(N,) light of cells, and (N, 4) the differences of the two rules."""
        parts = [
            _sampled(self.source, patches, part, pair.u, pair.v, self.grid, partials=False)[0] @ pair.weights
            for part in _slabs(cells, len(pair.u), SLAB)
        ]
        both = torch.cat(parts) if parts else pair.weights[:0]
        return both[:, 0], both[:, 1:]


def _centres(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    grid = (x.shape[0], y.shape[1], x.shape[1])
    return x[:, None, :].expand(grid), y[:, :, None].expand(grid)


def _whole(patch: Tensor, like: Tensor) -> Cells:
    zero, one = like.new_zeros(len(patch)), like.new_ones(len(patch))
    return Cells(patch, zero, zero, one, one)


def _gauss(order: int) -> Rule:
    """Nodes and weights on [-1, 1]."""
    return np.polynomial.legendre.leggauss(order)


def _lobatto(order: int) -> Rule:
    """Nodes and weights on [-1, 1], both ends included."""
    legendre = np.polynomial.Legendre.basis(order - 1)
    nodes = np.concatenate([[-1.0], legendre.deriv().roots().real, [1.0]])
    return nodes, 2 / (order * (order - 1) * legendre(nodes) ** 2)


def _product(rule: Rule, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u, v and weights of the product rule on the unit square."""
    nodes, weights = rule
    node, weight = like.new_tensor((nodes + 1) / 2), like.new_tensor(weights / 2)
    return node.repeat(len(node)), node.repeat_interleave(len(node)), (weight[:, None] * weight).reshape(-1)


def _slabs(cells: Cells, nodes: int, samples: int) -> Iterator[Cells]:
    step = max(samples // nodes, 1)
    return (cells.take(slice(start, start + step)) for start in range(0, len(cells.patch), step))


def _sampled(
    source: Source, patches: Patches, cells: Cells, u: Tensor, v: Tensor, grid: tuple[int, int, int], partials: bool
) -> Tensor:
    """Light and partials times the area element at nodes u, v (nodes,) of cells, (1 + wanted, N, nodes)."""
    u, v = cells.u[:, None] + cells.du[:, None] * u, cells.v[:, None] + cells.dv[:, None] * v
    patch = cells.patch[:, None]
    x, y, area = patches.points(patch, u, v)
    image = (patches.pixel[cells.patch] // (grid[1] * grid[2])).repeat_interleave(u.shape[1])
    light = source.sample(x.reshape(-1), y.reshape(-1), image, partials=partials).reshape(-1, *u.shape)
    planes = light * area
    if partials and isinstance(patches, Fans):
        rest = 1 - u**CUSP_POWER
        growth = light[0] * patches.growth(patch, u, v)
        for name, normal, move_x, move_y in (
            ("xc", patches.normal_x[patch], rest, 0 * rest),
            ("yc", patches.normal_y[patch], 0 * rest, rest),
        ):
            if name in source.wanted:
                change = _moved(source, name, (x, y), (move_x, move_y), image)
                planes[1 + source.wanted.index(name)] = change * area - normal * growth
    return planes * (cells.du * cells.dv)[:, None]


def _moved(
    source: Source, name: str, point: tuple[Tensor, Tensor], move: tuple[Tensor, Tensor], image: Tensor
) -> Tensor:
    """Derivative by a coordinate of the centre of the light at points that move with it, at the rates ``move``.

    The derivative at a fixed point has no integral over a cusp of r^-1 or steeper.
    """
    ahead, behind = (
        replace(source, values={**source.values, name: source.values[name] + step}).sample(
            (point[0] + step * move[0]).reshape(-1), (point[1] + step * move[1]).reshape(-1), image, partials=False
        )[0]
        for step in (STEP, -STEP)
    )
    return ((ahead - behind) / (2 * STEP)).reshape(point[0].shape)


def _summed(source: Source, accepted: list[Accepted], grid: tuple[int, int, int]) -> Tensor:
    """Light and partials (1 + wanted, B, H, W) from the nodes of cells."""
    planes = source.values["xc"].new_zeros(1 + len(source.wanted), grid[0] * grid[1] * grid[2])
    kinds = dict.fromkeys((id(a.patches), a.order) for a in accepted)
    for kind in kinds:
        own = [a for a in accepted if (id(a.patches), a.order) == kind]
        cells = Cells(*(torch.cat(parts) for parts in zip(*(a.cells for a in own), strict=True)))
        u, v, weight = _product(_gauss(kind[1]), planes)
        for part in _slabs(cells, len(u), PARTIALS_SLAB):
            samples = _sampled(source, own[0].patches, part, u, v, grid, partials=True)
            planes.index_add_(1, own[0].patches.pixel[part.patch], samples @ weight)
    return planes.reshape(-1, *grid)

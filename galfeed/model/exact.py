"""Mean surface brightness of pixels by adaptive quadrature, with partial derivatives.

A pixel is one square; a pixel that holds the centre, or nearly, is four triangles with a corner at the centre, of
signed area, so that the centre may lie outside.  In them the distance from the centre goes as s^4, which makes cusps
such as r^(1/n) and r^-1.5 smooth.  Squares and triangles are cut into cells until two Gauss-Legendre rules, or a cell
and its four parts, agree.  Only light is looked at; light and partials are then taken at the nodes of the last cells.

Narrow light that falls between the nodes of a pixel is found from its neighbours: around every pixel that was cut
finely, pixels are looked at again on a fine grid.  What is nowhere connected with the centre and narrower than 0.2 pixels
can be missed.  Where the intensity jumps, an error of about 2^-DEPTH of the jump remains in a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from galfeed.model.pixels import Source

TOLERANCE = 1e-7  # of the brightest pixel, in the mean of each pixel
NEAR = 0.2  # pixels; a pixel closer to the centre is made of triangles
CUSP_POWER = 4  # distance from the centre s^4
THIN = 1e-12  # pixels; height of a triangle that is not empty
SQUARE_ORDERS, FAN_ORDERS = (2, 3), (5, 7)  # nodes an axis of the two rules
HALVES, SECTORS, PROBE = (2, 2), (1, 16), (8, 8)  # parts of a cell along its two axes
DEPTH, FAN_DEPTH = 8, 10  # how often a cell is halved
SUSPECT = 4  # neighbours of a pixel cut more often are probed
MOST_CELLS = 100_000  # of one image; a rougher one is not refined further
SLAB, PARTIALS_SLAB = 1 << 20, 1 << 18  # samples at a time


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
        reach = self.stop[patch] - self.start[patch]
        w = self.start[patch] + reach * v
        side = height.abs() * w.sinh()
        scale = u**CUSP_POWER
        area = CUSP_POWER * u ** (2 * CUSP_POWER - 1) * height * height.abs() * w.cosh() * reach
        x = self.x[patch] + scale * (height * nx + side * ny.abs())
        y = self.y[patch] + scale * (height * ny + side * nx.abs())
        return x, y, area


Patches = Squares | Fans


class Accepted(NamedTuple):
    """Cells to be summed with one rule of ``order`` nodes an axis."""

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
        low, high = self._integrals(self.squares, squares, SQUARE_ORDERS)
        self.mean[squares.patch] = high
        fans = _whole(torch.arange(len(self.fans.pixel), device=self.mean.device), self.mean)
        _, fan_high = self._integrals(self.fans, fans, FAN_ORDERS)
        self.mean.index_add_(0, self.fans.pixel, fan_high)
        self._refine(self.fans, fans, fan_high, FAN_ORDERS, SECTORS, FAN_DEPTH)

        rough = (low - high).abs() > self._allowed(self.squares, squares)
        self.accepted.append(Accepted(self.squares, squares.take(~rough), SQUARE_ORDERS[0]))
        self._refine(self.squares, squares.take(rough), high[rough], SQUARE_ORDERS, HALVES, DEPTH)
        self._probe()
        return self.accepted

    def _refine(
        self, patches: Patches, cells: Cells, value: Tensor, orders: tuple[int, int], parts: tuple[int, int], depth: int
    ) -> None:
        """Split cells, first into ``parts``, until they agree with their parts or two rules agree.

        Args:
            value: (N,) their light by the higher rule, which ``mean`` holds.
        """
        for _ in range(depth):
            if len(value) == 0:
                return
            self.level.index_put_((patches.pixel[cells.patch],), self.level[patches.pixel[cells.patch]] + 1)
            children = cells.split(parts)
            low, high = self._integrals(patches, children, orders)
            number = parts[0] * parts[1]
            change = high.reshape(-1, number).sum(1) - value
            self.mean.index_add_(0, patches.pixel[cells.patch], change)
            whole = ~(change.abs() > self._allowed(patches, cells))
            self.accepted.append(Accepted(patches, cells.take(whole), orders[1]))
            rough = (low - high).abs() > self._allowed(patches, children)
            apart = ~whole.repeat_interleave(number)
            self.accepted.append(Accepted(patches, children.take(apart & ~rough), orders[0]))
            cells, value = children.take(apart & rough), high[apart & rough]
            image = patches.pixel[cells.patch] // (self.grid[1] * self.grid[2])
            wild = (torch.bincount(image, minlength=self.grid[0]) > MOST_CELLS)[image]
            self.accepted.append(Accepted(patches, cells.take(wild), orders[1]))
            cells, value, parts = cells.take(~wild), value[~wild], HALVES
        self.accepted.append(Accepted(patches, cells, orders[1]))

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
            _, high = self._integrals(self.squares, children, SQUARE_ORDERS)
            change = high.reshape(len(pixel), -1).sum(1) - self.mean[pixel]
            missed = change.abs() > self._allowed(self.squares, cells)
            again = torch.zeros_like(probed)
            again[pixel[missed]] = True
            self.accepted = [
                Accepted(p, cells.take(~again[p.pixel[cells.patch]]), order) for p, cells, order in self.accepted
            ]
            self._refine(self.squares, cells.take(missed), self.mean[pixel[missed]], SQUARE_ORDERS, PROBE, DEPTH - 2)

    def _allowed(self, patches: Patches, cells: Cells) -> Tensor:
        """(N,) error allowed to cells; as their width, for errors gather along lines."""
        peak = self.mean.reshape(self.grid[0], -1).abs().amax(1)
        image = patches.pixel[cells.patch] // (self.grid[1] * self.grid[2])
        return TOLERANCE * peak[image] * (cells.du * cells.dv).sqrt()

    def _integrals(self, patches: Patches, cells: Cells, orders: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """(N,) light of cells by two rules."""
        rules = [_rule(order, self.mean) for order in orders]
        u, v = (torch.cat([rule[axis] for rule in rules]) for axis in (0, 1))
        both = []
        for part in _slabs(cells, len(u), SLAB):
            light = _sampled(self.source, patches, part, u, v, self.grid, partials=False)[0]
            both.append(
                torch.stack([light[:, : len(rules[0][2])] @ rules[0][2], light[:, len(rules[0][2]) :] @ rules[1][2]])
            )
        low, high = torch.cat(both, 1) if both else self.mean.new_zeros(2, 0)
        return low, high


def _centres(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    grid = (x.shape[0], y.shape[1], x.shape[1])
    return x[:, None, :].expand(grid), y[:, :, None].expand(grid)


def _whole(patch: Tensor, like: Tensor) -> Cells:
    zero, one = like.new_zeros(len(patch)), like.new_ones(len(patch))
    return Cells(patch, zero, zero, one, one)


def _rule(order: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u, v and weights (order^2,) of the Gauss-Legendre product rule on the unit square."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    node, weight = like.new_tensor((nodes + 1) / 2), like.new_tensor(weights / 2)
    return node.repeat(order), node.repeat_interleave(order), (weight[:, None] * weight).reshape(-1)


def _slabs(cells: Cells, nodes: int, samples: int) -> Iterator[Cells]:
    step = max(samples // nodes, 1)
    return (cells.take(slice(start, start + step)) for start in range(0, len(cells.patch), step))


def _sampled(
    source: Source, patches: Patches, cells: Cells, u: Tensor, v: Tensor, grid: tuple[int, int, int], partials: bool
) -> Tensor:
    """Light and partials times the area element at nodes u, v (nodes,) of cells, (1 + wanted, N, nodes)."""
    u, v = cells.u[:, None] + cells.du[:, None] * u, cells.v[:, None] + cells.dv[:, None] * v
    x, y, area = patches.points(cells.patch[:, None], u, v)
    image = (patches.pixel[cells.patch] // (grid[1] * grid[2])).repeat_interleave(u.shape[1])
    light = source.sample(x.reshape(-1), y.reshape(-1), image, partials=partials).reshape(-1, *u.shape)
    return light * (area * (cells.du * cells.dv)[:, None])


def _summed(source: Source, accepted: list[Accepted], grid: tuple[int, int, int]) -> Tensor:
    """Light and partials (1 + wanted, B, H, W) from the nodes of cells."""
    planes = source.values["xc"].new_zeros(1 + len(source.wanted), grid[0] * grid[1] * grid[2])
    kinds = dict.fromkeys((id(a.patches), a.order) for a in accepted)
    for kind in kinds:
        own = [a for a in accepted if (id(a.patches), a.order) == kind]
        cells = Cells(*(torch.cat(parts) for parts in zip(*(a.cells for a in own), strict=True)))
        u, v, weight = _rule(kind[1], planes)
        for part in _slabs(cells, len(u), PARTIALS_SLAB):
            samples = _sampled(source, own[0].patches, part, u, v, grid, partials=True)
            planes.index_add_(1, own[0].patches.pixel[part.patch], samples @ weight)
    return planes.reshape(-1, *grid)

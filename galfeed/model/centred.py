"""Plain ellipses: the same light as :mod:`galfeed.model.pixels`, many times faster.

An ellipse without hidden parameters needs no derivative but those of its function by the radius and by its shape
parameters; the others are geometry.  Under a convolution it is drawn on the centre of a pixel, so that GALFIT's
sub-samples lie at the same places for all galaxies and iterations, and opposite samples have the same light.

Near the centre, within the radius beyond which GALFIT takes one sample a pixel, half of the pixels are evaluated: each
on the largest grid that its distance allows, and those within ``Sampling.inner_radius`` on the inner grid as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from galfeed.model.light import BRIGHTNESS, Light
from galfeed.model.pixels import Source, core_size, grid_size
from galfeed.model.shape import DEGREE, FLOOR
from galfeed.profiles import Sampling

GEOMETRY = ("xc", "yc", "q", "pa")
ODD = ("xc", "yc")
"""Partial derivatives that change their sign on the opposite side."""

Spread = Callable[[Tensor], Tensor]
"""From numbers (B,), one an image, to one a point."""


def applies(light: Light, fine: int) -> bool:
    """Whether a component is a plain ellipse with sub-samples as GALFIT's most common ones."""
    profile, shape = light.profile, light.shape
    hidden = shape.rotation or shape.bending or shape.c0 or shape.fourier or light.truncations
    special = profile.edge or profile.lag or profile.sampling.accurate
    return profile.kind == "radial" and light.accuracy == "galfit" and fine == 1 and not hidden and not special


def covers(light: Light, values: Mapping[str, Tensor]) -> Tensor:
    """Which (B,) images :func:`integrate` can draw: those on a pixel's centre, with no finer grid in the core.

    Args:
        values: (B,) parameters.
    """
    scaled = light.scaled(values, 1)
    sampling = light.profile.sampling
    core = core_size(light.profile, scaled | light.derived(scaled), 1)
    return (values["xc"] == 0) & (values["yc"] == 0) & (core <= sampling.inner)


@dataclass(frozen=True)
class Ellipse:
    """One component in each of B images.

    Args:
        light: what it is.
        values, derived: (B,) its parameters, and numbers made of them, in pixels.
        slopes: (B,) of the derived numbers and of the amplitude by parameters: {(number, parameter): slope}.
        amplitude: (B,) factor of the intensity.
        wanted: parameters to differentiate with respect to.
    """

    light: Light
    values: dict[str, Tensor]
    derived: dict[str, Tensor]
    slopes: dict[tuple[str, str], Tensor]
    amplitude: Tensor
    wanted: tuple[str, ...]

    @classmethod
    def of(
        cls, light: Light, values: Mapping[str, Tensor], wanted: tuple[str, ...], scale: Mapping[str, Tensor]
    ) -> Ellipse:
        """From parameters in the units of the menu; ``scale`` as for ``Light.amplitude``."""
        own = {name: value.detach().clone() for name, value in values.items()}
        parameters = [own[name].requires_grad_() for name in wanted]
        with torch.enable_grad():
            scaled = light.scaled(own, 1)
            derived = light.derived(scaled)
            amplitude = light.amplitude(own, scaled | derived, scale)
        slopes: dict[tuple[str, str], Tensor] = {}
        for number, value in (("", amplitude), *derived.items()):
            if parameters and value.requires_grad:
                found = torch.autograd.grad(value.sum(), parameters, allow_unused=True, retain_graph=True)
                slopes |= {(number, w): s for w, s in zip(wanted, found, strict=True) if s is not None}
        plain, made = ({n: v.detach() for n, v in numbers.items()} for numbers in (scaled, derived))
        return cls(light, plain, made, slopes, amplitude.detach(), wanted)

    def evaluate(self, dx: Tensor, dy: Tensor, spread: Spread, like: tuple[int, ...]) -> dict[str, Tensor]:
        """Intensity ("") and its partials by name at points of shape ``like``, by which dx, dy are off the centre."""
        values, derived = ({n: spread(v) for n, v in numbers.items()} for numbers in (self.values, self.derived))
        sin, cos, q = derived["sin_pa"], derived["cos_pa"], values["q"]
        major, across = dx * sin - dy * cos, (dx * cos + dy * sin) / q
        squares = [(part * part).clamp_(min=FLOOR) for part in (major, across)]
        radius = (squares[0] + squares[1]).sqrt_()
        bent = [name for name in self.wanted if name not in GEOMETRY + BRIGHTNESS]
        turned = [name for name in self.wanted if name in GEOMETRY]
        with torch.enable_grad():
            radius.requires_grad_(bool(turned))
            leaves = {name: values[name].expand(like).detach().requires_grad_() for name in bent}
            p = values | derived | leaves
            for number, name in self.slopes.keys():
                if number and name in leaves:  # to first order
                    p[number] = p[number] + spread(self.slopes[number, name]) * (leaves[name] - values[name])
            light = self.light.intensity((radius,), p)
        by = [*((radius,) if turned else ()), *leaves.values()]
        slopes = torch.autograd.grad(light.sum(), by) if by else ()
        found = {"": light.detach(), **dict(zip(reversed(bent), reversed(slopes), strict=False))}
        if turned:
            slope = slopes[0] / radius.detach()
            by_major, by_across = slope * major, slope * across
            if self.light.derivatives == "true":  # nothing changes on the floor
                by_major, by_across = by_major * (squares[0] > FLOOR), by_across * (squares[1] > FLOOR)
                squares[1] = squares[1] * (squares[1] > FLOOR)
            geometry = {
                "xc": lambda: -(by_major * sin + by_across * (cos / q)),
                "yc": lambda: by_major * cos - by_across * (sin / q),
                "q": lambda: slope * squares[1] / -q,
                "pa": lambda: by_major * across * (q * DEGREE) - by_across * major * (DEGREE / q),
            }
            found |= {name: geometry[name]() for name in turned}
        return found

    def images(self, found: Mapping[str, Tensor], spread: Spread) -> Tensor:
        """Light and its partials in ADU by the parameters wanted, (1 + wanted, ...), of what was found at points."""
        intensity, factor = found[""], spread(self.amplitude)
        out = intensity.new_empty(1 + len(self.wanted), *intensity.shape)
        torch.mul(intensity, factor, out=out[0])
        for row, name in enumerate(self.wanted, start=1):
            change = self.slopes.get(("", name))
            if name in found:
                torch.mul(found[name], factor, out=out[row])
                if change is not None:
                    out[row].addcmul_(intensity, spread(change))
            elif change is not None:
                torch.mul(intensity, spread(change), out=out[row])
            else:
                out[row].zero_()
        return out


def points(ellipse: Ellipse, image: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Light and partials (1 + wanted, S) at points of some images, one sample each."""

    def spread(number: Tensor) -> Tensor:
        return number[image]

    return ellipse.images(ellipse.evaluate(dx, dy, spread, tuple(image.shape)), spread)


def integrate(ellipse: Ellipse, x: Tensor, y: Tensor) -> Tensor:
    """Mean light of pixels and partials (1 + wanted, B, H, W).

    Args:
        ellipse: on the centre of a pixel.
        x: (B, W), y: (B, H) pixel centres, whole numbers of pixels from that centre.
    """
    (batch, width), height = x.shape, y.shape[1]

    def spread(number: Tensor) -> Tensor:
        return number[:, None, None]

    def listed(number: Tensor) -> Tensor:
        return number[:, None]

    found = ellipse.evaluate(x[:, None, :], y[:, :, None], spread, (batch, height, width))
    near = _near(ellipse.light.profile.sampling, x.dtype, x.device)
    counts = near.counts(ellipse, batch)
    n, pixel = near.used(counts)
    inner = ellipse.evaluate(near.inner_x, near.inner_y, listed, (batch, near.inner_x.shape[1]))
    outer = ellipse.evaluate(
        near.x[near.owner] + near.across[n, pixel], near.y[near.owner] + near.along[n, pixel], listed, tuple(n.shape)
    )
    share = near.share[n, pixel]
    among = near.places(x, y)
    change = (counts > 1).repeat(1, 2) & among.inside
    for name, plane in found.items():
        mean = plane.new_zeros(batch, len(near.x)).index_add_(1, near.owner, outer[name] * share)
        core = inner[name].view(batch, near.inner, -1).mean(2)
        mean[:, : near.inner] = torch.where(counts[:, : near.inner] > near.largest, core, mean[:, : near.inner])
        both = torch.cat([mean, -mean if name in ODD else mean], dim=1)
        flat = plane.view(batch, -1)
        flat.scatter_add_(1, among.index, torch.where(change, both - flat.gather(1, among.index), 0.0))
    return ellipse.images(found, spread)


@dataclass(frozen=True)
class _Places:
    """Where near pixels (B, 2 P) are on the images: which are there at all, and their flat index."""

    inside: Tensor
    index: Tensor


@dataclass(frozen=True)
class _Near:
    """Samples of half of the P pixels around the centre; the other half is opposite.

    Args:
        reach: of the window around the centre, pixels.
        x, y: (P,) pixels, the nearest first.
        inner: how many of them can need the inner grid.
        inner_x, inner_y: (1, inner n n) its samples.
        largest: N of the largest of the other grids.
        owner: (S,) pixel of each sample of these.
        across, along, share: (largest + 1, S) the place of a sample in its pixel, and its share of it, for each N.
    """

    reach: int
    x: Tensor
    y: Tensor
    inner: int
    inner_x: Tensor
    inner_y: Tensor
    largest: int
    owner: Tensor
    across: Tensor
    along: Tensor
    share: Tensor

    def counts(self, ellipse: Ellipse, batch: int) -> Tensor:
        """N (B, P) of each pixel."""
        line = torch.arange(-self.reach, self.reach + 1, dtype=self.x.dtype, device=self.x.device)
        source = Source(ellipse.light, ellipse.values | ellipse.derived, ())
        sizes = grid_size(source, (), source.single(line.expand(batch, -1), line[self.reach :].expand(batch, -1)))
        return sizes[:, self.y.long(), self.x.long() + self.reach]

    def used(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Index of the tables for counts (B, P): N (B, S) and sample (S,)."""
        n = counts.clamp(max=self.largest)[:, self.owner]
        return n, torch.arange(len(self.owner), device=n.device)

    def places(self, x: Tensor, y: Tensor) -> _Places:
        """On images whose pixel centres are x (B, W), y (B, H) off the centre."""
        width, height = x.shape[1], y.shape[1]
        column = torch.cat([self.x - x[:, :1], -self.x - x[:, :1]], dim=1).long()
        row = torch.cat([self.y - y[:, :1], -self.y - y[:, :1]], dim=1).long()
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        inside[:, len(self.x)] = False  # the centre is its own opposite
        return _Places(inside, row.clamp(0, height - 1) * width + column.clamp(0, width - 1))


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

    def tensor(numbers: list[float]) -> Tensor:
        return torch.tensor(numbers, dtype=dtype, device=device)

    steps = [(a + 0.5) / sampling.inner - 0.5 for a in range(sampling.inner)]
    grid = [(i + a, j + b) for i, j in pixels[:inner] for a in steps for b in steps]
    return _Near(
        reach=reach,
        x=tensor([i for i, _ in pixels]),
        y=tensor([j for _, j in pixels]),
        inner=inner,
        inner_x=tensor([x for x, _ in grid])[None],
        inner_y=tensor([y for _, y in grid])[None],
        largest=max(most),
        owner=torch.tensor([k for k, _, _ in samples], device=device),
        across=table(lambda n, a, b: (a + 0.5) / n - 0.5),
        along=table(lambda n, a, b: (b + 0.5) / n - 0.5),
        share=table(lambda n, a, b: 1 / n**2),
    )

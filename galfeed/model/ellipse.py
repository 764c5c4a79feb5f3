"""Plain ellipses: the same light as :mod:`galfeed.model.pixels`, many times faster.

An ellipse without hidden parameters needs no derivative but those of its function by the radius and by its shape
parameters; the others are geometry.  So its partial images are sums of a few planes that are the same for all
parameters, as none of the factors changes within an image: with f(s) the light at the squared radius s = u^2 + v^2,
u along and v across the major axis, where v is divided by q, and d = -df / dln(r),

    f,  d,  one for each further shape parameter,  d u / s,  d v / s,  d v^2 / s,  d u v / s.

Under a convolution an ellipse is drawn on the centre of a pixel, so that GALFIT's sub-samples lie at the same places
for all galaxies and iterations, and opposite samples have the same light.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from galfeed.model.light import Light, taken
from galfeed.model.shape import DEGREE, FLOOR
from galfeed.profiles import IMAGE, STEEP

ALONG, ACROSS, SQUARE, TWIST = "along", "across", "square", "twist"
"""The planes d u / s, d v / s, d v^2 / s and d u v / s."""

GEOMETRY = {"xc": (ALONG, ACROSS), "yc": (ALONG, ACROSS), "q": (SQUARE,), "pa": (TWIST,)}
"""The planes that the partial images by these parameters are made of."""

ODD = (ALONG, ACROSS)
"""Planes that change their sign on the opposite side."""

Spread = Callable[[Tensor], Tensor]
"""From numbers (N, B), one an image, to one a point."""


def applies(light: Light, fine: int) -> bool:
    """Whether a component is a plain ellipse with sub-samples as GALFIT's most common ones."""
    profile, shape = light.profile, light.shape
    hidden = shape.rotation or shape.bending or shape.c0 or shape.fourier or light.truncations
    special = profile.by_square is None or profile.lag
    return profile.kind == "radial" and light.accuracy == "galfit" and fine == 1 and not hidden and not special


@dataclass(frozen=True)
class Ellipse:
    """One component in each of B images, on the centre of a pixel.

    Args:
        light: what it is.
        values: (B,) its parameters and numbers made of them, in pixels.
        table: (N, B) what is needed at every point: the sine and cosine of the position angle, the same over q, q,
            the logarithm of the amplitude, and the arguments of the function.
    """

    light: Light
    values: dict[str, Tensor]
    table: Tensor

    @classmethod
    def of(cls, light: Light, values: Mapping[str, Tensor], scale: Mapping[str, Tensor]) -> Ellipse:
        """From parameters in the units of the menu; ``scale`` as for ``Light.amplitude``."""
        made, level = _made(light, values, scale)
        return cls._tabled(light, made, level)

    @classmethod
    def _tabled(cls, light: Light, made: dict[str, Tensor], level: Tensor) -> Ellipse:
        assert light.profile.by_square is not None
        sin, cos, q = made["sin_pa"], made["cos_pa"], made["q"]
        arguments = taken(light.profile.by_square, made).values()
        return cls(light, made, torch.stack([sin, cos, cos / q, sin / q, q, level, *arguments]))

    def to(self, dtype: torch.dtype) -> Ellipse:
        """The same in another precision."""
        return replace(self, table=self.table.to(dtype))

    def take(self, some: slice | Tensor) -> Ellipse:
        """Some of the images."""
        return replace(self, values={n: v[some] for n, v in self.values.items()}, table=self.table[:, some])

    @property
    def dtype(self) -> torch.dtype:
        return self.table.dtype

    def function(self, square: Tensor, numbers: Tensor, partials: bool) -> dict[str, Tensor]:
        """f, d and the planes of further shape parameters at squared radii; numbers of the table, spread."""
        level, *arguments = numbers[5:]
        assert self.light.profile.by_square is not None
        return self.light.profile.by_square(square, level, *arguments, partials=partials)

    def evaluate(
        self, dx: Tensor, dy: Tensor, spread: Spread, planes: tuple[str, ...], out: Tensor | None = None
    ) -> list[Tensor]:
        """Planes at points by which dx, dy are off the centre.

        Args:
            out: (planes, ...) where to put them; the floor that GALFIT gives u^2 and v^2 is left out then, which is
                not seen but near the centre.
        """
        numbers = spread(self.table)
        sin, cos, cos_q, sin_q, q = numbers[:5]
        along, across = dx * sin - dy * cos, dx * cos_q + dy * sin_q
        flat, twist = across * across, across * along if TWIST in planes else across
        if out is None:
            long, flat = (along * along).clamp_(min=FLOOR), flat.clamp_(min=FLOOR)
            square = long + flat
            if self.light.derivatives == "true":  # nothing changes on the floor
                moved, turned = along * (long > FLOOR), across * (flat > FLOOR)
                twist = (moved * across * q**2 - turned * along) / (q**2 - 1)
                along, across, flat = moved, turned, turned * turned
        else:
            square = (along * along).add_(flat)
        steep = any(name != IMAGE for name in planes)
        found = self.function(square, numbers, steep)
        places = dict(zip(planes, out if out is not None else [None] * len(planes), strict=True))
        if steep:
            ratio = found[STEEP] / square
        result = []
        for name, place in places.items():
            if name in found:
                result.append(found[name] if place is None else place.copy_(found[name]))
            elif name == ALONG:
                result.append(torch.mul(ratio, along, out=place))
            elif name == ACROSS:
                result.append(torch.mul(ratio, across, out=place))
            elif name == SQUARE:
                result.append(torch.mul(ratio, flat, out=place))
            else:
                result.append(torch.mul(ratio, twist, out=place))
        return result


def _made(light: Light, values: Mapping[str, Tensor], scale: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """All numbers (B,) of an ellipse on the centre of a pixel, in pixels, and the logarithm of its amplitude."""
    zero = torch.zeros_like(values["xc"])
    own = {**values, "xc": zero, "yc": zero}
    made = light.scaled(own, 1)
    made |= light.derived(made)
    return made, light.amplitude(own, made, scale).log()


@dataclass(frozen=True)
class Combination:
    """Partial images of an ellipse as sums of planes.

    Args:
        ellipse: that they are of.
        planes: names of the planes, the image first, then those that are odd.
        slopes: (B, planes, wanted) how much of each is in each partial image.
    """

    ellipse: Ellipse
    planes: tuple[str, ...]
    slopes: Tensor


def combination(
    light: Light, values: Mapping[str, Tensor], wanted: tuple[str, ...], scale: Mapping[str, Tensor]
) -> Combination:
    """How the partial images by some parameters are put together.

    Args:
        values, scale: as for :meth:`Ellipse.of`.
        wanted: parameters; for a name that is not one of the light's there is 0.
    """
    own = {name: value.detach().clone() for name, value in values.items()}
    for name in wanted:
        own[name].requires_grad_()
    with torch.enable_grad():
        made, level = _made(light, own, scale)
    plain = {name: number.detach() for name, number in made.items()}
    ellipse = Ellipse._tabled(light, plain, level.detach())
    assert light.profile.by_basis is not None and light.profile.by_square is not None
    arguments = taken(light.profile.by_square, made)
    basis = light.profile.by_basis(**taken(light.profile.by_basis, plain))
    parts: dict[tuple[str, str], Tensor] = {}

    def add(plane: str, name: str, amount: Tensor) -> None:
        parts[plane, name] = parts[plane, name] + amount if (plane, name) in parts else amount

    for argument, number in (("", level), *arguments.items()):
        for name, slope in _slopes(number, own, wanted).items():
            for plane, amount in basis[argument].items() if argument else ((IMAGE, 1.0),):
                add(plane, name, slope * amount)
    steep, q, sin, cos = basis["log"][STEEP], plain["q"], plain["sin_pa"], plain["cos_pa"]
    geometry = {
        "xc": {ALONG: steep * sin, ACROSS: steep * (cos / q)},
        "yc": {ALONG: -steep * cos, ACROSS: steep * (sin / q)},
        "q": {SQUARE: steep / q},
        "pa": {TWIST: -steep * DEGREE * (q - 1 / q)},
    }
    for name in wanted:
        for plane, amount in geometry.get(name, {}).items():
            add(plane, name, amount)
    others = sorted(dict.fromkeys(plane for plane, _ in parts if plane != IMAGE), key=lambda plane: plane not in ODD)
    planes = (IMAGE, *others)
    slopes = level.new_zeros(len(level), len(planes), len(wanted))
    for (plane, name), amount in parts.items():
        slopes[:, planes.index(plane), wanted.index(name)] = amount
    return Combination(ellipse, planes, slopes.nan_to_num_())


def _slopes(number: Tensor, own: dict[str, Tensor], wanted: tuple[str, ...]) -> dict[str, Tensor]:
    """Slopes (B,) of a number (B,) by those of the parameters that it depends on."""
    if not (wanted and number.requires_grad):
        return {}
    for name in wanted:
        if number is own[name]:
            return {name: torch.ones_like(number)}
    found = torch.autograd.grad(number.sum(), [own[name] for name in wanted], allow_unused=True, retain_graph=True)
    return {name: slope for name, slope in zip(wanted, found, strict=True) if slope is not None}


def points(ellipse: Ellipse, image: Tensor, dx: Tensor, dy: Tensor, planes: tuple[str, ...]) -> Tensor:
    """Planes (planes, S) at points of some images, one sample each."""
    return torch.stack(ellipse.evaluate(dx, dy, lambda table: table[:, image], planes))

"""Surface brightness of one component at any point: function, shape and truncations put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from typing import Any, Literal

import torch
from torch import Tensor

from galfeed.model.shape import FLOOR, Derivatives, Numbers, Shape
from galfeed.model.truncation import Truncation
from galfeed.profiles import BREAK, Profile

Accuracy = Literal["galfit", "exact"]
"""GALFIT's numbers, its errors included, or the right ones."""

Place = tuple[Tensor, ...]
"""What the function of a component depends on: (radius,), or (along, across) for an edge-on disk; pixels."""

OFF_AXIS = 1e-7  # pixels; GALFIT's number for no offset at all (probed)
ROUND = 0.999999  # GALFIT's number for an axis ratio of 1 (probed)
BRIGHTNESS = ("mag", "mu")
"""Names of ``3)``: by these the light changes everywhere alike."""

MAGNITUDE_SLOPE = -0.4 * math.log(10)  # d ln(flux) / d mag


@dataclass(frozen=True)
class Light:
    """A component whose light has a shape; what is the same for all images of a batch.

    Numbers are passed by name: the parameters of the function ("xc", "re", "q", ...), hidden ones ("c0", "f1_amp",
    ...), those of its truncations with their number in front ("t4_rbrk"), and what is derived of them.

    Args:
        profile: its function.
        variant: what ``3)`` means, see ``Profile.meaning``.
        shape: its hidden parameters.
        truncations: that cut it.
        lengths: names of the numbers measured in pixels.
        accuracy: whose numbers.
        derivatives: how to differentiate.
    """

    profile: Profile
    variant: int
    shape: Shape
    truncations: tuple[Truncation, ...]
    lengths: frozenset[str]
    accuracy: Accuracy = "galfit"
    derivatives: Derivatives = "true"

    @property
    def structure(self) -> tuple[object, ...]:
        """What decides how the light is computed, beside its function."""
        return (self.variant, self.shape, self.truncations, self.accuracy, self.derivatives)

    @property
    def centres(self) -> dict[str, str]:
        """Positions of truncations with a centre of their own: {name: "xc" or "yc"}."""
        return {t.name(axis): axis for t in self.truncations if t.own_centre for axis in ("xc", "yc")}

    @property
    def untruncated(self) -> Light:
        return replace(self, truncations=())

    def scaled(self, values: Numbers, fine: int) -> dict[str, Tensor]:
        """The same numbers in pixels of a grid that is ``fine`` times finer; GALFIT knows no perfect circles."""
        made = {name: value * fine if fine > 1 and name in self.lengths else value for name, value in values.items()}
        if self.accuracy == "galfit" and "q" in made:
            made["q"] = made["q"] - (made["q"] == 1) * (1 - ROUND)
        return made

    def derived(self, values: Numbers) -> dict[str, Tensor]:
        """Numbers (B,) made of the parameters (B,), such as kappa(n) or the sine of the position angle."""
        profile, make = self.profile, self.profile.derived
        made: dict[str, Tensor] = {}
        if self.accuracy == "exact" and profile.exact:
            make = profile.exact
        elif self.derivatives == "galfit" and profile.galfit:
            make = profile.galfit
        if make is not None:
            made |= make(**taken(make, values))
        made |= self.shape.derived(values, self.derivatives)
        for truncation in self.truncations:
            made |= truncation.derived(values)
        return made

    def geometry(self, x: Tensor, y: Tensor, p: Numbers) -> tuple[Place, Tensor | None]:
        """Where points lie in the function, and what truncations leave of the light there (None: all of it)."""
        shape = self.shape
        dx, dy = x - p["xc"], y - p["yc"]
        if self.derivatives == "galfit":
            at_centre = (dx == 0) & (dy == 0)
            dx, dy = dx + at_centre * OFF_AXIS, dy + at_centre * OFF_AXIS
        disc = shape.plane(dx, dy, p)
        if self.profile.kind == "edge":  # its hidden parameters act on truncations alone (probed)
            major, across = shape.axes(dx, dy, p)
            place: Place = (major, across)
        else:
            major, across = shape.axes(*shape.unwound(*disc, p), p)
            if shape.bending:
                bent = shape.bent if self.derivatives == "true" else shape.bent_by_galfit
                across = bent(major, across, p[self.profile.bending_scale], p)
            place = (shape.radius(major, across, p, self._floor, self.derivatives),)
        left: Tensor | None = None
        for truncation in self.truncations:
            if truncation.along == "length":
                radius = major.abs()
            elif truncation.along == "height":
                radius = across.abs()
            else:
                radius = self._truncation_radius(truncation, (x, y), (dx, dy), disc, p)
            factor = truncation.factor(radius, truncation.own(p))
            left = factor if left is None else left * factor
        return place, left

    def _truncation_radius(
        self,
        truncation: Truncation,
        point: tuple[Tensor, Tensor],
        sky: tuple[Tensor, Tensor],
        disc: tuple[Tensor, Tensor],
        p: Numbers,
    ) -> Tensor:
        """In the plane of the disc, not wound, or in that of the sky; its own centre and ellipse or the component's."""
        own = truncation.own(p)
        if truncation.own_centre:
            sky = (point[0] - own["xc"], point[1] - own["yc"])
            disc = self.shape.plane(*sky, p)
        if not truncation.own_ellipse:
            own |= {name: p[name] for name in ("sin_pa", "cos_pa")}
            own["q"] = p["q"] if "q" in p else torch.ones_like(p["xc"])
        return truncation.radius(*(sky if truncation.on_sky else disc), own, self._floor)

    @property
    def _floor(self) -> float:
        return FLOOR if self.accuracy == "galfit" else 0.0

    def intensity(self, place: Place, p: Numbers) -> Tensor:
        """The function, untruncated, before the flux scale."""
        assert self.profile.intensity is not None
        return self.profile.intensity(*place, **taken(self.profile.intensity, p))

    def lagging(self, place: Place, before: Place, p: Numbers) -> Place:
        """The same place, made to have the slope by the radius that GALFIT has, given where the sample before lies."""
        assert self.profile.lag is not None
        (radius,), (other,) = place, before
        own = taken(self.profile.lag, p)
        ratio = (self.profile.lag(other, **own) / self.profile.lag(radius, **own)).detach()
        return (radius.detach() + (radius - radius.detach()) * ratio,)

    def amplitude(self, values: Numbers, p: Numbers, scale: Mapping[str, Tensor], fine: int = 1) -> Tensor:
        """(B,) factor of the intensity: from the magnitude, or from the surface brightness at the anchor.

        Args:
            values: in pixels of the data.  p: in pixels of the grid, with the derived.
            scale: "zeropoint", "exptime", "pixel_area" of the images.
        """
        if "mag" in values:
            assert self.profile.total is not None
            total = self.profile.total(**taken(self.profile.total, p))
            area = self.shape.area(p, exact=self.accuracy == "exact")
            return counts(values["mag"], scale) * area / (p["q"] * total)
        level = counts(values["mu"], scale) * scale["pixel_area"]
        if self.derivatives == "galfit" and self.profile.galfit and not self.profile.anchor(self.variant):
            assert self.profile.derived is not None
            # GALFIT's own derivatives are of f alone; f(0) is 1 and stays so
            p = {**p, **self.profile.derived(**taken(self.profile.derived, p))}
        return level / (fine**2 * self.intensity(self._anchor(p, level), p))  # a fine pixel has 1 / fine^2 of the area

    def _anchor(self, p: Numbers, like: Tensor) -> Place:
        """Where ``3)`` is the surface brightness; the truncation of the lowest number decides where it is asked to."""
        zero, anchor = torch.zeros_like(like), self.profile.anchor(self.variant)
        first = min(self.truncations, key=lambda t: t.number, default=None)
        if self.profile.kind == "edge":
            if not anchor or first is None or first.along == "radial":
                return (zero, zero)
            along = first.along == "length"
            at = first.break_radius(first.own(p)) if anchor == BREAK else p["rs" if along else "hs"]
            return (at, zero) if along else (zero, at)
        if anchor == BREAK:
            assert first is not None
            return (first.break_radius(first.own(p)),)
        return (p[anchor] if anchor else zero,)


@cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(signature(function).parameters)


def taken(function: Callable[..., Any], p: Numbers) -> dict[str, Tensor]:
    """The numbers that a function of a profile takes."""
    return {name: p[name] for name in _parameters(function) if name in p}


def counts(magnitude: Tensor, scale: Mapping[str, Tensor]) -> Tensor:
    """(B,) counts of a magnitude: exptime 10^(-0.4 (mag - zeropoint))."""
    return scale["exptime"] * (MAGNITUDE_SLOPE * (magnitude - scale["zeropoint"])).exp()

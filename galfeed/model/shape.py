"""From pixel offsets to the radius of a component: ellipse, C0, bending, Fourier modes, coordinate rotation.

Conventions, stated here once: x and y are image axes, PA is in degrees, 0 up (+y), counter-clockwise.  GALFIT's own
frame has its first axis along the major axis but pointing opposite to the direction PA; the azimuth of the Fourier
modes is counted from there (Peng et al. 2010, AJ 139, 2097, sections 4 and 5; the senses and constants are probed).

The coordinates pass, in this order, through: the centre, the plane of the inclined disc, its winding, the turn by PA,
bending, axis ratio and C0, Fourier modes.  All functions are elementwise and written with tensor methods: reading a
menu needs the tables of this module but not torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from galfeed.job import Component, ParamSpec, Unit
from galfeed.model import romberg

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-10  # pixels; keeps the derivatives of r finite at the centre
DEGREE = math.pi / 180
FLOOR = 1e-7
LARGEST_AMPLITUDE = 2.0  # of a Fourier mode, in the fit
ANGLE_STEP = 60.0  # degrees an iteration

# --- the tables of what the menu may give ---

C0 = ParamSpec(
    "c0",
    "c0",
    "C0",
    "Diskyness (<0) or Boxyness (>0)",
    "  Diskyness(-)/Boxyness(+)",
    limits=(-1.9, 10.0),
    step=0.5,
)


def bending(n: int) -> ParamSpec:
    text = f"Bending mode {n} amplitude"
    return ParamSpec(f"b{n}", f"b{n}", f"B{n}", text, f"  {text}", "pix")


def fourier(n: int) -> tuple[ParamSpec, ParamSpec]:
    """Amplitude and phase of a mode; the menu has them on one line."""
    text = f"Azimuthal Fourier mode {n}"
    menu = f"  Azim. Fourier mode {n}, amplitude, & phase angle"
    amplitudes = (-LARGEST_AMPLITUDE, LARGEST_AMPLITUDE)
    return (
        ParamSpec(f"f{n}a", f"f{n}_amp", f"F{n}", f"{text} amplitude", menu, limits=amplitudes, step=0.3),
        ParamSpec(f"f{n}p", f"f{n}_phase", f"F{n}PA", f"{text} phase angle", menu, "deg", step=ANGLE_STEP / n),
    )


def rotation(function: str) -> tuple[ParamSpec, ...]:
    """R1 to R4, R9 and R10 of a coordinate rotation, "power" or "log"."""

    def spec(k: int, name: str, header: str, unit: Unit, comment: str, menu: str, step: float = math.inf) -> ParamSpec:
        return ParamSpec(f"r{k}", name, header, comment, f"  {menu}", unit, step=step)

    total = "Total rotation angle out to Rout [deg]", "Cumul. rotation out to outer radius [degrees]"
    scale = "Logarithmic winding scale radius"
    return (
        spec(1, "wind_in", "RIN", "pix", "Inner (const. PA) radius [pixels]", "Spiral inner radius [pixels]"),
        spec(2, "wind_out", "ROUT", "pix", "Outer (const. PA) radius [pixels]", "Spiral outer radius [pixels]"),
        spec(3, "wind_angle", "RANG", "deg", *total, step=2 * ANGLE_STEP),
        spec(4, "wind_alpha", "ALPHA", "", "Asymptotic spiral powerlaw", "Asymptotic spiral powerlaw ", step=1.0)
        if function == "power"
        else spec(4, "wind_scale", "RWS", "pix", f"{scale} [pixels]", f"{scale} "),
        spec(
            9,
            "incl",
            "INCL",
            "deg",
            "Inclination angle to line of sight [deg]",
            "Inclination to L.o.S. [degrees]",
            ANGLE_STEP / 3,
        ),
        spec(10, "spa", "SPA", "deg", "Projected disk position angle [deg]", "Sky position angle", ANGLE_STEP),
    )


def specs(component: Component) -> Iterator[ParamSpec]:
    """The hidden parameters of a component in the order in which they are printed."""
    for group in component.hidden_groups:
        if group == "b":
            yield from (bending(mode.n) for mode in component.bending)
        elif group == "c" and component.c0 is not None:
            yield C0
        elif group == "f":
            for mode in component.fourier:
                yield from fourier(mode.n)
        elif group == "r" and component.rotation is not None:
            yield from rotation(component.rotation.function)


# --- the geometry ---

Derivatives = Literal["true", "galfit"]
"""How to differentiate: the final image, or as GALFIT does (probed).

GALFIT takes the derivatives by x and y from the unconvolved image centred on a pixel and then convolves them, those of
point sources from a central difference, holds a few derived numbers constant and forgets terms of the winding.  Its
fits end where these vanish, and its error bars are made of them.
"""

Numbers = Mapping[str, "Tensor"]
"""Parameters and what is derived of them, by name; tensors of one shape."""

WINDING_SHARPNESS = 0.46  # radians; the manual has 0.23, 0.46 fits to 5e-7
QUADRANT_NODES = 128


@dataclass(frozen=True)
class Shape:
    """Which of the hidden parameters a component (or a truncation) has.

    Args:
        rotation: "power", "log", or "" for none.
        bending, fourier: orders of the modes.
        c0: diskyness or boxiness.
    """

    rotation: str = ""
    bending: tuple[int, ...] = ()
    c0: bool = False
    fourier: tuple[int, ...] = ()

    @classmethod
    def of(cls, component: Component) -> Shape:
        return cls(
            component.rotation.function if component.rotation else "",
            tuple(mode.n for mode in component.bending),
            component.c0 is not None,
            tuple(mode.n for mode in component.fourier),
        )

    def derived(self, p: Numbers, derivatives: Derivatives = "true") -> dict[str, Tensor]:
        """Numbers (B,) made of the parameters once an image, for the functions below."""
        made = {"sin_pa": (p["pa"] * DEGREE).sin(), "cos_pa": (p["pa"] * DEGREE).cos()} if "pa" in p else {}
        made |= {f"f{m}_turn": p[f"f{m}_phase"] * (DEGREE * m) for m in self.fourier}
        if self.rotation:
            swing, rin, rout = p["wind_angle"] * DEGREE, p["wind_in"], p["wind_out"]
            made |= {
                "sin_spa": (p["spa"] * DEGREE).sin(),
                "cos_spa": (p["spa"] * DEGREE).cos(),
                "stretch": 1 / (p["incl"] * DEGREE).cos(),
                "swing": swing,
            }
            if derivatives == "true":
                made["wind_rate"] = _onset_rate(swing, rin, rout)
            else:
                made["wind_rate"] = _onset_rate(swing.detach(), rin, rout)
                made["wind_rate_by_swing"] = _onset_rate(swing, rin.detach(), rout.detach())
            if self.rotation == "log":
                made["growth_unit"] = 1 / (rout / p["wind_scale"] + 1).log()
        return made

    def plane(self, dx: Tensor, dy: Tensor, p: Numbers) -> tuple[Tensor, Tensor]:
        """Offsets in the plane of the inclined disc, its axis R10 up: stretched by 1 / cos(inclination) along R10."""
        if not self.rotation:
            return dx, dy
        across = dx * p["cos_spa"] + dy * p["sin_spa"]
        return across, (dy * p["cos_spa"] - dx * p["sin_spa"]) * p["stretch"]

    def unwound(self, dx: Tensor, dy: Tensor, p: Numbers) -> tuple[Tensor, Tensor]:
        """Offsets in the disc, turned back by the winding angle at their radius (Peng et al. 2010)."""
        if not self.rotation:
            return dx, dy
        reach = (dx * dx + dy * dy).clamp(min=SMALLEST**2).sqrt()
        angle = self._angle(reach, p) if "wind_rate_by_swing" not in p else self._angle_of_galfit(reach, p)
        sin, cos = angle.sin(), angle.cos()
        return dx * cos + dy * sin, dy * cos - dx * sin

    def _angle(self, reach: Tensor, p: Numbers) -> Tensor:
        """Winding angle at a radius, radians: swing * onset * growth."""
        onset = _onset(reach / p["wind_out"], p["wind_rate"])
        return p["swing"] * onset * self._growth(reach, p["wind_out"], p)

    def _angle_of_galfit(self, reach: Tensor, p: Numbers) -> Tensor:
        """The same value, made to have GALFIT's derivatives (probed).

        GALFIT forgets the growth where it differentiates the onset by the radius and by the swing, and a factor
        1 / (r / R2 + 1) where it differentiates the power by R2.
        """
        rout, swing = p["wind_out"], p["swing"]
        by_ends = _onset(reach.detach() / rout, p["wind_rate"])
        by_reach = _onset(reach / rout.detach(), p["wind_rate_by_swing"])
        if self.rotation == "power":
            growth = self._growth(reach, rout.detach(), p)
            slope = (p["wind_alpha"] * growth * reach / rout**2).detach()
            growth = growth - slope * (rout - rout.detach())
        else:
            growth = self._growth(reach, rout, p)
        return swing * by_ends * growth + swing.detach() * (by_reach - by_reach.detach())

    def _growth(self, reach: Tensor, rout: Tensor, p: Numbers) -> Tensor:
        if self.rotation == "power":
            return (p["wind_alpha"] * ((reach / rout + 1) / 2).clamp(min=SMALLEST).log()).exp()
        return (reach / p["wind_scale"] + 1).clamp(min=SMALLEST).log() * p["growth_unit"]

    def axes(self, dx: Tensor, dy: Tensor, p: Numbers) -> tuple[Tensor, Tensor]:
        """Coordinates along and across the major axis, pixels; the first points opposite to the direction PA."""
        return dx * p["sin_pa"] - dy * p["cos_pa"], dx * p["cos_pa"] + dy * p["sin_pa"]

    def bent(self, major: Tensor, across: Tensor, scale: Tensor, p: Numbers) -> Tensor:
        """The coordinate across, with sum_m B_m (major / scale)^m added (Peng et al. 2010, bending modes)."""
        for m in self.bending:
            across = across + p[f"b{m}"] * (major / scale) ** m
        return across

    def bent_by_galfit(self, major: Tensor, across: Tensor, scale: Tensor, p: Numbers) -> Tensor:
        """The same value, made to have GALFIT's derivatives (probed).

        GALFIT does not differentiate the scale, and takes 1 + b' times the derivative by x, b' the slope of the bend.
        """
        unit = scale.detach()
        slope = across.new_zeros(())
        for m in self.bending:
            slope = slope + p[f"b{m}"] * m / unit * (major / unit) ** (m - 1)
        by_x = (-slope * (p["cos_pa"] + slope * p["sin_pa"])).detach()
        return self.bent(major, across, unit, p) + by_x * (p["xc"] - p["xc"].detach())

    def radius(
        self, major: Tensor, across: Tensor, p: Numbers, floor: float = 0.0, derivatives: Derivatives = "true"
    ) -> Tensor:
        """Generalised radius in pixels along the major axis.

        r0 = (|x|^(C0+2) + |y/q|^(C0+2))^(1/(C0+2)), r = r0 |1 + sum_m a_m cos(m (azimuth - phase_m))|; Athanassoula
        et al. 1990; Peng et al. 2010, generalised ellipses and Fourier modes.

        Args:
            floor: of each of the two powers; GALFIT's is ``FLOOR`` (probed).
            derivatives: GALFIT differentiates the powers as if they had no floor.
        """
        q = p["q"]
        if self.c0:
            power = p["c0"] + 2
            first, second = (part.abs().clamp(min=SMALLEST) ** power for part in (major, across))
            unit = q**power
        else:
            first, second, unit = major * major, across * across, q * q
            floor = max(floor, SMALLEST**2)
        if derivatives == "true":
            first, second = first.clamp(min=floor), (second / unit).clamp(min=floor)
        else:
            first = first + (first.clamp(min=floor) - first).detach()
            second = (second + ((second / unit).clamp(min=floor) * unit - second).detach()) / unit
        radius = (first + second) ** (1 / power) if self.c0 else (first + second).sqrt()
        if self.fourier:
            at_centre = (major == 0) & (across == 0)  # where there is no azimuth
            radius = (radius * self._ripple((across / q).atan2(major + at_centre), p)).abs().clamp(min=SMALLEST)
        return radius

    def _ripple(self, azimuth: Tensor, p: Numbers) -> Tensor:
        """The radius over that of the ellipse: 1 + sum_m a_m cos(m (azimuth - phase_m))."""
        factor = azimuth.new_ones(())
        for m in self.fourier:
            factor = factor + p[f"f{m}_amp"] * (m * azimuth - p[f"f{m}_turn"]).cos()
        return factor

    def area(self, p: Numbers, *, exact: bool = False) -> Tensor | float:
        """Area of a circle over that of the contour r = 1 of q = 1 on the sky: what the flux is multiplied by.

        C0 alone: pi c / (4 B(1/c, 1 + 1/c)), c = C0 + 2 (Peng et al. 2010, eq. 7).  With Fourier modes an integral
        over the polar angle.  With both, GALFIT takes the first and third quadrant of its frame and forgets the other
        two, which makes a component about twice as bright.

        Args:
            p: (B,) parameters and :meth:`derived`.
            exact: an accurate integral, over the whole circle.
        """
        correction: Tensor | float = 1.0
        if self.fourier:
            correction = self._rippled_area(p, exact)
        elif self.c0:
            power = p["c0"] + 2
            beta = ((1 / power).lgamma() + (1 + 1 / power).lgamma() - (1 + 2 / power).lgamma()).exp()
            correction = math.pi * power / (4 * beta)
        return correction * p["stretch"] if self.rotation else correction

    def _rippled_area(self, p: Numbers, exact: bool) -> Tensor:
        """2 pi q over the integral of R^2 over the polar angle, R the contour r = 1; in GALFIT by its quadrature."""
        polar, weights = _polar_angles(exact, (0, 2) if self.c0 and not exact else (0, 1, 2, 3))
        columns = {name: number[:, None] for name, number in p.items()}
        angle = p["q"].new_tensor(polar)
        minor = angle.sin() / columns["q"]
        if self.c0:
            power = columns["c0"] + 2
            ellipse = (angle.cos().abs() ** power + minor.abs() ** power) ** (1 / power)
        else:
            ellipse = (angle.cos() ** 2 + minor**2).sqrt()
        ripple = self._ripple(minor.atan2(angle.cos()), columns)
        return 2 * math.pi * p["q"] / (angle.new_tensor(weights) / (ellipse * ripple) ** 2).sum(1)


def _onset_rate(swing: Tensor, rin: Tensor, rout: Tensor) -> Tensor:
    """How steeply the winding sets in: (2 - atanh A) rout / (rout - rin)."""
    sharp = 2 * WINDING_SHARPNESS / (swing.abs() + WINDING_SHARPNESS) - 1.00001
    return (2 - sharp.clamp(min=-0.999999).atanh()) * rout / (rout - rin)


def _onset(inside: Tensor, rate: Tensor) -> Tensor:
    """From 0 within the inner radius to 1 at the outer one; ``inside`` is the radius over the outer one."""
    return ((rate * (inside - 1) + 2).tanh() + 1) / 2


@cache
def _polar_angles(exact: bool, quadrants: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """Nodes and weights of integrals over some quadrants; C0 leaves kinks between them."""
    if exact:
        nodes, weights = np.polynomial.legendre.leggauss(QUADRANT_NODES)
        nodes, weights = (nodes + 1) / 2, weights / 2
    else:
        nodes, weights = romberg.nodes()
    angles = [math.pi / 2 * (k + float(node)) for k in quadrants for node in nodes]
    return angles, [math.pi / 2 * float(weight) for _ in quadrants for weight in weights]

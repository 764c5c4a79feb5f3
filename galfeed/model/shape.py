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
from typing import TYPE_CHECKING

import numpy as np

from galfeed.job import Component, ParamSpec, Unit

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-10  # pixels; keeps the derivatives of r finite at the centre
DEGREE = math.pi / 180
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

Numbers = Mapping[str, "Tensor"]
"""Parameters and what is derived of them, by name; tensors of one shape."""

WINDING_SHARPNESS = 0.46  # radians; the manual has 0.23, 0.46 fits to 5e-7
QUADRANT_NODES, CIRCLE_NODES = 64, 1024


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

    def derived(self, p: Numbers) -> dict[str, Tensor]:
        """Numbers (B,) made of the parameters once an image, for the functions below."""
        made = {"sin_pa": (p["pa"] * DEGREE).sin(), "cos_pa": (p["pa"] * DEGREE).cos()} if "pa" in p else {}
        made |= {f"f{m}_turn": p[f"f{m}_phase"] * (DEGREE * m) for m in self.fourier}
        if self.rotation:
            swing, rout = p["wind_angle"] * DEGREE, p["wind_out"]
            sharp = 2 * WINDING_SHARPNESS / (swing.abs() + WINDING_SHARPNESS) - 1.00001
            made |= {
                "sin_spa": (p["spa"] * DEGREE).sin(),
                "cos_spa": (p["spa"] * DEGREE).cos(),
                "stretch": 1 / (p["incl"] * DEGREE).cos(),
                "wind_rate": (2 - sharp.clamp(min=-0.999999).atanh()) * rout / (rout - p["wind_in"]),
            }
            if self.rotation == "power":
                made["swing"] = swing
            else:
                made["swing"] = swing / (rout / p["wind_scale"] + 1).log()
        return made

    def plane(self, dx: Tensor, dy: Tensor, p: Numbers) -> tuple[Tensor, Tensor]:
        """Offsets in the plane of the inclined disc, its axis R10 up: stretched by 1 / cos(inclination) along R10."""
        if not self.rotation:
            return dx, dy
        across = dx * p["cos_spa"] + dy * p["sin_spa"]
        return across, (dy * p["cos_spa"] - dx * p["sin_spa"]) * p["stretch"]

    def unwound(self, dx: Tensor, dy: Tensor, p: Numbers) -> tuple[Tensor, Tensor]:
        """Offsets in the disc, turned back by the winding angle at their radius (Peng et al. 2010, eq. 26 to 28)."""
        if not self.rotation:
            return dx, dy
        reach = (dx * dx + dy * dy).clamp(min=SMALLEST**2).sqrt()
        inside = reach / p["wind_out"]
        onset = ((p["wind_rate"] * (inside - 1) + 2).tanh() + 1) / 2
        if self.rotation == "power":
            growth = (p["wind_alpha"] * ((inside + 1) / 2).clamp(min=SMALLEST).log()).exp()
        else:
            growth = (reach / p["wind_scale"] + 1).clamp(min=SMALLEST).log()
        angle = p["swing"] * onset * growth
        sin, cos = angle.sin(), angle.cos()
        return dx * cos + dy * sin, dy * cos - dx * sin

    def axes(self, dx: Tensor, dy: Tensor, p: Numbers) -> tuple[Tensor, Tensor]:
        """Coordinates along and across the major axis, pixels; the first points opposite to the direction PA."""
        return dx * p["sin_pa"] - dy * p["cos_pa"], dx * p["cos_pa"] + dy * p["sin_pa"]

    def bent(self, major: Tensor, across: Tensor, scale: Tensor, p: Numbers) -> Tensor:
        """The coordinate across, with sum_m B_m (major / scale)^m added (Peng et al. 2010, eq. 25)."""
        for m in self.bending:
            across = across + p[f"b{m}"] * (major / scale) ** m
        return across

    def radius(self, major: Tensor, across: Tensor, p: Numbers) -> Tensor:
        """Generalised radius in pixels along the major axis.

        r0 = (|x|^(C0+2) + |y/q|^(C0+2))^(1/(C0+2)), r = r0 (1 + sum_m a_m cos(m (azimuth - phase_m))); Athanassoula
        et al. 1990; Peng et al. 2010, eq. 3 and 23.
        """
        minor = across / p["q"]
        if self.c0:
            power = p["c0"] + 2
            first, second = major.abs().clamp(min=SMALLEST), minor.abs().clamp(min=SMALLEST)
            radius = (first**power + second**power) ** (1 / power)
        else:
            radius = (major * major + minor * minor).clamp(min=SMALLEST**2).sqrt()
        if self.fourier:
            at_centre = (major == 0) & (minor == 0)  # where there is no azimuth
            radius = (radius * self._ripple(minor.atan2(major + at_centre), p)).clamp(min=SMALLEST)
        return radius

    def _ripple(self, azimuth: Tensor, p: Numbers) -> Tensor:
        """The radius over that of the ellipse: 1 + sum_m a_m cos(m (azimuth - phase_m))."""
        factor = azimuth.new_ones(())
        for m in self.fourier:
            factor = factor + p[f"f{m}_amp"] * (m * azimuth - p[f"f{m}_turn"]).cos()
        return factor

    def area(self, p: Numbers, *, exact: bool = False) -> Tensor | float:
        """Area of a circle over that of the contour r = 1 of q = 1 on the sky: what the flux is multiplied by.

        C0 alone: pi c / (4 B(1/c, 1 + 1/c)), c = C0 + 2 (Peng et al. 2010, eq. 7).  Fourier modes: 1 / <1 / g^2>, g
        the radius over that of the circle, averaged over the azimuth.  With both, GALFIT averages over the first and
        third quadrant of its frame and forgets the other two, which makes a component about twice as bright.

        Args:
            p: (B,) parameters and :meth:`derived`.
            exact: average over the whole circle there too.
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
        azimuths, weights = _circle() if not self.c0 else _quadrants((0, 1, 2, 3) if exact else (0, 2))
        columns = {name: number[:, None] for name, number in p.items()}
        azimuth = p[f"f{self.fourier[0]}_amp"].new_tensor(azimuths)
        radius = self._ripple(azimuth, columns)
        if self.c0:
            power = columns["c0"] + 2
            radius = radius * (azimuth.cos().abs() ** power + azimuth.sin().abs() ** power) ** (1 / power)
        return 1 / (azimuth.new_tensor(weights) / radius**2).sum(1)


@cache
def _circle() -> tuple[list[float], list[float]]:
    """Azimuths and weights for the mean over the circle."""
    return [2 * math.pi * k / CIRCLE_NODES for k in range(CIRCLE_NODES)], [1 / CIRCLE_NODES] * CIRCLE_NODES


@cache
def _quadrants(which: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """The same over some quadrants, their integral divided by the whole circle; C0 leaves kinks between them."""
    nodes, weights = np.polynomial.legendre.leggauss(QUADRANT_NODES)
    azimuths = [math.pi / 2 * (k + (float(node) + 1) / 2) for k in which for node in nodes]
    return azimuths, [float(weight) / 8 for _ in which for weight in weights]

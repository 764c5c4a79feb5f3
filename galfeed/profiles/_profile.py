"""The record that every file of this folder fills in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from galfeed.job import Component, ParamSpec

if TYPE_CHECKING:
    from torch import Tensor

POSITION_STEP = 25.0  # pixels an iteration, as in GALFIT
ANGLE_STEP = 60.0  # degrees
MAGNITUDE_STEP = 3.0
FACTOR = math.log(3.0)  # a size, index or axis ratio changes by no more than this factor in an iteration
SMALLEST_SIZE = 0.01  # pixels, as in GALFIT
INDICES = (0.02, 50.0)
SLOPES = (-10.0, 10.0)
SLOPE_STEP = 1.0

IMAGE, STEEP = "", "steep"
"""Planes of ``Profile.by_square``."""

BREAK = "break"
"""Anchor of a surface brightness at the break radius of the truncation."""

X = ParamSpec("1", "xc", "XC", "X center [pixel]", "  Position x, y", "pix", step=POSITION_STEP)
Y = ParamSpec("2", "yc", "YC", "Y center [pixel]", "", "pix", step=POSITION_STEP)
AXIS_RATIO = ParamSpec(
    "9", "q", "AR", "Axis ratio (b/a)", "  Axis ratio (b/a)  ", limits=(0.01, 100.0), positive=True, step=FACTOR
)
POSITION_ANGLE = ParamSpec(
    "10",
    "pa",
    "PA",
    "Position Angle (PA) [degrees: Up=0, Left=90]",
    "  Position angle (PA) [deg: Up=0, Left=90]",
    "deg",
    step=ANGLE_STEP,
)


X_SPACED = replace(X, menu=X.menu + " ")  # so GALFIT prints it for some functions


@dataclass(frozen=True)
class Blank:
    """A line of a menu that a function does not use.

    Args:
        menu: comment of the line, after ``#``, verbatim.
        value: what a restart file holds there; None: what the menu held.
        toggle: what a restart file holds there.
    """

    menu: str = "     ----- "
    value: float | None = None
    toggle: int = 0


@dataclass(frozen=True)
class Sampling:
    """GALFIT's sub-pixel grid: N x N mid-points a pixel, N from the elliptical radius r of the pixel's centre.

    r < 1: ``inner``, or, where ``core_size`` names a length, int(core_count / (length * q)) kept within ``inner`` and
    100; r < ``inner_radius``: ``inner``; r < ``limit``: nint(count / r); beyond: 1.

    Args:
        largest_core_size: length * q beyond which the core is sampled like its surroundings.
        accurate: ``inner`` is so fine that any accurate quadrature gives the same.
        gauss_from: smallest axis ratio for which a few Gauss-Legendre nodes are accurate outside the core.
    """

    inner: int = 20
    inner_radius: float = 4.0
    count: float = 20.0
    limit: float = 10.0
    core_size: str = ""
    core_count: float = 20.0
    largest_core_size: float = math.inf
    accurate: bool = False
    gauss_from: float = 0.0


@dataclass(frozen=True)
class Profile:
    """One function of GALFIT.

    Args:
        name: after ``0)`` in a menu.
        params: its parameters in the order of the header, x and y included.
        surface: what ``3)`` becomes for the variants 1, 2 and 3, where that differs.  In the header it is a
            truncation that decides, see :meth:`header_specs`.
        kind: "radial" (a function of the elliptical radius), "edge" (of the coordinates along and across the major
            axis), "point" (the PSF itself) or "background" (of x, y).
        intensity: radial kinds: f(r, **shape) with the numbers of ``params`` (key 4 to 8) and of ``derived`` by
            name; edge: f(u, v, **shape); background: f(dx, dy, **params) in ADU.  Elementwise in tensors of one shape.
        by_square: of radial kinds, planes that the light and its slopes are made of, by the squared radius, the
            logarithm of an amplitude, the shape, and whether slopes are wanted: ``IMAGE`` the intensity, ``STEEP`` its
            fall with the logarithm of the radius up to a factor, and others; left out, it is drawn on the general path
            alone.
        by_basis: of the shape, how the slopes are made of these planes: {argument: {plane: factor (B,)}}, that by the
            logarithm of the radius, with its sign changed, under "log".
        derived: numbers made of the shape parameters before ``intensity``, by name, such as kappa(n).
        exact: the same where GALFIT's differ from the exact ones.
        total: integral of the intensity over the plane for q = 1, in square pixels; None: ``3)`` is always a
            surface brightness.
        anchors: for each variant (0 too where ``total`` is None) the name of the radius at which ``3)`` is the
            surface brightness, "" for the centre, ``BREAK`` for the break radius of the truncation; where left out
            that for 3, the centre for the others.
        scale: the length that bending modes are measured in; where left out ``4)``.
        edge: the radius beyond which there is no light.
        sampling: GALFIT's sub-pixel rule.
        cusp: the sub-sample nearest the centre is replaced by the mean over its area (sersic and devauc).
        blanks: lines of the menu that the function does not use, by key, where they differ from ``Blank()``.
        lag: a factor of the slope by r that GALFIT takes from the sample before, (r, **shape).
        galfit: the values of ``derived`` made to have the derivatives that GALFIT's fits and error bars come from.
    """

    name: str
    params: tuple[ParamSpec, ...]
    surface: Mapping[int, ParamSpec] = field(default_factory=dict)
    kind: Literal["radial", "edge", "point", "background"] = "radial"
    intensity: Callable[..., Tensor] | None = None
    by_square: Callable[..., dict[str, Tensor]] | None = None
    by_basis: Callable[..., dict[str, dict[str, Tensor]]] | None = None
    derived: Callable[..., dict[str, Any]] | None = None
    exact: Callable[..., dict[str, Any]] | None = None
    total: Callable[..., Tensor] | None = None
    anchors: Mapping[int, str] = field(default_factory=dict)
    scale: str = ""
    edge: str = ""
    sampling: Sampling = Sampling()
    cusp: bool = False
    blanks: Mapping[str, Blank] = field(default_factory=dict)
    lag: Callable[..., Tensor] | None = None
    galfit: Callable[..., dict[str, Any]] | None = None

    def meaning(self, component: Component) -> int:
        """The variant that decides what ``3)`` is: the digit of the name, else what a truncation makes of it."""
        return component.variant or (3 if component.inner else 1 if component.outer else 0)

    def specs(self, variant: int = 0) -> tuple[ParamSpec, ...]:
        """The parameters of one variant (``sersic2`` is variant 2), in the order of the header."""
        usual = {1: CENTRAL, 2: CENTRAL, 3: AT_BREAK} if self.total else {}
        other = self.surface.get(variant, usual.get(variant))
        return tuple(other if other and s.key == "3" else s for s in self.params)

    def anchor(self, variant: int) -> str:
        """Where ``3)`` of a variant is the surface brightness, see ``anchors``."""
        return self.anchors.get(variant, BREAK if variant == 3 else "")

    @property
    def bending_scale(self) -> str:
        """Name of the length that bending modes are measured in."""
        return self.scale or next(spec.name for spec in self.params if spec.key == "4")

    def header_specs(self, component: Component) -> tuple[ParamSpec, ...]:
        """The parameters as the FITS header names them.

        There ``3)`` is the brightness at the break radius for any inner truncation and the central one for an
        outer truncation alone, whatever the digit, and without truncation a digit 1 counts for nothing.
        """
        variant = 3 if component.inner else 1 if component.outer else component.variant
        return self.specs(0 if variant == 1 and not component.outer else variant)

    def spec(self, key: str, variant: int = 0) -> ParamSpec | None:
        """The parameter at a menu key, None where the function has none."""
        return next((s for s in self.specs(variant) if s.key == key), None)


def magnitude(comment: str = "Integrated magnitude") -> ParamSpec:
    return ParamSpec("3", "mag", "MAG", comment, "  Integrated magnitude ", "mag", step=MAGNITUDE_STEP)


def surface_brightness(header: str, comment: str, menu: str) -> ParamSpec:
    return ParamSpec("3", "mu", header, comment, menu, "mag", step=MAGNITUDE_STEP)


CENTRAL = surface_brightness(
    "MU_0", "Central surface brightness [mag/arcsec^2]", "  Central surface brghtness [mag/arcsec^2]"
)


def size(name: str, header: str, comment: str, menu: str, key: str = "4") -> ParamSpec:
    """A size, pixels."""
    return ParamSpec(
        key, name, header, comment, menu, "pix", limits=(SMALLEST_SIZE, math.inf), positive=True, step=FACTOR
    )


def index(
    header: str,
    comment: str,
    menu: str,
    limits: tuple[float, float] = INDICES,
    key: str = "5",
    name: str = "n",
) -> ParamSpec:
    """A positive exponent; the n at ``5)`` if not said otherwise."""
    return ParamSpec(key, name, header, comment, menu, limits=limits, positive=True, step=FACTOR)


AT_BREAK = surface_brightness(
    "MUBRK",
    "Surf. brghtnss @ the break radius [mag/arcsec^2]",
    "  Surface brghtnss @ outer R_break [mag/arcsec^2]",
)
AT_BREAK_RADIUS = replace(AT_BREAK, comment="Surf. brghtnss @ break radius [mag/arcsec^2]")

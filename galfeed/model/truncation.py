"""Truncations ``T0)``: factors between 0 and 1 that cut a component on the inside or on the outside.

Peng et al. 2010 (AJ 139, 2097), section 5.4; constants and the choice of coordinates are probed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from galfeed.job import Component, ParamSpec
from galfeed.model.shape import Numbers, Shape
from galfeed.profiles._profile import AXIS_RATIO, FACTOR, POSITION_ANGLE, SMALLEST_SIZE, X_SPACED, Y

if TYPE_CHECKING:
    from torch import Tensor

INNER_BREAK = ParamSpec(
    "4",
    "rbrk",
    "RBRK",
    "Break radius (99% normal flux) [pixels]",
    "  Break radius (99% normal flux)    [pixels]",
    "pix",
    limits=(SMALLEST_SIZE, float("inf")),
    positive=True,
    step=FACTOR,
)
SOFTENING = replace(
    INNER_BREAK,
    key="5",
    name="dsft",
    header="DSFT",
    comment="Softening length (1% normal flux) [pixels]",
    menu="  Softening length (1% normal flux) [pixels]",
)
OUTER_BREAK = replace(
    SOFTENING,
    name="rsft",
    header="RSFT",
    comment="Softening radius (1% normal flux) [pixels]",
    menu="  Outer break radius (99% or 1%)   [pixels]",
)


def specs(name: str) -> tuple[ParamSpec, ...]:
    """T1 (x and y), T4, T5, T9 and T10 of a truncation such as "radial2-b"."""
    if "2" in name:
        radii = (replace(INNER_BREAK, menu="  Inner break radius (1% or 99%)   [pixels]"), OUTER_BREAK)
    else:
        radii = (INNER_BREAK, SOFTENING)
    return (
        X_SPACED,
        Y,
        *radii,
        replace(AXIS_RATIO, menu="  Axis ratio (optional)"),
        replace(POSITION_ANGLE, menu="  Position angle (optional) [deg: Up=0, Left=90]"),
    )


def ordered(component: Component) -> Component:
    """The component with the smaller of two break radii first, as fit.log and restart files have it after a fit."""
    if not (component.is_truncation and "2" in component.name):
        return component
    first, second = component.parameter("4"), component.parameter("5")
    return component.updated({"4": second, "5": first}) if first.value > second.value else component


SHARPNESS, CENTRE = 4.95, 2.65  # probed to 1e-6; the manual has 4.98
FAINTEST = 1e-10  # what is left at least, and where both radii are the same (probed)

Along = Literal["radial", "length", "height"]


@dataclass(frozen=True)
class Truncation:
    """One truncation of one component.

    Args:
        number: of its block.
        inner: cuts the inside, else the outside.
        along: what it depends on: the radius, or the coordinate along or across an edge-on disk.
        pair: ``4)`` and ``5)`` are the two radii ("radial2"), else a radius and a length.
        on_sky: seen in the plane of the sky, also where the component is an inclined spiral ("-b").
        shape: its own hidden parameters.
        own_centre, own_ellipse: whether ``1)`` and ``9)`` are given.
    """

    number: int
    inner: bool
    along: Along
    pair: bool
    on_sky: bool
    shape: Shape
    own_centre: bool
    own_ellipse: bool

    @classmethod
    def of(cls, component: Component, inner: bool, edge_on: bool) -> Truncation:
        """The truncation that a block is for an edge-on disk or for another component: there all are radial."""
        name = component.word
        along: Along = "radial"
        if edge_on and not name.startswith("radial"):
            along = "length" if name.startswith("length") else "height"
        return cls(
            component.number,
            inner,
            along,
            "2" in name,
            name.endswith("-b"),
            replace(Shape.of(component), rotation=""),  # without effect on a truncation
            component.slots[0] is not None,
            component.slots[8] is not None,
        )

    def name(self, own: str) -> str:
        """A number of this truncation among those of the component."""
        return f"t{self.number}_{own}"

    def own(self, p: Numbers) -> dict[str, Tensor]:
        """The numbers of this truncation, by their own names."""
        begin = self.name("")
        return {name.removeprefix(begin): number for name, number in p.items() if name.startswith(begin)}

    def ends(self, own: Numbers) -> tuple[Tensor, Tensor]:
        """Radii at which the profile has 1 % and 99 % of its light; inner: from the inside, outer: from the outside.

        Returns:
            (a, b), a < b unless a fit has gone astray.
        """
        first = own["rbrk"]
        if self.pair:  # in the order of the menu: GALFIT sorts them when it reads it, and never again
            return first, own["rsft"]
        return (first - own["dsft"], first) if self.inner else (first, first + own["dsft"])

    def break_radius(self, own: Numbers) -> Tensor:
        """Where an inner truncation has the surface brightness of ``3)``; of two radii the outer (probed)."""
        return own["rsft"] if self.pair else own["rbrk"]

    def derived(self, p: Numbers) -> dict[str, Tensor]:
        """Numbers (B,) made of the parameters once an image."""
        own = self.own(p)
        if not self.own_ellipse:
            own.pop("pa", None)  # an angle counts only beside an axis ratio
        a, b = self.ends(own)
        rate = CENTRE - SHARPNESS * b / (b - a)
        made = {"level": rate, "slope": (2 - rate) / b}
        if self.along == "radial":
            made |= self.shape.derived(own)
            if self.own_ellipse and "pa" not in own:
                made |= {"sin_pa": rate.new_zeros(rate.shape), "cos_pa": rate.new_ones(rate.shape)}
            if self.shape.bending:
                made["scale"] = self.break_radius(own) if self.inner else own["rbrk"]
        return {self.name(name): number for name, number in made.items()}

    def factor(self, radius: Tensor, own: Numbers) -> Tensor:
        """What of the light is left: P = (tanh((2 - B) r / b + B) + 1) / 2 inside, 1 - P outside.

        B = 2.65 - 4.95 b / (b - a).
        """
        inside = ((own["slope"] * radius + own["level"]).tanh() + 1) / 2
        left = inside if self.inner else 1 - inside
        return left.nan_to_num(FAINTEST).clamp(min=FAINTEST)

    def radius(self, dx: Tensor, dy: Tensor, own: Numbers, floor: float) -> Tensor:
        """Its own generalised radius of offsets from its centre, pixels."""
        major, across = self.shape.axes(dx, dy, own)
        across = self.shape.bent(major, across, own["scale"], own) if self.shape.bending else across
        return self.shape.radius(major, across, own, floor)

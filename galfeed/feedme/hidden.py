"""Tables of what a component may have beside the parameters of its function: hidden parameters and truncations.

As for the functions (``galfeed.profiles``), parser and writers read these tables.  The texts are GALFIT's, verbatim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from galfeed.job import Component, ParamSpec, Unit
from galfeed.model.shape import C0
from galfeed.profiles import PROFILES
from galfeed.profiles._profile import AXIS_RATIO, POSITION_ANGLE, X_SPACED, Y


def bending(n: int) -> ParamSpec:
    text = f"Bending mode {n} amplitude"
    return ParamSpec(f"b{n}", f"b{n}", f"B{n}", text, f"  {text}", "pix")


def fourier(n: int) -> tuple[ParamSpec, ParamSpec]:
    """Amplitude and phase of a mode; the menu has them on one line."""
    text = f"Azimuthal Fourier mode {n}"
    menu = f"  Azim. Fourier mode {n}, amplitude, & phase angle"
    return (
        ParamSpec(f"f{n}a", f"f{n}_amp", f"F{n}", f"{text} amplitude", menu),
        ParamSpec(f"f{n}p", f"f{n}_phase", f"F{n}PA", f"{text} phase angle", menu, "deg"),
    )


def rotation(function: str) -> tuple[ParamSpec, ...]:
    """R1 to R4, R9 and R10 of a coordinate rotation, "power" or "log"."""

    def spec(k: int, name: str, unit: Unit, comment: str, menu: str) -> ParamSpec:
        return ParamSpec(f"r{k}", name, name.removeprefix("r_").upper(), comment, f"  {menu}", unit)

    scale = "Logarithmic winding scale radius"
    return (
        spec(1, "rin", "pix", "Inner (const. PA) radius [pixels]", "Spiral inner radius [pixels]"),
        spec(2, "rout", "pix", "Outer (const. PA) radius [pixels]", "Spiral outer radius [pixels]"),
        spec(
            3, "rang", "deg", "Total rotation angle out to Rout [deg]", "Cumul. rotation out to outer radius [degrees]"
        ),
        spec(4, "r_alpha", "", "Asymptotic spiral powerlaw", "Asymptotic spiral powerlaw ")
        if function == "power"
        else spec(4, "rws", "pix", f"{scale} [pixels]", f"{scale} "),
        spec(9, "incl", "deg", "Inclination angle to line of sight [deg]", "Inclination to L.o.S. [degrees]"),
        spec(10, "spa", "deg", "Projected disk position angle [deg]", "Sky position angle"),
    )


INNER_BREAK = ParamSpec(
    "4",
    "rbrk",
    "RBRK",
    "Break radius (99% normal flux) [pixels]",
    "  Break radius (99% normal flux)    [pixels]",
    "pix",
)
SOFTENING = ParamSpec(
    "5",
    "dsft",
    "DSFT",
    "Softening length (1% normal flux) [pixels]",
    "  Softening length (1% normal flux) [pixels]",
    "pix",
)
OUTER_BREAK = replace(
    SOFTENING,
    name="rsft",
    header="RSFT",
    comment="Softening radius (1% normal flux) [pixels]",
    menu="  Outer break radius (99% or 1%)   [pixels]",
)


def truncation(name: str) -> tuple[ParamSpec, ...]:
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


def hidden(component: Component) -> Iterator[ParamSpec]:
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


def header_specs(component: Component) -> dict[str, ParamSpec]:
    """The numbers of a component that the FITS header shows, by menu key, in the order of the header."""
    if component.is_truncation:
        given = {key for key, _ in component.parameters()} - {"10"}
        if "9" in given:
            given.add("10")  # 0 where it is not given; without an axis ratio it has no effect and is not shown
        own = tuple(spec for spec in truncation(component.name) if spec.key in given)
    else:
        own = PROFILES[component.kind].header_specs(component)
    return {spec.key: spec for spec in (*own, *hidden(component))}

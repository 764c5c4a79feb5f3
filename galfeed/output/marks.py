"""How GALFIT's outputs mark a number: free, ``[fixed]``, ``{tied}`` or ``*suspicious*``; and how they format it.

GALFIT holds its parameters in single precision and judges and prints them so; the thresholds below were probed with
such numbers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import NamedTuple

from galfeed.job import Component, Job, Parameter
from galfeed.profiles import PROFILES

Region = tuple[int, int, int, int]
"""(xmin, xmax, ymin, ymax) of the fitting region after clipping, pixels from 1."""


class Mark(NamedTuple):
    """What stands before and after a number."""

    open: str = ""
    close: str = ""


FREE = Mark()
FIXED = Mark("[", "]")
TIED = Mark("{", "}")
SUSPICIOUS = Mark("*", "*")

TOUCHING = 0.1  # pixels

_SINGLE = struct.Struct("f")

# Suspicious values by menu key; what is not named here never is.
_RULES: dict[str, Callable[[float], bool]] = {
    "3": lambda magnitude: magnitude > 30,
    "4": lambda size: size <= 0.5,
    "5": lambda index: index < 0.05 or index >= 10,
    "6": lambda power: power >= 10,
    "7": lambda power: power >= 10,
    "9": lambda q: q < 0.1,
    "r4": lambda winding: abs(winding) >= 5,
    "r9": lambda inclination: abs(inclination) < 5,
}


def mark(component: Component, key: str, parameter: Parameter, region: Region) -> Mark:
    """The mark of one number of a component.  Only free numbers are ever suspicious."""
    if parameter.tied:
        return TIED
    if parameter.toggle <= 0:
        return FIXED
    doubt = suspicious(component, key, parameter.value, region) or touching(component, key)
    return SUSPICIOUS if doubt else FREE


def suspicious(component: Component, key: str, value: float, region: Region) -> bool:
    """Whether GALFIT would star a value: a position outside the region, a size, index or axis ratio too small, ...

    Every number counts, also those that the function does not use: the unused ``5)`` of an expdisk is 0, too small
    for an index.
    """
    if component.kind == "sky":
        return False
    value = single(_held(component, key, value))
    if key in ("1", "2"):
        if component.is_truncation and not component.name.startswith("radial"):
            return False
        low, high = region[:2] if key == "1" else region[2:]
        return not low - 1 <= value <= high
    if key.startswith("b"):
        return abs(value) < 0.01
    if key.startswith("f"):
        return key.endswith("a") and abs(value) < 0.001
    if key == "5" and (component.is_truncation or component.kind == "edgedisk"):
        key = "4"  # a length
    rule = _RULES.get(key)
    return rule is not None and rule(value)


def touching(component: Component, key: str) -> bool:
    """Whether a number is one of the radii of a radial2 that are less than ``TOUCHING`` apart."""
    if not (component.name.startswith("radial2") and key in ("4", "5")):
        return False
    return abs(single(component.parameter("5").value) - single(component.parameter("4").value)) < TOUCHING


def flagged(component: Component, key: str, value: float, region: Region) -> bool:
    """Whether a suspicious value is starred in the header and raises flag 2: not the own numbers of length and height.

    The other outputs star those too.
    """
    blind = component.is_truncation and not component.name.startswith("radial") and key.isdecimal()
    return not blind and suspicious(component, key, value, region)


def _held(component: Component, key: str, value: float) -> float:
    """The value that GALFIT holds for a number: 4 for the index of a devauc, whatever the menu says."""
    if component.is_truncation:
        return value
    blank = PROFILES[component.kind].blanks.get(key)
    return value if blank is None or blank.value is None else blank.value


def numerical_problem(job: Job, region: Region) -> bool:
    """GALFIT's flag 2: some number of some component is suspicious, whether it is free, fixed or not even used."""
    return any(
        flagged(component, key, parameter.value, region)
        for component in job.components
        for key, parameter in component.parameters()
    )


def header_value(parameter: Parameter, mark: Mark, *, hidden: bool = False) -> str:
    """Value of a parameter's card: ``46.5265 +/- 0.0220``, ``[30.0000]``, ``{34.0144}`` or ``*24.4751* +/- *3.0821*``.

    Args:
        hidden: C0, bending, Fourier modes and rotation, whose small values are not written with an exponent.
    """
    value = single(parameter.value)
    form = "%.4f" if abs(value) >= 0.01 or hidden else "%.3e"
    text = f"{mark.open}{form % value}{mark.close}"
    if mark in (FIXED, TIED):
        return text
    return f"{text} +/- {mark.open}{form % single(parameter.error)}{mark.close}"


def single(value: float) -> float:
    """A number rounded to single precision."""
    try:
        rounded: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return rounded

"""The header words of a component's numbers, for files that name them by their place only: logs and menus."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from galfeed.job import BendingMode, Component, FourierMode, Parameter, Rotation
from galfeed.model import shape
from galfeed.output.fitlog import COLUMNS
from galfeed.profiles import PROFILES
from galfeed.tables import header_specs

GALFIT_2 = {"XCENT": "XC", "YCENT": "YC", "C": "C0", "DSKYDX": "DSDX", "DSKYDY": "DSDY"}
"""Words of GALFIT 2 that GALFIT 3 has changed."""

CORSER = {
    "1": "XC", "2": "YC", "3": "MU", "4": "RB", "5": "ALPHA", "6": "GAMMA", "7": "RE", "8": "N", "9": "AR", "10": "PA"
}  # fmt: skip
"""The core-Sersic function of GALFITM, in the words that nuker and sersic have for the same numbers."""

FUNCTIONS = (*PROFILES, "corser")
"""All that may come after ``0)`` but truncations."""

WITHOUT_CARD = {("devauc", "5"): "N", ("king", "3"): "MU_0"}
"""Numbers that logs and menus have but GALFIT's header has not."""


class Hidden(NamedTuple):
    """Which hidden parameters a component has: orders of the modes, C0, and the function of its rotation."""

    bending: tuple[int, ...] = ()
    c0: bool = False
    fourier: tuple[int, ...] = ()
    rotation: str = ""


NONE = Hidden()


def known(name: str) -> bool:
    """Whether a name is that of a function; GALFIT looks at the start of the word only."""
    return name == "corser" or name.startswith(tuple(PROFILES))


@cache
def of_name(name: str, hidden: Hidden = NONE) -> dict[str, str]:
    """Header words by menu key of a component under its printed name, such as ``sersic3 /``."""
    word, _, signs = name.partition(" ")
    number = Parameter(0.0)
    component = Component(
        number=0,
        name=word,
        slots=(number,) * 10,
        c0=number if hidden.c0 else None,
        bending=tuple(BendingMode(n, number) for n in hidden.bending),
        fourier=tuple(FourierMode(n, number, number) for n in hidden.fourier),
        rotation=Rotation(hidden.rotation, (number,) * 10) if hidden.rotation else None,
        inner=(0,) * signs.count("/"),
        outer=(0,) * signs.count("\\"),
    )
    return of_component(component)


def of_component(component: Component) -> dict[str, str]:
    """Header words by menu key, in the order of the header.

    Where a hidden parameter has the same word as a number of the function (``ALPHA`` of a power-law rotation and of a
    nuker, king or ferrer, ``ROUT`` of a rotation and of a ferrer) it has it alone, as in GALFIT's header; the other's
    gets its menu key behind it: ``ALPHA5``.
    """
    if component.kind == "corser":
        own, hidden = dict(CORSER), {spec.key: spec.header for spec in shape.specs(component)}
    else:
        specs = header_specs(component)
        own = {key: spec.header or WITHOUT_CARD[component.kind, key] for key, spec in specs.items() if key.isdecimal()}
        hidden = {key: spec.header for key, spec in specs.items() if not key.isdecimal()}
    for (kind, key), word in WITHOUT_CARD.items():
        if kind == component.kind:
            own.setdefault(key, word)
    return {key: f"{word}{key}" if word in hidden.values() else word for key, word in own.items()} | hidden


def overwritten(name: str, rotation: str) -> list[str]:
    """Words that a component and its rotation, "power" or "log", have both."""
    alone, rotated = of_name(name), of_name(name, Hidden(rotation=rotation))
    return [word for key, word in alone.items() if rotated[key] != word]


@cache
def log_keys(kind: str) -> tuple[str, ...]:
    """Menu keys of the numbers on a function's line of ``fit.log``, in order."""
    columns = COLUMNS.get(kind)
    return tuple(of_name(kind)) if columns is None else tuple(key for key, *_ in columns if key)

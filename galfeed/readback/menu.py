"""Read a restart file, or any other menu, as a fit: by ``galfeed.feedme``, or, if it is GALFITM's, by ``bands``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath

from galfeed import feedme, job
from galfeed.errors import Place, UnreadableError
from galfeed.feedme.block import ABSENT, SMALLEST_AMPLITUDE
from galfeed.job import Parameter
from galfeed.output.header import CENTRE, region_centre, users
from galfeed.readback import bands, words
from galfeed.readback.bands import Menu
from galfeed.readback.record import Component, Mark, Result, Value, Values

_NUMBER = r"([-+]?(?:\d+\.\d+|nan|inf))"
_INIT = re.compile(r"#\s*Input menu file:[ \t]*(.*)")
_FIT = re.compile(rf"#\s*Chi\^2/nu = *{_NUMBER}, +Chi\^2 = *{_NUMBER}, +Ndof = *(-?\d+)")
_RULE = re.compile(r"^={80}\s*$", re.MULTILINE)
_KEY = re.compile(r"^\s*(0\)|T0\)|[A-K]\)|1\))\s", re.MULTILINE)
_OLD = re.compile(r"^\s*8\).*#.*axis ratio", re.MULTILINE | re.IGNORECASE)
OLD_KEYS = {"8": "AR", "9": "PA", "10": "C0"}
"""Where GALFIT 2 has what GALFIT 3 has at 9), 10) and C0)."""


def is_menu(text: str) -> bool:
    """Whether some line of a text is one of a menu's."""
    return bool(_KEY.search(text))


def parse(text: str, path: str) -> Result:
    """The fit that a restart file holds, or what a menu asks for.

    Numbers have no error bars here.  The position of a sky is the centre of the region, as in the other files.  A menu
    in the numbering of GALFIT 2 is told by its comments: ``8)`` is the axis ratio.

    Args:
        text: of the menu.
        path: its name, for the result and for messages.

    Raises:
        UnreadableError: a restart file that is cut short, or a menu of GALFITM that cannot be read.
        FeedmeError: any other menu that cannot be read.
    """
    init, fit = _INIT.search(text), _FIT.search(text)
    written = init is not None or fit is not None
    if written and len(_RULE.findall(text)) == 1:
        last = text.rstrip().count("\n") + 1
        raise UnreadableError(path, Place(last), "the restart file is cut short here, expected it to end with ====")
    menu = bands.parse(text, path, written) if bands.are_in(text) else _one_band(text, path, written)
    return Result(
        path=path,
        place=Place(1),
        kind="menu",
        program=menu.program,
        components=menu.components,
        image=menu.image,
        section=menu.section,
        init=init[1].strip() if init else "",
        restart=PurePath(path).name if written else "",
        output=menu.output,
        chi2=float(fit[2]) if fit else None,
        ndof=int(fit[3]) if fit else None,
        chi2nu=float(fit[1]) if fit else None,
        bands=menu.bands,
        remarks=menu.remarks,
    )


def _one_band(text: str, path: str, written: bool) -> Menu:
    """A menu of GALFIT 2 or 3."""
    read = feedme.parse(text, path)
    old, lines = bool(_OLD.search(text)), text.split("\n")
    return Menu(
        program="GALFIT 2" if old else "GALFIT 3",
        components=tuple(_component(component, read, lines, old, written) for component in read.components),
        image=read.control.data,
        output=read.control.output,
        section=read.control.region,
        remarks=read.warnings,
    )


def _component(component: job.Component, read: job.Job, lines: list[str], old: bool, written: bool) -> Component:
    names = words.of_component(component)
    if old and "9" in names:
        names = {key: word for key, word in names.items() if key not in ("9", "10")} | OLD_KEYS
    values: Values = {}
    if component.kind == "sky" and read.control.region is not None:
        centre = region_centre(read.control.region)
        values |= {word: Value(number, mark="fixed") for word, number in zip(CENTRE, centre, strict=True)}
    for key, parameter in _as_written(component, lines).items():
        if key in names and not (parameter.toggle == ABSENT and key in ("9", "10")):
            values[names[key]] = Value(parameter.value, mark=_mark(parameter, written))
    inner, outer = users(read, component.number) if component.is_truncation else (component.inner, component.outer)
    return Component(
        number=component.number,
        name=component.printed_name,
        values=values,
        rotation=component.rotation.function if component.rotation else "",
        inner=tuple(inner),
        outer=tuple(outer),
    )


def _as_written(component: job.Component, lines: list[str]) -> dict[str, Parameter]:
    """The numbers by menu key; amplitudes of 0 as they stand, though a fit would start from another value."""
    numbers = dict(component.parameters())
    for key, parameter in numbers.items():
        if key[0] in "bf" and parameter.value == SMALLEST_AMPLITUDE and _number(lines, component.place(key)) == 0:
            numbers[key] = replace(parameter, value=0.0)
    return numbers


def _number(lines: list[str], place: Place) -> float | None:
    """The number that stands at a place."""
    word = lines[place.line - 1][place.column - 1 :].split()[0]
    try:
        return float(word)
    except ValueError:
        return None


def _mark(parameter: Parameter, written: bool) -> Mark:
    """Tied numbers have toggle 2 in a restart file; elsewhere any toggle above 0 is free."""
    if parameter.tied or (written and parameter.toggle == 2):
        return "tied"
    return "free" if parameter.toggle > 0 else "fixed"

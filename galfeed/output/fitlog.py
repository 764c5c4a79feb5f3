"""The texts about a fit: GALFIT's lines for a component, and the entry of ``fit.log``.

GALFIT puts the last digits of the numbers into fixed columns.  The marks of a number, ``[ ]`` and the like, stand in
the columns beside it: the closing one takes the first column of the next field.  Numbers that do not fit widen the
line.  On stdout a ``---`` stands for what a function has not got; ``fit.log`` leaves it out.

One thing is not GALFIT's: where a component has several groups of hidden parameters, it prints the error bars of the
first group for all of them; here each number has its own, as in the header.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal, TypeVar

from galfeed.job import Component, Job, Parameter
from galfeed.model import truncation
from galfeed.output.header import parameter_at, region_centre, section, users
from galfeed.output.marks import FREE, SUSPICIOUS, Mark, Region, mark, single, suspicious, touching
from galfeed.result import FitResult
from galfeed.tables import header_specs

NAME = "fit.log"
RULE = "-" * 77

Column = tuple[str, str, int]
"""Menu key ("" for the dashes), what stands before the number, and the width up to its last digit."""

_POSITION: tuple[Column, ...] = (("1", "(", 8), ("2", ", ", 8))
_ANGLE: Column = ("10", " ", 8)
_MAGNITUDE: Column = ("3", ") ", 7)
_SIZE: Column = ("4", " ", 9)
_KING: tuple[Column, ...] = (
    *_POSITION, ("3", ") ", 6), ("4", " ", 7), ("5", " ", 7), ("6", " ", 5), ("9", " ", 6), _ANGLE
)  # fmt: skip
_SERSIC: tuple[Column, ...] = (*_POSITION, _MAGNITUDE, _SIZE, ("5", " ", 7), ("9", " ", 7), _ANGLE)
_EXPDISK: tuple[Column, ...] = (*_POSITION, _MAGNITUDE, _SIZE, ("", " ", 7), ("9", " ", 7), _ANGLE)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "sersic": _SERSIC,
    "devauc": _SERSIC,
    "moffat": _SERSIC,
    "expdisk": _EXPDISK,
    "gaussian": _EXPDISK,
    "edgedisk": (*_POSITION, _MAGNITUDE, _SIZE, ("5", " ", 7), ("", " ", 7), _ANGLE),
    "ferrer": _KING,
    "king": _KING,
    "nuker": (
        *_POSITION, ("3", ") ", 5), ("4", " ", 6), ("5", " ", 5), ("6", " ", 4), ("7", " ", 4), ("9", " ", 5), _ANGLE
    ),
    "psf": (*_POSITION, _MAGNITUDE),
}  # fmt: skip
_ROTATION: tuple[Column, ...] = (
    ("r1", ": ", 9), ("r2", " ", 9), ("r3", " ", 8), ("r4", " ", 9), ("", " ", 7), ("r9", " ", 7), ("r10", " ", 8)
)  # fmt: skip

_COMMON = {column[0]: column for column in (*_POSITION, _MAGNITUDE, _SIZE, _ANGLE)}

DEVAUC_INDEX = Parameter(4.0)
LARGE_C0 = 2.0
BENDS_A_LINE, MODES_A_LINE = 4, 3
T = TypeVar("T")
Where = Literal["stdout", "log"]
Row = Literal["value", "error"]


def _columns(component: Component) -> tuple[Column, ...]:
    """Columns of a component's line; a function that GALFIT has not got has one for each of its parameters."""
    own = (key for key in header_specs(component) if key.isdecimal())
    return COLUMNS.get(component.kind) or tuple(_COMMON.get(key, (key, " ", 7)) for key in own)


class Line:
    """A line that grows number by number.

    Args:
        text: how it begins.
        marked: the last number before it, if GALFIT still remembers one, had a closing mark.
    """

    def __init__(self, text: str, marked: bool = False) -> None:
        self.text, self.marked = text, marked

    def add(self, lead: str, width: int, number: str, mark: Mark = FREE) -> None:
        """One number, its last digit ``width`` columns behind ``lead``."""
        marked = bool(mark.close)
        self.text += lead + f"{mark.open}{number}{mark.close}".rjust(width - self.marked + marked)
        self.marked = marked


def progress_lines(component: Component, job: Job, region: Region) -> list[str]:
    """The lines of a component on stdout."""
    return _Writer(component, job, region, "stdout").lines()


def log_lines(component: Component, job: Job, region: Region) -> list[str]:
    """The lines of a component in ``fit.log``, each line of values with one of errors below."""
    return _Writer(truncation.ordered(component), job, region, "log").lines()


def entry(result: FitResult, region: Region, logfile: str) -> str:
    """What is appended to ``fit.log`` after a fit.

    Args:
        region: the fitting region after clipping.
        logfile: the restart file, such as ``galfit.01``.
    """
    job = result.job
    lines = [
        RULE,
        "",
        f"Input image     : {job.control.data}{section(region)} ",
        f"Init. par. file : {job.path} ",
        f"Restart file    : {logfile} ",
        f"Output image    : {job.control.output} ",
        "",
        *(line for component in job.components for line in log_lines(component, job, region)),
        f" Chi^2 = {result.chi2:.5f},  ndof = {result.ndof}",
        f" Chi^2/nu = {result.chi2nu:.3f} ",
        "",
        RULE,
    ]
    return "\n".join(lines) + "\n"


class _Writer:
    """Writes one component.  ``marked`` is what GALFIT remembers of the last number from one line to the next."""

    def __init__(self, component: Component, job: Job, region: Region, where: Where) -> None:
        self.component, self.job, self.region, self.where = component, job, region, where
        self.rows: tuple[Row, ...] = ("value", "error") if where == "log" else ("value",)
        self.marked = False

    def lines(self) -> list[str]:
        component = self.component
        if component.kind == "sky":
            return list(self.sky())
        found = list(self.truncation()) if component.is_truncation else list(self.light())
        for group in component.hidden_groups:
            if group == "b" and component.bending:
                found += self.bending()
            elif group == "c" and component.c0 is not None:
                found += self.c0(component.c0)
            elif group == "f" and component.fourier:
                found += self.fourier()
            elif group == "r" and component.rotation is not None:
                found += self.rotation(component.rotation.function)
        return found

    def cell(self, key: str, parameter: Parameter, row: Row, form: str = "%.2f") -> tuple[str, Mark]:
        value = parameter.value if row == "value" else parameter.error
        return form % single(value), mark(self.component, key, parameter, self.region)

    def row(self, line: Line, columns: tuple[Column, ...], row: Row) -> str:
        for key, lead, width in columns:
            if key:
                line.add(lead, width, *self.cell(key, self.parameter(key), row))
            elif self.where == "stdout":
                line.add(lead, width, "---")
        self.marked = line.marked
        return line.text

    def parameter(self, key: str) -> Parameter:
        if self.component.kind == "devauc" and key == "5":
            return DEVAUC_INDEX
        return parameter_at(self.component, key)

    def light(self) -> Iterator[str]:
        columns = _columns(self.component)
        for row in self.rows:
            start = f" {self.component.printed_name:10}: " if row == "value" else " " * 13
            text = self.row(Line(start), columns, row)
            if self.component.kind == "psf" and self.where == "stdout":
                text += ("    ---" if self.marked else "     ---") * 4
            yield text

    def sky(self) -> Iterator[str]:
        x, y = region_centre(self.region)
        for row in self.rows:
            if row == "value":
                text = f" sky       : [{x:6.2f}, {y:6.2f}]"
                lead, width = "  ", 7
            else:
                text, lead, width = " " * 32, "", 6
            for key in ("1", "2", "3"):
                parameter = self.component.parameter(key)
                form = "%.2f" if abs(single(parameter.value)) > 1 else "%.2e"
                column = Line(text)
                column.add(lead, width, *self.cell(key, parameter, row, form))
                text, lead = column.text, "  "
            yield text

    def truncation(self) -> Iterator[str]:
        name, log = self.component.name, self.where == "log"
        start = f" {name:{_name_width(name, self.where)}}: "
        start += " ".join(f"[{', '.join(map(str, who)) or 0}]" for who in users(self.job, self.component.number))
        own = [(key, parameter_at(self.component, key)) for key in header_specs(self.component) if key.isdecimal()]
        centre = [(key, parameter) for key, parameter in own if key in ("1", "2")]
        tail = own[len(centre) :]
        line = Line(start)
        for (key, parameter), (lead, width) in zip(centre, (("  (", 8), (", ", 8)), strict=False):
            line.add(lead, width, *self.cell(key, parameter, "value"))
        if name.startswith("radial") or log:
            leads = ") " if centre and log else ")  " if centre else "  "
            widths = (7, 7, 7, 7 if log else 8)
        else:  # length and height have no columns on stdout
            leads, widths = ")  " if centre else "  ", (0, 0, 0, 0)
        for (key, parameter), width in zip(tail, widths, strict=False):
            line.add(leads, width, *self.cell(key, parameter, "value"))
            leads = " "
        yield line.text
        if log:
            yield self._truncation_errors(centre, tail)

    def _truncation_errors(self, centre: list[tuple[str, Parameter]], tail: list[tuple[str, Parameter]]) -> str:
        """Here a closing mark does not shorten the next field.

        Starred are a position outside the region, and behind one whose y is outside all errors; else only radii that
        touch.
        """
        component = self.component
        columns = [("(", 6), (",   ", 6), (") ", 7)] if centre else [("", 7)]
        own = centre + tail
        columns += [(" ", 7)] * (len(own) - len(columns))
        outside = any(key == "2" and suspicious(component, key, y.value, self.region) for key, y in centre)
        text = " " * (24 if centre else 22)
        for (key, parameter), (lead, width) in zip(own, columns, strict=True):
            number, sign = self.cell(key, parameter, "error")
            if sign in (FREE, SUSPICIOUS) and key not in ("1", "2"):
                sign = SUSPICIOUS if outside or touching(component, key) else FREE
            line = Line(text)
            line.add(lead, width, number, sign)
            text = line.text
        return text

    def bending(self) -> Iterator[str]:
        for modes, row in itertools.product(_batches(self.component.bending, BENDS_A_LINE), self.rows):
            text = "   bend    : " if row == "value" else " " * 13
            for bend in modes:
                line = Line(f"{text}({bend.n}:")
                line.add(" ", 9, *self.cell(f"b{bend.n}", bend.amplitude, row, "%.2e"))
                self.marked = line.marked
                text = line.text + (") " if self.marked else ")  ")
            yield text

    def c0(self, parameter: Parameter) -> Iterator[str]:
        """GALFIT's memory of the last mark passes over this line; a large C0 is starred on stdout only."""
        log = self.where == "log"
        for row in self.rows:
            text, sign = self.cell("c0", parameter, row)
            if sign is FREE and not log and abs(single(parameter.value)) >= LARGE_C0:
                sign = SUSPICIOUS
            start = "           :" if row == "error" else "     c0    :" if log else "   c0      :"
            line = Line(start)
            line.add("  " if log else "    ", 6, text, sign)
            yield line.text + " "

    def fourier(self) -> Iterator[str]:
        for modes, row in itertools.product(_batches(self.component.fourier, MODES_A_LINE), self.rows):
            text = "   fourier : " if row == "value" else " " * 13
            for mode in modes:
                line = Line(f"{text}({mode.n}:")
                line.add("", 6, *self.cell(f"f{mode.n}a", mode.amplitude, row))
                line.add(", ", 7, *self.cell(f"f{mode.n}p", mode.phase, row))
                self.marked = line.marked
                text = line.text + (") " if self.marked else ")  ") + " " * (self.where == "stdout")
            yield text
        if self.where == "stdout":
            self.marked = False

    def rotation(self, function: str) -> Iterator[str]:
        power = function.startswith("power")
        start = "   power   " if power else "   log     " if self.where == "stdout" else "     log   "
        for row in self.rows:
            line = Line(start if row == "value" else "           ", self.marked)
            yield self.row(line, _ROTATION, row)


def _batches(modes: tuple[T, ...], size: int) -> list[tuple[T, ...]]:
    """The modes of each line."""
    return [modes[first : first + size] for first in range(0, len(modes), size)]


def _name_width(name: str, where: Where) -> int:
    """Columns of a truncation's name: 10, and by GALFIT's whim 11 for some."""
    if where == "stdout":
        return 11 if name == "radial2-b" else 10
    return 10 if name in ("radial", "length", "height") else 11

"""A component while the lines of its block are read, and the record it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from galfeed.errors import Place
from galfeed.job import (
    TRUNCATIONS,
    BendingMode,
    Component,
    FourierMode,
    Parameter,
    Rotation,
)

FREE = 1
ABSENT = -1
SMALLEST_AMPLITUDE = 0.01  # a free bending or Fourier mode of amplitude 0 starts from this


def ten_parameters() -> list[Parameter]:
    """Numbers 1 to 10 where no line gives them: 9, an axis ratio or inclination, is 1."""
    return [Parameter(1.0 if k == 9 else 0.0) for k in range(1, 11)]


def three_parameters() -> list[Parameter]:
    """Numbers of a sky where no line gives them."""
    return [Parameter(0.0) for _ in range(3)]


def truncation_parameters() -> list[Parameter]:
    """Numbers 1 to 10 of a truncation: without toggles it has no centre and no shape of its own."""
    return [Parameter(0.0, 0 if k in (4, 5) else ABSENT) for k in range(1, 11)]


def changed(old: Parameter, numbers: Sequence[float], toggles: Sequence[int]) -> Parameter:
    """The parameter after a line; what the line leaves out stays."""
    return Parameter(numbers[0] if numbers else old.value, toggles[0] if toggles else old.toggle)


@dataclass
class Block:
    """A component while its lines are read.

    Args:
        name: after ``0)`` or ``T0)``.
        slots: numbers 1 to 10 (1 to 3 of a sky).
        places: where its lines stand.
        hidden: groups of hidden parameters in the order in which they came.
    """

    name: str
    slots: list[Parameter]
    places: dict[str, Place]
    c0: Parameter | None = None
    bending: dict[int, Parameter] = field(default_factory=dict)
    fourier: dict[int, tuple[Parameter, Parameter]] = field(default_factory=dict)
    function: str = ""
    rotation: list[Parameter] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    inner: tuple[int, ...] = ()
    outer: tuple[int, ...] = ()
    skip: int = 0

    def set_position(self, numbers: Sequence[float], toggles: Sequence[int]) -> None:
        numbers = [number + 0.0 for number in numbers]  # GALFIT has no -0 here, though elsewhere
        self.slots[0] = changed(self.slots[0], numbers[:1], toggles[:1])
        self.slots[1] = changed(self.slots[1], numbers[1:], toggles[1:])

    def set_number(self, k: int, numbers: Sequence[float], toggles: Sequence[int]) -> None:
        self.slots[k - 1] = changed(self.slots[k - 1], numbers, toggles)

    def set_c0(self, numbers: Sequence[float], toggles: Sequence[int]) -> None:
        # GALFIT crashes if C0 is 0 and fixed; that is no diskyness.
        parameter = changed(Parameter(0.0, FREE), numbers, toggles)
        self.c0 = parameter if parameter.value or parameter.toggle > 0 else None
        self.note("c", self.c0 is not None)

    def set_bending(self, n: int, numbers: Sequence[float], toggles: Sequence[int]) -> None:
        old = self.bending.get(n, Parameter(0.0))
        self.bending[n] = _started(changed(Parameter(old.value, FREE), numbers, toggles))
        self.note("b", self.bending[n].value != 0)

    def set_fourier(self, n: int, numbers: Sequence[float], toggles: Sequence[int]) -> None:
        amplitude, phase = self.fourier.get(n, (Parameter(0.0), Parameter(0.0)))
        self.fourier[n] = (
            _started(changed(Parameter(amplitude.value, FREE), numbers[:1], toggles[:1])),
            changed(Parameter(phase.value, FREE), numbers[1:], toggles[1:]),
        )
        self.note("f", self.fourier[n][0].value != 0)

    def set_rotation(self, function: str) -> None:
        """Begin a rotation, "power" or "log", or end it with ""; once begun its function stays."""
        if function and not self.function:
            self.rotation = ten_parameters()
        self.function = function and (self.function or function)
        self.note("r", bool(function))
        if not function and "r" in self.hidden:
            self.hidden.remove("r")

    def set_rotation_number(self, k: int, numbers: Sequence[float], toggles: Sequence[int]) -> None:
        self.set_rotation(self.function or "log")
        self.rotation[k - 1] = changed(self.rotation[k - 1], numbers, toggles)

    def note(self, group: str, given: bool) -> None:
        if given and group not in self.hidden:
            self.hidden.append(group)

    def component(self, number: int) -> Component:
        """The finished record."""
        truncation = self.name.startswith(TRUNCATIONS)
        bending = {n: p for n, p in sorted(self.bending.items()) if _exists(p)}
        fourier = {n: both for n, both in sorted(self.fourier.items()) if _exists(both[0])}
        read = Component(
            number=number,
            name=self.name,
            slots=self.truncation_slots() if truncation else self.light_slots(),
            c0=None if self.c0 is None else _hidden(self.c0),
            bending=tuple(BendingMode(n, _hidden(p)) for n, p in bending.items()),
            fourier=tuple(FourierMode(n, _hidden(p), _hidden(phase)) for n, (p, phase) in fourier.items()),
            rotation=Rotation(self.function, tuple(map(_hidden, self.rotation))) if self.function else None,
            inner=self.inner,
            outer=self.outer,
            skip=0 if truncation else self.skip,
            places=self.places,
            hidden=tuple(self.hidden),
        )
        return read.renamed()

    def light_slots(self) -> tuple[Parameter, ...]:
        if len(self.slots) == 3:
            return tuple(map(_hidden, self.slots))
        return (*map(_present, self.slots[:8]), *self.slots[8:])

    def truncation_slots(self) -> tuple[Parameter | None, ...]:
        x, y, _, inner, outer, *_, q, pa = self.slots
        if "2" in self.name and inner.value > outer.value:
            inner, outer = outer, inner
        centre = (None, None) if x.toggle == ABSENT else (x, _present(y))
        shape = (None, None) if q.toggle == ABSENT else (q, pa)
        return (*centre, None, inner, outer, None, None, None, *shape)


def _started(amplitude: Parameter) -> Parameter:
    return Parameter(SMALLEST_AMPLITUDE, FREE) if amplitude == Parameter(0.0, FREE) else amplitude


def _exists(amplitude: Parameter) -> bool:
    return amplitude.value != 0 and amplitude.toggle != ABSENT


def _present(p: Parameter) -> Parameter:
    """Where -1 does not mean an absent parameter it is 0."""
    return Parameter(p.value) if p.toggle == ABSENT else p


def _hidden(p: Parameter) -> Parameter:
    """A hidden parameter or one of a sky: free with toggle 1 only; 2 means tied, as in restart files."""
    return Parameter(p.value, p.toggle if p.toggle in (0, FREE, 2, ABSENT) else 0, tied=p.toggle == 2)

"""Whether the constraints of a job can hold together, and whether its start keeps them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from galfeed.job import Constraint, Job, PairRange, ParamRef, Range, Tie
from galfeed.model.hygiene import canonical, clamp_sizes, period, whole_turns, with_near_phases
from galfeed.tables import header_specs

SWEEPS = 200
CLOSE = 1e-6  # to a limit, relative to the numbers: single precision


class Row(NamedTuple):
    """``low <= sum of factor * number <= high`` over numbers that stand alone."""

    factors: dict[ParamRef, float]
    low: float
    high: float


class Affine(NamedTuple):
    """A number as ``factor * root + offset``; without root it is the constant ``offset``."""

    root: ParamRef | None
    factor: float
    offset: float


IDLE = "has no effect, for what it limits is fixed or follows another"
EXCLUDED = "cannot hold together with later lines, or at all; it is left out"
AGAIN = "ties what an earlier line ties; this one holds"
CHAINED = "follows what follows another one; GALFIT 3.0.5 leaves it at its start"
MISSED = "does not hold at the start, which is moved inside"


@dataclass(frozen=True)
class Agreement:
    """What can hold.

    Args:
        kept: the constraints that act, in the order of the file; of those that exclude each other the later ones.
        odd: what to say of some, these or others.
        missed: what to say of those kept that the start does not meet.
    """

    kept: tuple[Constraint, ...]
    odd: tuple[tuple[Constraint, str], ...]
    missed: tuple[tuple[Constraint, str], ...]


def start_of(job: Job) -> Job:
    """The job in the numbers that a fit starts from, which relative ranges and ties refer to."""
    return with_near_phases(clamp_sizes(canonical(job)))


def settle(job: Job, constraints: Sequence[Constraint]) -> Agreement:
    """Sort the constraints of a job.

    Args:
        job: the menu.
        constraints: on numbers that its components have.
    """
    system = _System(start_of(job), constraints)
    ties = [c for c in constraints if isinstance(c, Tie)]
    limits = [c for c in constraints if not isinstance(c, Tie)]
    acting = [c for c in limits if system.acts(c)]
    possible: list[Range | PairRange] = []
    for limit in reversed(acting):
        if system.feasible([c for c in (*possible, limit) if c.key == limit.key]):
            possible.append(limit)
    odd: list[tuple[Constraint, str]] = [
        (c, IDLE if c not in acting else EXCLUDED) for c in limits if c not in possible
    ]
    odd += [(tie, AGAIN) for i, tie in enumerate(ties) if any(_overlap(tie, other) for other in ties[:i])]
    odd += [(tie, CHAINED) for tie in ties if any(_leads(other, tie) for other in ties)]
    kept = tuple(c for c in constraints if isinstance(c, Tie) or c in possible)
    return Agreement(kept, tuple(odd), tuple((c, MISSED) for c in limits if c in possible and not system.met(c)))


def _overlap(tie: Tie, other: Tie) -> bool:
    """Whether two lines tie the same number."""
    return tie.key == other.key and tie.line != other.line and bool({*tie.components[1:]} & {*other.components[1:]})


def _leads(tie: Tie, other: Tie) -> bool:
    """Whether the first of the other tie follows this one."""
    return tie is not other and tie.key == other.key and other.components[0] in tie.components[1:]


class _System:
    """Numbers of a job in GALFIT's canonical form, as functions of those that stand alone."""

    def __init__(self, job: Job, constraints: Iterable[Constraint]) -> None:
        self.job = job
        self.specs = tuple(map(header_specs, job.components))
        self.ties: dict[ParamRef, tuple[ParamRef, bool]] = {}
        for tie in (c for c in constraints if isinstance(c, Tie)):
            for number in tie.components[1:]:
                self.ties[ParamRef(number, tie.key)] = ParamRef(tie.components[0], tie.key), tie.kind == "ratio"

    def acts(self, constraint: Range | PairRange) -> bool:
        """Whether GALFIT lets it act: a range on what is free and follows nothing, a pair of what is not fixed."""
        if isinstance(constraint, Range):
            ref = ParamRef(constraint.component, constraint.key)
            return self.job.parameter(ref).toggle > 0 and ref not in self.ties
        numbers = constraint.first, constraint.second
        return all(self.job.parameter(ParamRef(n, constraint.key)).toggle > 0 for n in numbers)

    def value(self, ref: ParamRef) -> float:
        return self.job.parameter(ref).value

    def affine(self, ref: ParamRef) -> Affine:
        if ref not in self.ties:
            fixed = self.job.parameter(ref).toggle <= 0
            return Affine(None, 0.0, self.value(ref)) if fixed else Affine(ref, 1.0, 0.0)
        master, ratio = self.ties[ref]
        if master == ref:
            return Affine(None, 0.0, self.value(ref))
        root, factor, offset = self.affine(master)
        if ratio:
            by = self.value(ref) / self.value(master)
            return Affine(root, by * factor, by * offset)
        return Affine(root, factor, offset + self.value(ref) - self.value(master))

    def rows(self, constraint: Constraint) -> Iterator[Row]:
        if isinstance(constraint, Range):
            ref = ParamRef(constraint.component, constraint.key)
            turn = period(self.job.components[constraint.component - 1], constraint.key)
            if turn and constraint.high - constraint.low >= turn:
                return  # whatever the angle, it is in there
            base = self.value(ref) if constraint.relative else 0.0
            if turn and not constraint.relative:
                base = whole_turns(self.value(ref) - (constraint.low + constraint.high) / 2, turn)
            yield Row({ref: 1.0}, constraint.low + base, constraint.high + base)
        elif isinstance(constraint, PairRange):
            refs = (ParamRef(n, constraint.key) for n in (constraint.first, constraint.second))
            first, second = map(self.affine, refs)
            if constraint.kind == "difference":
                yield _row((first, 1.0), (second, -1.0), constraint.low, constraint.high)
                return
            sign = -1.0 if self.value(ParamRef(constraint.second, constraint.key)) < 0 else 1.0
            for end, side in ((constraint.low, 1.0), (constraint.high, -1.0)):
                if math.isfinite(end):
                    yield _row((first, sign * side), (second, -sign * side * end), 0.0, math.inf)
            yield _row((second, sign), (second, 0.0), 0.0, math.inf)

    def possible(self, constraint: Constraint) -> Iterator[Row]:
        """The least that sizes and the like may be."""
        members = []
        if isinstance(constraint, Range):
            members = [constraint.component]
        elif isinstance(constraint, PairRange):
            members = [constraint.first, constraint.second]
        for number in members:
            spec = self.specs[number - 1][constraint.key]
            own = self.affine(ParamRef(number, constraint.key))
            if spec.positive and own.root is not None:
                yield _row((own, 1.0), (own, 0.0), spec.limits[0], math.inf)

    def feasible(self, constraints: Sequence[Constraint]) -> bool:
        """Whether some numbers meet all; found by projecting the start on one after the other.

        A range of two numbers that are tied must be met from the start: no fit is to run away to where it would be.
        """
        if not all(self.met(c) for c in constraints if self.entwined(c)):
            return False
        rows = _merged(row for c in constraints for row in (*self.rows(c), *self.possible(c)))
        if any(row.low - row.high > CLOSE * (1 + abs(row.low)) for row in rows):
            return False
        point = {ref: self.value(ref) for row in rows for ref in row.factors}
        for _ in range(SWEEPS):
            worst = max((_project(point, row) for row in rows), default=0.0)
            if worst <= CLOSE:
                return True
        return False

    def entwined(self, constraint: Constraint) -> bool:
        """Whether it is a range of two numbers that are tied to each other."""
        if not isinstance(constraint, PairRange):
            return False
        first, second = (self.affine(ParamRef(n, constraint.key)).root for n in (constraint.first, constraint.second))
        return first == second

    def met(self, constraint: Constraint) -> bool:
        """Whether the start keeps a range; an angle counts modulo its period."""
        point = {ref: self.value(ref) for row in self.rows(constraint) for ref in row.factors}
        return all(_project(dict(point), row) <= CLOSE for row in self.rows(constraint))


def _merged(rows: Iterable[Row]) -> list[Row]:
    """The same with one row for all that limit the same sum."""
    merged: dict[tuple[tuple[ParamRef, float], ...], Row] = {}
    for row in rows:
        name = tuple(row.factors.items())
        known = merged.get(name, row)
        merged[name] = Row(row.factors, max(row.low, known.low), min(row.high, known.high))
    return list(merged.values())


def _row(one: tuple[Affine, float], other: tuple[Affine, float], low: float, high: float) -> Row:
    """Limits of the sum of two numbers times a factor each."""
    factors: dict[ParamRef, float] = {}
    offset = 0.0
    for (root, slope, constant), factor in (one, other):
        offset += factor * constant
        if root is not None:
            factors[root] = factors.get(root, 0.0) + factor * slope
    return Row(factors, low - offset, high - offset)


def _project(point: dict[ParamRef, float], row: Row) -> float:
    """Move a point to the nearest one that keeps a row; by how much it missed, relative to the numbers."""
    now = sum(factor * point[ref] for ref, factor in row.factors.items())
    lack = min(max(now, row.low), row.high) - now
    if lack == 0:
        return 0.0
    norm = sum(factor**2 for factor in row.factors.values())
    if norm == 0:
        return math.inf
    scale = 1 + sum(abs(factor * point[ref]) for ref, factor in row.factors.items())
    for ref, factor in row.factors.items():
        point[ref] += lack * factor / norm
    return abs(lack) / scale

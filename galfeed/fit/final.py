"""The numbers of a fit as they are shown: canonical, as far as its constraints still hold in them."""

from __future__ import annotations

from collections.abc import Sequence

from galfeed.fit.params import ELLIPSE, members
from galfeed.job import Constraint, Job, Parameter, ParamRef, Range, altered
from galfeed.model.hygiene import canonical, period, position_angle, whole_turns, with_near_phases

TURNS = 8  # tried in either sense
CLOSE = 1e-9  # degrees


def final(job: Job, start: Job, constraints: Sequence[Constraint]) -> Job:
    """A fitted job in canonical numbers.

    Size and axis ratio of a component with constraints on its ellipse stay as they are, for a constraint on one would
    not hold after the exchange.  An angle stays within its range, and linked angles are turned together.

    Args:
        job: with the numbers of the fit.
        start: with those it started from, which relative ranges refer to.
        constraints: of the fit.
    """
    shown = with_near_phases(canonical(job))
    own = [c for c in constraints if c.key in ELLIPSE]
    changes: dict[ParamRef, Parameter] = {}
    for number in {n for c in own for n in members(c)}:
        given = dict(job.components[number - 1].parameters())
        changes |= {ParamRef(number, key): given[key] for key in ELLIPSE if key in given}
        if angle := given.get("10"):
            half = period(job.components[number - 1], "10") / 2
            changes[ParamRef(number, "10")] = altered(angle, value=position_angle(angle.value, half))
    shown = shown.updated(changes)
    return shown.updated(_turned(job, shown, start, constraints))


def _turned(job: Job, shown: Job, start: Job, constraints: Sequence[Constraint]) -> dict[ParamRef, Parameter]:
    """Constrained angles: as the fit has them, or all that are linked turned by as much as the first of them."""
    groups: list[set[ParamRef]] = []
    literal: set[ParamRef] = set()
    ranges: dict[ParamRef, tuple[float, float]] = {}
    for constraint in constraints:
        refs = {ParamRef(n, constraint.key) for n in members(constraint) if _turn(job, n, constraint.key)}
        if not refs:
            continue
        if isinstance(constraint, Range):
            ref = next(iter(refs))
            base = start.parameter(ref).value if constraint.relative else 0.0
            ranges[ref] = constraint.low + base, constraint.high + base
        elif constraint.kind == "ratio":
            literal |= refs
        groups = [g for g in groups if not g & refs] + [refs.union(*(g for g in groups if g & refs))]
    changes: dict[ParamRef, Parameter] = {}
    for group in groups:
        first = min(group)
        turn = _turn(job, *first)
        turned = 0.0
        if not group & literal and all(_turn(job, *ref) == turn for ref in group):
            usual = whole_turns(shown.parameter(first).value - job.parameter(first).value, turn)
            limits = [(job.parameter(ref).value, *ranges[ref]) for ref in group if ref in ranges]
            turned = _into(usual, turn, limits)
        changes |= {ref: altered(p := job.parameter(ref), value=p.value + turned) for ref in group}
    return changes


def _turn(job: Job, number: int, key: str) -> float:
    """Degrees after which an angle means the same again; 0 for what is none, or is not there."""
    component = job.components[number - 1]
    return period(component, key) if key in dict(component.parameters()) else 0.0


def _into(usual: float, turn: float, limits: Sequence[tuple[float, float, float]]) -> float:
    """The number of degrees nearest to ``usual`` by which all angles are turned into their ranges; else ``usual``.

    Args:
        limits: (angle, lowest, highest).
    """
    steps = [usual + turn * k for k in sorted(range(-TURNS, TURNS + 1), key=abs)]
    within = (s for s in steps if all(low - CLOSE <= angle + s <= high + CLOSE for angle, low, high in limits))
    return next(within, usual)

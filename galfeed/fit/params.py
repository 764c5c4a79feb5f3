"""Between the unknowns of the fit and the numbers of the menu: what is fixed, free, tied, paired or limited.

On GALFIT's path the unknowns are the numbers themselves; sturdy fits take the logarithm of positive ones (sizes,
indices, axis ratios).  A tied number follows another one; for a pair range the unknown is the difference or ratio of
the two numbers, so that every constraint becomes a limit of one unknown and acts inside the fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from galfeed.errors import UnsupportedError
from galfeed.fit.lm import Limits
from galfeed.job import Constraint, Job, PairRange, ParamRef, Range, Tie
from galfeed.model.scene import Scene

ELLIPSE = ("4", "9", "10")  # size, axis ratio, angle
UNLIMITED = (-math.inf, math.inf)
MOST_ROUND = 1 - 1e-6  # at q = 1 the angle would have no effect at all


@dataclass(frozen=True)
class Rule:
    """How one column of values is made.

    Args:
        unknown: column of the unknowns, or None: follows ``partner`` at the constant ``offset`` or ``ratio`` (B,).
        positive: the unknown is the logarithm of the number (or of its ratio to ``partner``).
        partner: column of values that this one refers to, None if it stands alone.
        multiplies: this number is the partner's times something, else the partner's plus something.
        constant: (B,) offset or ratio of a tied number.
    """

    unknown: int | None
    positive: bool = False
    partner: int | None = None
    multiplies: bool = False
    constant: Tensor | None = None


@dataclass(frozen=True)
class Parameters:
    """The unknowns of a batch.

    Args:
        start: (B, V) numbers, moved inside their limits.
        rules: {column of values: rule} for all that is not fixed, partners before those that refer to them.
        free: columns that count as free (have an unknown and an error bar), in the order of the unknowns.
        tied: columns held by an offset or ratio.
        limits: of the unknowns.
        ratios: columns of the axis ratios that may pass 1.
    """

    start: Tensor
    rules: dict[int, Rule]
    free: tuple[int, ...]
    tied: tuple[int, ...]
    limits: Limits
    ratios: tuple[int, ...] = ()

    @property
    def moving(self) -> tuple[int, ...]:
        """Columns whose partial images are needed."""
        return tuple(self.rules)

    def values(self, unknowns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers (b, V) and their derivatives (b, len(moving), P) with respect to the unknowns."""
        values = self.start[rows].clone()
        slopes = unknowns.new_zeros(len(rows), len(self.rules), unknowns.shape[1])
        place = {column: i for i, column in enumerate(self.rules)}
        for column, rule in self.rules.items():
            own = slopes[:, place[column]]
            if rule.unknown is not None:
                number = unknowns[:, rule.unknown]
                number = number.exp() if rule.positive else number
                own[:, rule.unknown] = number if rule.positive else 1.0
            else:
                assert rule.constant is not None
                number = rule.constant[rows]
            if rule.partner is not None:
                base = values[:, rule.partner]
                base_slope = slopes[:, place[rule.partner]] if rule.partner in place else torch.zeros_like(own)
                if rule.multiplies:
                    own.copy_(own * base[:, None] + number[:, None] * base_slope)
                    number = number * base
                else:
                    own += base_slope
                    number = number + base
            values[:, column] = number
        return values, slopes

    def unknowns(self, values: Tensor) -> Tensor:
        """(B, P) unknowns of numbers (B, V), inside the limits."""
        unknowns = values.new_zeros(len(values), len(self.free))
        for column in self.free:
            rule = self.rules[column]
            number = values[:, column]
            if rule.partner is not None:
                number = number / values[:, rule.partner] if rule.multiplies else number - values[:, rule.partner]
            assert rule.unknown is not None
            unknowns[:, rule.unknown] = number.log() if rule.positive else number
        return unknowns.clamp(self.limits.lower, self.limits.upper)

    def inverted(self, unknowns: Tensor) -> Tensor:
        """Unknowns (b, P) with each free axis ratio above 1 inverted, as GALFIT does to a trial, size and angle kept.

        Only where the unknowns are the numbers themselves.
        """
        unknowns = unknowns.clone()
        for column in self.ratios:
            q = unknowns[:, self.free.index(column)]
            unknowns[:, self.free.index(column)] = torch.where(q > 1, 1 / q, q)
        return unknowns

    def value_slopes(self, values: Tensor) -> Tensor:
        """Derivatives (B, len(moving), P) of the moving numbers with respect to the free numbers themselves.

        Pairs count as two free numbers here, as they do in GALFIT's error bars.
        """
        slopes = values.new_zeros(len(values), len(self.rules), len(self.free))
        place = {column: i for i, column in enumerate(self.rules)}
        for column, rule in self.rules.items():
            if rule.unknown is not None:
                slopes[:, place[column], rule.unknown] = 1.0
            elif rule.partner in place:
                assert rule.partner is not None and rule.constant is not None
                by = rule.constant[:, None] if rule.multiplies else 1.0
                slopes[:, place[column]] = by * slopes[:, place[rule.partner]]
        return slopes

    def restarted(self, values: Tensor) -> Parameters:
        """The same with other numbers for what is fixed."""
        return replace(self, start=values)


def form(constraint: Constraint) -> Constraint:
    """What of a constraint jobs of one batch must share: all but the numbers of ranges."""
    return constraint if isinstance(constraint, Tie) else replace(constraint, low=0.0, high=0.0)


def build(
    scene: Scene, jobs: Sequence[Job], constraints: Sequence[Sequence[Constraint]], *, logarithms: bool = True
) -> Parameters:
    """Unknowns of a scene.

    Args:
        jobs: the B jobs of the scene.
        constraints: of each job, of one structure.
        logarithms: fit positive numbers in their logarithm, within limits that keep them sensible; without, as GALFIT
            does, only sizes and axis ratios are limited.

    Raises:
        UnsupportedError: a range on a number that is also the first of a pair range.
    """
    start = scene.start.clone()
    column = {ref: i for i, ref in enumerate(scene.refs)}
    toggled = [i for i, ref in enumerate(scene.refs) if jobs[0].parameter(ref).free]
    rules: dict[int, Rule] = {}
    ties = _ties(scene, constraints, column, start)
    pairs = _pairs(constraints[0], column, toggled, ties)
    bounds = [s.limits if logarithms or s.unit == "pix" or s.name == "q" else UNLIMITED for s in scene.specs]
    low = start.new_tensor([b[0] for b in bounds]).expand_as(start).clone()
    high = start.new_tensor([b[1] for b in bounds]).expand_as(start).clone()
    limited = torch.zeros_like(start, dtype=torch.bool)
    turning = []
    for at in toggled:
        if scene.specs[at].name == "q":
            if _may_turn(scene.refs[at], jobs[0], constraints):
                turning.append(at)
            else:
                high[:, at] = high[:, at].clamp(max=MOST_ROUND)
    for row, own in enumerate(constraints):
        for limit in (c for c in own if isinstance(c, Range)):
            place = column.get(ParamRef(limit.component, limit.key))
            if place is None or place not in toggled or place in ties:
                continue
            if place in pairs:
                what = "a range on a parameter that is also the first of a pair is not supported yet"
                raise UnsupportedError(jobs[row].control.constraints, limit.line, what)
            base = scene.start[row, place] if limit.relative else 0.0
            floor = 1e-6 if scene.specs[place].positive and logarithms else -torch.inf
            limited[row, place] = True
            own_low, own_high = max(limit.low + base, floor), max(limit.high + base, floor)
            both = max(own_low, float(low[row, place])), min(own_high, float(high[row, place]))
            # all ranges of a number hold; of two that share nothing the later
            low[row, place], high[row, place] = both if both[0] <= both[1] else (own_low, own_high)
    # a start beyond what a number may be by itself stays allowed; one outside a range is moved in
    low, high = torch.where(limited, low, low.minimum(start)), torch.where(limited, high, high.maximum(start))
    start = start.clamp(low, high)

    free = [i for i in toggled if i not in ties]
    lower, upper, step = [], [], []
    for unknown, at in enumerate(free):
        spec = scene.specs[at]
        pair = pairs.get(at)
        if pair is not None:
            partner = column[ParamRef(pair.second, pair.key)]
            ratio = pair.kind == "ratio"
            rules[at] = Rule(unknown, ratio and logarithms, partner, ratio)
            ends = [
                start.new_tensor([getattr(_pair(own, pair), end) for own in constraints]) for end in ("low", "high")
            ]
            lower.append(ends[0].clamp(min=1e-6).log() if rules[at].positive else ends[0])
            upper.append(ends[1].clamp(min=1e-6).log() if rules[at].positive else ends[1])
        else:
            positive = logarithms and spec.positive and bool((start[:, at] > 0).all())
            rules[at] = Rule(unknown, positive)
            lower.append(low[:, at].log() if positive else low[:, at])
            upper.append(high[:, at].log() if positive else high[:, at])
        step.append(spec.step if logarithms or spec.name in ("xc", "yc") else torch.inf)
    rules |= {at: rule for at, rule in ties.items()}
    size = (len(jobs), 0)
    limits = Limits(
        torch.stack(lower, 1) if lower else start.new_zeros(size),
        torch.stack(upper, 1) if upper else start.new_zeros(size),
        start.new_tensor(step),
    )
    built = Parameters(start, _ordered(rules), tuple(free), tuple(ties), limits, tuple(turning))
    values, _ = built.values(built.unknowns(start), torch.arange(len(jobs)))
    return built.restarted(values)


def _may_turn(ref: ParamRef, job: Job, constraints: Sequence[Sequence[Constraint]]) -> bool:
    """Whether an axis ratio may pass 1: size and angle are free to be exchanged for the canonical ones afterwards."""
    component = job.components[ref.component - 1]
    if not all(component.parameter(key).free for key in ELLIPSE):
        return False
    for constraint in (c for own in constraints for c in own):
        numbers = {
            Tie: lambda c: c.components,
            Range: lambda c: (c.component,),
            PairRange: lambda c: (c.first, c.second),
        }[type(constraint)](constraint)
        if constraint.key in ELLIPSE and component.number in numbers:
            return False
    return True


def _ties(
    scene: Scene, constraints: Sequence[Sequence[Constraint]], column: dict[ParamRef, int], start: Tensor
) -> dict[int, Rule]:
    """Rules of the columns that follow the first component of an offset or ratio."""
    ties: dict[int, Rule] = {}
    for tie in constraints[0]:
        if not isinstance(tie, Tie):
            continue
        places = [column.get(ParamRef(number, tie.key)) for number in tie.components]
        master, followers = places[0], [p for p in places[1:] if p is not None]
        if master is None:
            continue
        for follower in followers:
            own, base = scene.start[:, follower], scene.start[:, master]
            ratio = tie.kind == "ratio"
            ties[follower] = Rule(None, partner=master, multiplies=ratio, constant=own / base if ratio else own - base)
    return ties


def _pairs(
    constraints: Sequence[Constraint], column: dict[ParamRef, int], toggled: list[int], ties: dict[int, Rule]
) -> dict[int, PairRange]:
    """{column of the first number: pair range} for pairs that can act."""
    pairs = {}
    for pair in constraints:
        if isinstance(pair, PairRange):
            first = column.get(ParamRef(pair.first, pair.key))
            second = column.get(ParamRef(pair.second, pair.key))
            if first is not None and second is not None and first in toggled and first not in ties:
                pairs[first] = pair
    return pairs


def _pair(constraints: Sequence[Constraint], like: PairRange) -> PairRange:
    """The last pair range of a job on the same numbers."""
    same = [
        c
        for c in constraints
        if isinstance(c, PairRange)
        and (c.first, c.second, c.key, c.kind) == (like.first, like.second, like.key, like.kind)
    ]
    return same[-1]


def _ordered(rules: dict[int, Rule]) -> dict[int, Rule]:
    """Partners before those that refer to them."""
    ordered: dict[int, Rule] = {}

    def add(at: int) -> None:
        if at in ordered or at not in rules:
            return
        partner = rules[at].partner
        if partner is not None:
            add(partner)
        ordered[at] = rules[at]

    for at in rules:
        add(at)
    return ordered

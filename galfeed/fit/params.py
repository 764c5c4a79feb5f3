"""Between the unknowns of the fit and the numbers of the menu: what is fixed, free, tied or limited.

On GALFIT's path the unknowns are the numbers themselves; sturdy fits take the logarithm of positive ones (sizes,
indices, axis ratios).  A tied number follows another one.  A range is a bound of one unknown, the range of a pair an
inequality between two, so that every constraint acts inside the fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from galfeed.fit.couplings import Couplings
from galfeed.fit.lm import Limits
from galfeed.job import Constraint, Job, PairRange, ParamRef, Range, Tie
from galfeed.model.hygiene import period, whole_turns
from galfeed.model.scene import Scene, specs_of

ELLIPSE = ("4", "9", "10")  # size, axis ratio, angle
UNLIMITED = (-math.inf, math.inf)
MOST_ROUND = 1 - 1e-6  # at q = 1 the angle would have no effect at all
LEAST = 1e-6  # of a number whose logarithm is fitted


@dataclass(frozen=True)
class Rule:
    """How one column of values is made.

    Args:
        unknown: column of the unknowns, or None: held at ``constant`` (B,), or with a ``partner`` at that offset from
            it or ratio to it.
        positive: the unknown is the logarithm of the number.
        partner: column of values that this one follows, None if it stands alone.
        multiplies: this number is the partner's times the constant, else the partner's plus the constant.
        overlooked: GALFIT's derivatives by the partner do not know of this number.
    """

    unknown: int | None
    positive: bool = False
    partner: int | None = None
    multiplies: bool = False
    constant: Tensor | None = None
    overlooked: bool = False


@dataclass(frozen=True)
class Parameters:
    """The unknowns of a batch.

    Args:
        start: (B, V) numbers, moved inside their limits.
        rules: {column of values: rule} for all that is not fixed, partners before those that refer to them.
        free: columns that count as free (have an unknown and an error bar), in the order of the unknowns.
        tied: columns held by an offset or ratio.
        limits: of the unknowns.
        ratios: columns of the axis ratios that are inverted when they pass 1.
        indices: columns of the Sersic indices.
    """

    start: Tensor
    rules: dict[int, Rule]
    free: tuple[int, ...]
    tied: tuple[int, ...]
    limits: Limits
    ratios: tuple[int, ...] = ()
    indices: tuple[int, ...] = ()

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
            assert rule.unknown is not None
            unknowns[:, rule.unknown] = values[:, column].log() if rule.positive else values[:, column]
        return self.limits.clamp(unknowns)

    def inverted(self, unknowns: Tensor) -> Tensor:
        """Unknowns (b, P) as GALFIT changes a trial before it looks at the ranges (probed).

        An axis ratio above 1 is inverted, size and angle kept.  A negative Sersic index is beyond the upper end of its
        range; without a range there is no such model, and the step is refused.  Only where the unknowns are the
        numbers themselves.
        """
        unknowns = unknowns.clone()
        for column in self.ratios:
            q = unknowns[:, self.free.index(column)]
            unknowns[:, self.free.index(column)] = torch.where(q > 1, 1 / q, q)
        for column in self.indices:
            n = unknowns[:, self.free.index(column)]
            unknowns[:, self.free.index(column)] = torch.where(n < 0, torch.inf, n)
        return unknowns

    def value_slopes(self, values: Tensor, *, galfit: bool = False) -> Tensor:
        """Derivatives (B, len(moving), P) of the moving numbers with respect to the free numbers themselves.

        Args:
            galfit: as in GALFIT's error bars, where what follows at a ratio counts like what follows at an offset,
                and what a sky or truncation has that follows does not count.
        """
        slopes = values.new_zeros(len(values), len(self.rules), len(self.free))
        place = {column: i for i, column in enumerate(self.rules)}
        for column, rule in self.rules.items():
            if rule.unknown is not None:
                slopes[:, place[column], rule.unknown] = 1.0
            elif rule.partner in place:
                assert rule.partner is not None and rule.constant is not None
                by = (
                    rule.constant[:, None]
                    if rule.multiplies and not galfit
                    else float(not (galfit and rule.overlooked))
                )
                slopes[:, place[column]] = by * slopes[:, place[rule.partner]]
        return slopes

    def restarted(self, values: Tensor) -> Parameters:
        """The same with other numbers for what is fixed."""
        return replace(self, start=values)


def form(constraint: Constraint) -> Constraint:
    """What of a constraint jobs of one batch must share: all but the numbers of ranges."""
    return constraint if isinstance(constraint, Tie) else replace(constraint, low=0.0, high=0.0)


def family(job: Job, constraints: Sequence[Constraint]) -> tuple[object, ...]:
    """What else of the numbers of a job decides how all jobs of its batch are fitted."""
    negative = tuple(
        ParamRef(c.number, spec.key)
        for c in job.components
        for spec in specs_of(c)
        if spec.positive and c.parameter(spec.key).value <= 0
    )
    ratios = tuple(
        (c.low, c.high, job.parameter(ParamRef(c.component, c.key)).value if c.relative else None)
        for c in constraints
        if isinstance(c, Range) and c.key == "9"
    )
    return (negative, ratios)


def members(constraint: Constraint) -> tuple[int, ...]:
    """Numbers of the components that a constraint names."""
    if isinstance(constraint, Tie):
        return constraint.components
    return (constraint.component,) if isinstance(constraint, Range) else (constraint.first, constraint.second)


def build(
    scene: Scene, jobs: Sequence[Job], constraints: Sequence[Sequence[Constraint]], *, logarithms: bool = True
) -> Parameters:
    """Unknowns of a scene.

    Args:
        jobs: the B jobs of the scene.
        constraints: of each job, of one structure.  Of ranges of one number that exclude each other the later holds.
        logarithms: fit positive numbers in their logarithm, within limits that keep them sensible; without, as GALFIT
            does, only sizes and axis ratios are limited.
    """
    column = {ref: i for i, ref in enumerate(scene.refs)}
    ties = _ties(scene, jobs[0], constraints[0], column)
    free = [i for i, ref in enumerate(scene.refs) if i not in ties and jobs[0].parameter(ref).free]
    pairs = [(k, found) for k, c in enumerate(constraints[0]) if (found := _paired(c, column, {*free, *ties}))]
    whole = {root for _, both in pairs for at in both if (root := _root(at, ties)) in free}  # not in logarithms
    low, high, turning = _bounds(scene, jobs, constraints, free, column, logarithms)
    start = scene.start.clamp(low, high)
    for k, both in pairs:
        if both[0] in free:
            start[:, both[0]] = _beside(start, both, [own[k] for own in constraints])

    rules: dict[int, Rule] = {}
    lower, upper, step = [], [], []
    for unknown, at in enumerate(free):
        spec = scene.specs[at]
        logarithmic = logarithms and spec.positive and at not in whole and bool((start[:, at] > 0).all())
        rules[at] = Rule(unknown, logarithmic)
        lower.append(low[:, at].log() if logarithmic else low[:, at])
        upper.append(high[:, at].log() if logarithmic else high[:, at])
        size = torch.ones_like(start[:, at]) if logarithmic or not spec.positive else start[:, at].abs()
        step.append(spec.step * size if logarithms or spec.name in ("xc", "yc") else torch.full_like(size, torch.inf))
    none = start.new_zeros(len(jobs), 0)
    limits = Limits(
        torch.stack(lower, 1) if lower else none,
        torch.stack(upper, 1) if upper else none,
        torch.stack(step, 1) if step else none,
        positive=None if logarithms else _lengths_and_indices(scene, free),
    )
    rules = _ordered(rules | ties)
    if whole:
        inequalities = [_inequalities(start, rules, both, [own[k] for own in constraints]) for k, both in pairs]
        limits = replace(limits, couplings=_couplings(limits, inequalities, sorted(free.index(at) for at in whole)))
    indices = tuple(at for at in free if scene.specs[at].header == "N")
    built = Parameters(start, rules, tuple(free), tuple(ties), limits, turning, indices)
    values, _ = built.values(built.unknowns(start), torch.arange(len(jobs), device=start.device))
    return built.restarted(values)


# What stands alone


def _lengths_and_indices(scene: Scene, free: Sequence[int]) -> Tensor:
    """(P,) which unknowns are positive and have no lower bound to stop at, as an axis ratio has."""
    found = [scene.specs[at].positive and scene.specs[at].name != "q" for at in free]
    return torch.tensor(found, dtype=torch.bool, device=scene.start.device)


def _bounds(
    scene: Scene,
    jobs: Sequence[Job],
    constraints: Sequence[Sequence[Constraint]],
    free: Sequence[int],
    column: dict[ParamRef, int],
    logarithms: bool,
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Lowest and highest values (B, V) of the free numbers, and the axis ratios that are inverted beyond 1."""
    start = scene.start
    possible = [s.limits if logarithms or s.unit == "pix" or s.name == "q" else UNLIMITED for s in scene.specs]
    low = start.new_tensor([p[0] for p in possible]).expand_as(start).clone()
    high = start.new_tensor([p[1] for p in possible]).expand_as(start).clone()
    asked_low, asked_high = torch.full_like(start, -torch.inf), torch.full_like(start, torch.inf)
    for row, own in enumerate(constraints):
        for limit in (c for c in own if isinstance(c, Range)):
            ref = ParamRef(limit.component, limit.key)
            at = column.get(ref)
            turn = period(jobs[row].components[ref.component - 1], ref.key)
            if at is None or at not in free or (turn and limit.high - limit.low >= turn):
                continue
            base = float(start[row, at])
            if not limit.relative:
                base = whole_turns(base - (limit.low + limit.high) / 2, turn) if turn else 0.0
            ends = max(limit.low + base, float(asked_low[row, at])), min(limit.high + base, float(asked_high[row, at]))
            if ends[0] > ends[1]:
                ends = limit.low + base, limit.high + base
            asked_low[row, at], asked_high[row, at] = ends
    turning = []
    for at in (at for at in free if scene.specs[at].name == "q"):
        if logarithms:
            if not _may_turn(scene.refs[at], jobs[0], constraints):
                high[:, at] = high[:, at].clamp(max=MOST_ROUND)
        elif bool(((asked_low[:, at] <= 1) & (asked_high[:, at] >= 1)).all()):
            # GALFIT inverts a trial before it looks at the range
            turning.append(at)
            asked_high[:, at] = torch.inf
    if logarithms:
        positive = torch.tensor([s.positive for s in scene.specs], device=start.device)
        asked_low = torch.where(positive & (asked_low > -torch.inf), asked_low.clamp(min=LEAST), asked_low)
        asked_high = torch.where(positive, asked_high.clamp(min=LEAST), asked_high)
    # a start beyond what a number may be by itself stays allowed, and so does a range there
    low, high = low.minimum(start).minimum(asked_high), high.maximum(start).maximum(asked_low)
    return low.maximum(asked_low), high.minimum(asked_high), tuple(turning)


def _may_turn(ref: ParamRef, job: Job, constraints: Sequence[Sequence[Constraint]]) -> bool:
    """Whether size and angle may be exchanged for the canonical ones where an axis ratio passes 1."""
    component = job.components[ref.component - 1]
    if not all(component.parameter(key).free for key in ELLIPSE):
        return False
    return not any(c.key in ELLIPSE and component.number in members(c) for own in constraints for c in own)


# What hangs together


def _ties(scene: Scene, job: Job, constraints: Sequence[Constraint], column: dict[ParamRef, int]) -> dict[int, Rule]:
    """Rules of the columns that follow the first component of an offset or ratio; the later of two rules holds."""
    ties: dict[int, Rule] = {}
    for tie in (c for c in constraints if isinstance(c, Tie)):
        master, *followers = (column.get(ParamRef(number, tie.key)) for number in tie.components)
        if master is None:
            continue
        for follower in (f for f in followers if f is not None):
            own, base = scene.start[:, follower], scene.start[:, master]
            ratio = tie.kind == "ratio"
            if follower == master:
                ties[follower] = Rule(None, constant=own)
                continue
            component = job.components[scene.refs[follower].component - 1]
            overlooked = component.is_truncation or component.kind == "sky"
            constant = own / base if ratio else own - base
            ties[follower] = Rule(None, False, master, ratio, constant, overlooked)
    return ties


def _paired(constraint: Constraint, column: dict[ParamRef, int], moving: set[int]) -> tuple[int, int] | None:
    """The two columns of a pair that can act."""
    if not isinstance(constraint, PairRange):
        return None
    first, second = (column.get(ParamRef(number, constraint.key)) for number in members(constraint))
    return (
        (first, second) if first in moving and second in moving and first is not None and second is not None else None
    )


def _beside(start: Tensor, both: tuple[int, int], pairs: Sequence[Constraint]) -> Tensor:
    """The first number (B,) of a pair, moved into the range; that is the one GALFIT moves."""
    ranges = [pair for pair in pairs if isinstance(pair, PairRange)]
    low, high = start.new_tensor([r.low for r in ranges]), start.new_tensor([r.high for r in ranges])
    first, second = start[:, both[0]], start[:, both[1]]
    ends = (second + low, second + high) if ranges[0].kind == "difference" else (second * low, second * high)
    return first.clamp(ends[0].minimum(ends[1]), ends[0].maximum(ends[1]))


def _root(at: int, ties: dict[int, Rule]) -> int:
    """The column that a tied one follows in the end."""
    partner = ties[at].partner if at in ties else None
    return at if partner is None else _root(partner, ties)


def _inequalities(
    start: Tensor, rules: dict[int, Rule], both: tuple[int, int], pairs: Sequence[Constraint]
) -> tuple[Tensor, Tensor]:
    """Rows (B, 3, P) and bounds (B, 3) of a pair: not below its range, not above, and the second of one sign."""
    ranges = [pair for pair in pairs if isinstance(pair, PairRange)]
    low, high = start.new_tensor([r.low for r in ranges]), start.new_tensor([r.high for r in ranges])
    (slope1, value1), (slope2, value2) = (_affine(start, rules, at) for at in both)
    if ranges[0].kind == "difference":
        forms = [(slope2 - slope1, value1 - value2 - low), (slope1 - slope2, high - value1 + value2)]
        forms.append((torch.zeros_like(slope1), torch.full_like(low, torch.inf)))
    else:
        sign = torch.where(start[:, both[1]] < 0, -1.0, 1.0).to(start.dtype)
        forms = [
            (sign[:, None] * (low[:, None] * slope2 - slope1), sign * (value1 - low * value2)),
            (sign[:, None] * (slope1 - high[:, None] * slope2), sign * (high * value2 - value1)),
            (-sign[:, None] * slope2, sign * value2),
        ]
    rows = torch.stack([row for row, _ in forms], 1)
    bounds = torch.stack([bound for _, bound in forms], 1)
    endless = ~(rows.isfinite().all(2) & bounds.isfinite())  # an infinite end
    return rows.masked_fill(endless[:, :, None], 0.0), bounds.masked_fill(endless, torch.inf)


def _affine(start: Tensor, rules: dict[int, Rule], at: int) -> tuple[Tensor, Tensor]:
    """Slopes (B, P) by the unknowns and constant (B,) of a number that no logarithm enters."""
    count = sum(rule.unknown is not None for rule in rules.values())
    slope, value = start.new_zeros(len(start), count), start.new_zeros(len(start))
    rule = rules.get(at)
    if rule is None:
        return slope, start[:, at]
    if rule.unknown is not None:
        slope[:, rule.unknown] = 1.0
        return slope, value
    assert rule.constant is not None
    if rule.partner is None:
        return slope, rule.constant
    slope, value = _affine(start, rules, rule.partner)
    if rule.multiplies:
        return rule.constant[:, None] * slope, rule.constant * value
    return slope, value + rule.constant


def _couplings(limits: Limits, inequalities: Sequence[tuple[Tensor, Tensor]], coupled: Sequence[int]) -> Couplings:
    """The inequalities of all pairs with the bounds of the unknowns that take part."""
    unit = torch.eye(limits.lower.shape[1], dtype=limits.lower.dtype)[list(coupled)].expand(len(limits.lower), -1, -1)
    rows = [unit, -unit, *(row for row, _ in inequalities)]
    bounds = [limits.upper[:, coupled], -limits.lower[:, coupled], *(bound for _, bound in inequalities)]
    return Couplings(torch.cat(rows, 1), torch.cat(bounds, 1))


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

"""Batched Levenberg-Marquardt with limits; knows least squares, not galaxies.

Each problem of the batch has its own damping and its own end; one that has ended is not evaluated again.  How damping
changes, and when a problem is given up, is a strategy of its own, see :mod:`galfeed.fit.damping`.

Levenberg 1944, Marquardt 1963.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from galfeed.fit.couplings import Couplings
from galfeed.fit.damping import Gain, Judged, Strategy
from galfeed.result import Status

LEAST_DAMPING, MOST_DAMPING = 1e-30, 1e10
NOTHING = 1e-38  # a chi^2 that single precision, in which images are kept, cannot tell from 0
RUNNING = -1
UNDAMPED = 1e-12
NEGLIGIBLE = 0.01  # of the tolerance: with less than this left, (0.001 error bars)^2, a last step is not worth it
SINGULAR = 1e-14  # smallest eigenvalue of a normal matrix scaled to unit diagonal


class Normal(NamedTuple):
    """Normal equations of b problems with P unknowns."""

    chi2: Tensor  # (b,)
    gradient: Tensor  # (b, P)  J^T W (data - model)
    matrix: Tensor  # (b, P, P)  J^T W J


Evaluate = Callable[[Tensor, Tensor, Tensor], Normal]
"""(unknowns (b, P), rows (b,) of the batch, chi^2 (b,) to stay below) -> their normal equations.

Where chi^2 is not below, gradient and matrix are not looked at and may be anything finite.
"""


@dataclass(frozen=True)
class Limits:
    """Bounds (B, P) of the unknowns, the largest change (B, P) of each in one iteration, inequalities between them.

    The bounds of unknowns that are coupled must be among the inequalities too.  Positive unknowns (P,) fall by a
    factor: x by -d to x e^(-d/x), so that they do not pass 0.
    """

    lower: Tensor
    upper: Tensor
    step: Tensor
    couplings: Couplings | None = None
    positive: Tensor | None = None

    def take(self, rows: Tensor) -> Limits:
        """Of some rows of the batch."""
        couplings = self.couplings and self.couplings.take(rows)
        return Limits(self.lower[rows], self.upper[rows], self.step[rows], couplings, self.positive)

    def after(self, unknowns: Tensor, step: Tensor) -> Tensor:
        """Where a step (b, P) leads, the bounds left aside."""
        aim = unknowns + step.clamp(-self.step, self.step)
        if self.positive is None:
            return aim
        falling = self.positive & (unknowns > 0) & (aim < unknowns)
        return torch.where(falling, unknowns * ((aim - unknowns) / unknowns).exp(), aim)

    def clamp(self, unknowns: Tensor) -> Tensor:
        """The nearest point (b, P) inside."""
        inside = torch.clamp(unknowns, self.lower, self.upper)
        return torch.clamp(self.couplings.nearest(inside), self.lower, self.upper) if self.couplings else inside


@dataclass(frozen=True)
class Quick:
    """A quicker way to the equations far from the minimum.

    Args:
        evaluate: the equations, less accurately.
        above: (B,) the fall of chi^2, as a fraction of it, that a problem must still promise where they are kept.
        ahead: how many times that a step must promise for them to be asked for where it leads.
    """

    evaluate: Evaluate
    above: Tensor
    ahead: float = 100.0


@dataclass(frozen=True)
class Solution:
    """Where the problems ended.

    Args:
        unknowns: (B, P).  chi2: (B,).  matrix: (B, P, P) J^T W J there.
        left: (B,) fall of chi^2 that the undamped step still promises, as a fraction of it.
        ahead: (B, P) where that step leads a problem that has converged, if it is worth it; of others, ``unknowns``.
        status, iterations: how each ended and after how many steps tried.
        foreign: (B,) the matrix is not of these unknowns.
    """

    unknowns: Tensor
    chi2: Tensor
    matrix: Tensor
    left: Tensor
    ahead: Tensor
    status: list[Status]
    iterations: list[int]
    foreign: Tensor


class Step(NamedTuple):
    """Progress of one iteration, for reports: rows of the batch (b,), their state and relative change of chi^2."""

    rows: Tensor
    unknowns: Tensor
    chi2: Tensor
    change: Tensor
    damping: Tensor


def minimise(
    evaluate: Evaluate,
    start: Tensor,
    limits: Limits,
    strategy: Strategy | None = None,
    *,
    tolerance: Tensor | float = 1e-9,
    settled: Tensor | float = 0.0,
    stalled: Tensor | float = 1e-5,
    canonical: Callable[[Tensor], Tensor] | None = None,
    max_iterations: int = 100,
    report: Callable[[Step], None] | None = None,
    quick: Quick | None = None,
    room: int | None = None,
) -> Solution:
    """Minimise B sums of squares.

    Problems that have ended make room for those that wait.

    Args:
        evaluate: the normal equations.
        start: (B, P), inside the limits.
        limits: a problem whose solution lies outside ends at the limit.
        strategy: of damping and ending; :class:`Gain` by default.
        tolerance: (B,) or one number: converged when the undamped step promises to lower chi^2 by less than this
            fraction of it, or when nothing is left of chi^2.
        settled: likewise, for a problem whose last step led nowhere.
        stalled: likewise; a problem that ends while more than this is promised has stalled.
        canonical: unknowns (b, P) -> the same point in other numbers, applied to every trial before the limits.
        max_iterations: steps tried for each problem, refused ones included.
        report: called after each iteration.
        quick: used where little is lost by it; the solution is not of these equations.
        room: how many problems are under way at once; all by default.
    """

    def threshold(number: Tensor | float) -> Tensor:
        return torch.as_tensor(number, dtype=start.dtype, device=start.device).expand(len(start))

    rules = _Rules(
        evaluate,
        limits,
        strategy or Gain(),
        threshold(tolerance),
        threshold(settled),
        threshold(stalled),
        canonical,
        max_iterations,
        quick,
    )
    run = _Run(start, rules)
    room, rows, waiting = room or len(start), run.everyone[:0], run.everyone
    while True:
        rows, again = run.settle(rows)  # here the host waits for the device
        new, waiting = waiting.tensor_split([room - len(rows) - len(again)])
        new = torch.cat([again, new])
        if len(rows) + len(new) == 0:
            return run.solution()
        taken = run.advance(rows, new)
        if report and len(rows):
            report(taken)
        rows = torch.cat([rows, new])


class _Rules(NamedTuple):
    """How B problems are to be solved; as for :func:`minimise`."""

    evaluate: Evaluate
    limits: Limits
    strategy: Strategy
    tolerance: Tensor
    settled: Tensor
    stalled: Tensor
    canonical: Callable[[Tensor], Tensor] | None
    max_iterations: int
    quick: Quick | None


class _Run:
    """What is known of B problems under way.

    Args:
        start: (B, P).
    """

    def __init__(self, start: Tensor, rules: _Rules) -> None:
        batch, count = start.shape
        self.rules = rules
        self.everyone = torch.arange(batch, device=start.device)
        self.unknowns, self.gradient = start.clone(), torch.zeros_like(start)
        self.chi2 = start.new_full((batch,), torch.inf)
        self.matrix = start.new_zeros(batch, count, count)
        self.damping = torch.full_like(self.chi2, rules.strategy.first)
        self.left = torch.full_like(self.chi2, torch.inf)
        self.ends = torch.full((batch,), RUNNING, device=start.device)
        self.iterations = torch.zeros_like(self.ends)
        self.refused = torch.zeros_like(self.ends, dtype=torch.bool)  # the last step was
        self.rough = torch.full_like(self.refused, rules.quick is not None)  # the equations are
        rules.strategy.begin(batch, start)

    def settle(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Those (b,) that go on, and those that begin again there, by the accurate equations.

        Those that have come to their minimum by the accurate equations end.
        """
        again = rows[:0]
        if self.rules.quick:
            running = self.ends[rows] == RUNNING
            near = running & self.rough[rows] & ~(self.left[rows] > self.rules.quick.above[rows])
            rows, again = rows[~near], rows[near]
            self.rough[again], self.chi2[again] = False, torch.inf
        tolerance, left = self.rules.tolerance[rows], self.left[rows]
        enough = torch.where(self.refused[rows], tolerance.maximum(self.rules.settled[rows]), tolerance)
        ready = ~(left > enough) | (self.chi2[rows] < NOTHING)  # chi^2 of exactly 0 makes it nan
        self._end(rows, ready, _code(Status.CONVERGED))
        return rows[self.ends[rows] == RUNNING], again

    def advance(self, rows: Tensor, new: Tensor) -> Step:
        """Try a step of some problems (b,), and see where new ones (c,) begin."""
        own, old = self.rules.limits.take(rows), Normal(self.chi2[rows], self.gradient[rows], self.matrix[rows])
        here, before = self.unknowns[rows], old.chi2
        step = _step(here, old.gradient, old.matrix, self.damping[rows], own)
        aim = own.after(here, step)
        step = own.clamp(aim) - here
        predicted = (step * (2 * old.gradient - (old.matrix * step[:, None]).sum(2))).sum(1)
        trial = own.clamp(self.rules.canonical(aim) if self.rules.canonical else aim)
        roughly = torch.zeros_like(self.rough[rows])
        if self.rules.quick:
            roughly = predicted > self.rules.quick.ahead * self.rules.quick.above[rows] * before
        tried, first = self._look(trial, rows, roughly, new)
        self._begin(new, first)

        good = (before - tried.chi2 > 0) & _finite(tried)
        self.unknowns[rows] = torch.where(good[:, None], trial, here)
        self.chi2[rows] = torch.where(good, tried.chi2, before)
        self.rough[rows] = torch.where(good, roughly, self.rough[rows])
        self.gradient[rows] = torch.where(good[:, None], tried.gradient, old.gradient)
        self.matrix[rows] = torch.where(good[:, None, None], tried.matrix, old.matrix)
        fall = torch.where(good, (before - tried.chi2) / tried.chi2, 0.0)
        judged = Judged(good, fall * before / predicted.clamp(min=1e-300), fall)
        damping, ended = self.rules.strategy.next(rows, self.damping[rows], judged)
        self.damping[rows] = damping.clamp(LEAST_DAMPING, MOST_DAMPING)
        self.iterations[rows] += 1
        self.refused[rows] = ~good
        self.left[rows] = self._promised(rows)
        stalled = self.left[rows] > self.rules.stalled[rows]
        self._end(rows, ended, torch.where(stalled, _code(Status.STALLED), _code(Status.CONVERGED)))
        self._end_the_longest(rows)
        return Step(rows, self.unknowns[rows], self.chi2[rows], 0 - fall, self.damping[rows])

    def solution(self) -> Solution:
        """Where all have ended."""
        if self.rules.quick:
            self._look_again(self.everyone[self.rough])
        status = [tuple(Status)[code] for code in self.ends.tolist()]
        undamped = torch.full_like(self.damping, UNDAMPED)
        last = self.unknowns + _step(self.unknowns, self.gradient, self.matrix, undamped, self.rules.limits)
        certain = (self.ends == _code(Status.CONVERGED)) & ~self.refused & last.isfinite().all(1)
        certain &= self.left > NEGLIGIBLE * self.rules.tolerance
        reached = self.rules.limits.clamp(self.rules.canonical(last) if self.rules.canonical else last)
        return Solution(
            unknowns=self.unknowns,
            chi2=self.chi2,
            matrix=self.matrix,
            left=self.left,
            ahead=torch.where(certain[:, None], reached, self.unknowns),
            status=status,
            iterations=self.iterations.tolist(),
            foreign=torch.zeros_like(self.refused),
        )

    def _look(self, trial: Tensor, rows: Tensor, roughly: Tensor, new: Tensor) -> tuple[Normal, Normal]:
        """Equations where steps lead, and those where new problems begin."""
        unknowns, every = torch.cat([trial, self.unknowns[new]]), torch.cat([rows, new])
        below = self.chi2[every]
        if self.rules.quick:
            found = _both(
                self.rules.evaluate,
                self.rules.quick.evaluate,
                torch.cat([roughly, self.rough[new]]),
                unknowns,
                every,
                below,
            )
        else:
            found = self.rules.evaluate(unknowns, every, below)
        tried, first = zip(*(part.split([len(rows), len(new)]) for part in found), strict=True)
        return Normal(*tried), Normal(*first)

    def _begin(self, new: Tensor, first: Normal) -> None:
        self.chi2[new], self.gradient[new], self.matrix[new] = first
        self._end(new, ~_finite(first), _code(Status.NONFINITE))
        if self.unknowns.shape[1] == 0:
            self._end(new, torch.ones_like(self.refused[new]), _code(Status.NOTHING_FREE))
        self._end_the_longest(new)
        self.left[new] = self._promised(new)

    def _look_again(self, rows: Tensor) -> None:
        """At the accurate equations."""
        if len(rows):
            found = self.rules.evaluate(self.unknowns[rows], rows, self.chi2.new_full((len(rows),), torch.inf))
            self.chi2[rows], self.gradient[rows], self.matrix[rows], self.rough[rows] = *found, False
            self.left[rows] = self._promised(rows)

    def _promised(self, rows: Tensor) -> Tensor:
        promise = _promise(self.unknowns[rows], self.gradient[rows], self.matrix[rows], self.rules.limits.take(rows))
        return promise / self.chi2[rows]

    def _end_the_longest(self, rows: Tensor) -> None:
        self._end(rows, self.iterations[rows] >= self.rules.max_iterations, _code(Status.MAX_ITERATIONS))

    def _end(self, rows: Tensor, ended: Tensor, code: Tensor | int) -> None:
        """Some of the rows (b,), ended (b,), unless they have before."""
        self.ends[rows] = torch.where((self.ends[rows] == RUNNING) & ended, code, self.ends[rows])


def _both(
    evaluate: Evaluate, quick: Evaluate, roughly: Tensor, unknowns: Tensor, rows: Tensor, below: Tensor
) -> Normal:
    """Equations of some problems (b,) bool the quick way, of the others accurately."""
    parts = [(way, torch.nonzero(roughly == which)[:, 0]) for way, which in ((evaluate, False), (quick, True))]
    found = [(own, way(unknowns[own], rows[own], below[own])) for way, own in parts if len(own)]
    order = torch.cat([own for own, _ in found]).argsort()
    return Normal(*(torch.cat(same)[order] for same in zip(*(normal for _, normal in found), strict=True)))


def _code(status: Status) -> int:
    """A number for a status, other than ``RUNNING``."""
    return tuple(Status).index(status)


def singular(matrix: Tensor, smallest: float = SINGULAR) -> Tensor:
    """Which normal matrices (b, P, P) cannot be inverted to working precision, (b,) bool.

    Their smallest eigenvalue is below ``smallest`` when they are scaled to unit diagonal.

    Unknowns of no effect (0 on the diagonal) are left out; where there are no others the matrix is singular.
    """
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    alive = diagonal > 0
    usable = alive.any(1) & matrix.isfinite().flatten(1).all(1)
    scale = torch.where(alive, diagonal.clamp(min=1e-300).rsqrt(), 0.0)
    scaled = torch.where(usable[:, None, None], matrix * scale[:, :, None] * scale[:, None, :], 0.0)
    scaled = scaled + torch.diag_embed((~alive & usable[:, None]).to(matrix.dtype))
    return torch.linalg.eigvalsh(scaled)[:, 0] < smallest


def _finite(normal: Normal) -> Tensor:
    return normal.chi2.isfinite() & normal.gradient.isfinite().all(1) & normal.matrix.isfinite().flatten(1).all(1)


def _step(here: Tensor, gradient: Tensor, matrix: Tensor, damping: Tensor, limits: Limits) -> Tensor:
    """Damped step (b, P) from a point inside the limits; it keeps the inequalities, but may pass a bound."""
    blocked = ((here <= limits.lower) & (gradient < 0)) | ((here >= limits.upper) & (gradient > 0))
    if limits.couplings is None:
        return _solve(gradient[:, :, None], matrix, damping, ~blocked)[:, :, 0]
    right = torch.cat([gradient[:, :, None], limits.couplings.rows.mT], 2)
    solved = _solve(right, matrix, damping, ~blocked | limits.couplings.coupled)
    step = solved[:, :, 0]
    return step + limits.couplings.correction(here + step, solved[:, :, 1:])


def _solve(right: Tensor, matrix: Tensor, damping: Tensor, free: Tensor) -> Tensor:
    """Solutions (b, P, K) of (A + damping diag A) x = right, in units of diag A; unknowns without effect stay."""
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    moving = free & (diagonal > 0)
    scale = torch.where(moving, diagonal.clamp(min=1e-300).rsqrt(), 0.0)
    scaled = matrix * scale[:, :, None] * scale[:, None, :]
    scaled.diagonal(dim1=1, dim2=2).copy_(torch.where(moving, 1 + damping[:, None], 1.0))
    right = right * scale[:, :, None]
    factor, info = torch.linalg.cholesky_ex(scaled)
    solved = torch.cholesky_solve(_aligned(right), _aligned(factor))[:, : right.shape[1], : right.shape[2]]
    # not positive definite to working precision: go downhill
    solved = torch.where((info == 0)[:, None, None], solved, right)
    return solved * scale[:, :, None]


def _aligned(matrices: Tensor) -> Tensor:
    """Matrices (b, M, K) with rows and columns of the unit matrix to whole cache lines.

    A BLAS rounds otherwise where they begin at odd places, and so would depend on what else is in the batch.
    """
    _, rows, columns = matrices.shape
    padded = matrices.new_zeros(len(matrices), -(-rows // 8) * 8, -(-columns // 8) * 8)
    padded[:, :rows, :columns] = matrices
    padded.diagonal(dim1=1, dim2=2)[:, max(rows, columns) :] = 1.0
    return padded


def _promise(here: Tensor, gradient: Tensor, matrix: Tensor, limits: Limits) -> Tensor:
    """(b,) fall of chi^2 that the undamped step predicts, g^T A^-1 g."""
    step = _step(here, gradient, matrix, gradient.new_full((len(gradient),), UNDAMPED), limits)
    promise = (step * gradient).sum(1)
    return torch.where(promise >= 0, promise, math.inf)

"""Fit jobs to their images: chi^2 minimisation of all that have the same structure at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from galfeed.fit import attempts, damping, lm, params, results
from galfeed.fit.attempts import Attempt
from galfeed.fit.equations import Asked
from galfeed.fit.lm import Normal
from galfeed.fit.params import Parameters
from galfeed.fit.problem import BLOCK, FIT, SUBCOMPONENTS, Precision, Problem, Task
from galfeed.fit.results import Seen
from galfeed.model import host, scene
from galfeed.result import FitResult, Iteration, Status

TOLERANCE = 1e-4  # of chi^2/nu: the fall of chi^2 still to be had at convergence; (0.01 error bars)^2
SETTLED = 3e-3  # of chi^2/nu: likewise after a step that led nowhere; (0.05 error bars)^2
STALLED = 1.0  # of chi^2/nu: what GALFIT's way of differentiating may leave at the end
ROUGHLY = 3.0  # of chi^2/nu: while more than this is promised, images as accurate as their partial images will do
LIKELY_LAST = 0.3  # of chi^2/nu: a fall of chi^2 after which mostly no more than the tolerance is left
CAREFUL = 1.0  # first damping of sturdy fits
BEFORE_THE_FIRST = 1e27  # chi^2 that GALFIT's first line compares with

Report = Callable[[int, Iteration], None]
"""Called with (index of the task, iteration) as a fit goes."""


def run(
    tasks: Sequence[Task],
    *,
    max_iterations: int = 100,
    report: Report | None = None,
    device: str | torch.device = "cpu",
    dtype: Precision = "mixed",
    together: int | None = None,
) -> list[FitResult]:
    """Fit or render tasks; those of one structure become one batch.

    The result of a task does not depend on what it shares a batch with: to the last bit on one thread of a CPU, as the
    command runs (``machine.prepare``), and but for rounding on several.

    Args:
        tasks: in any mix.
        max_iterations: of the fit.
        report: follows the fits.
        device: where the images are made and compared, such as "cuda:1".
        dtype: precision of the images.
        together: how many images are evaluated at once; by default as many as the device does well with.

    Raises:
        UnsupportedError: something that cannot be modelled yet.
        torch.cuda.OutOfMemoryError: not even the images of one task fit into the device's memory.
    """
    place = torch.device(device)
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, task in enumerate(tasks):
        forms = tuple(params.form(c) for c in task.constraints)
        structure = scene.structure(task.job, task.exposure)
        family = params.family(task.job, task.constraints)
        key = (task.mode, task.accuracy, forms, family, task.exposure.data is None, task.drawn, structure)
        groups.setdefault(key, []).append(index)
    found: dict[int, FitResult] = {}
    for members in groups.values():
        problem = Problem([tasks[i] for i in members], place, dtype, together)
        follow = None if report is None else _follower(report, members)
        found |= dict(zip(members, _results(problem, max_iterations, follow), strict=True))
    return [found[i] for i in range(len(tasks))]


def _follower(report: Report, members: list[int]) -> Report:
    return lambda row, iteration: report(members[row], iteration)


def _results(problem: Problem, max_iterations: int, report: Report | None) -> list[FitResult]:
    """By the mode that all tasks are in."""
    mode = problem.tasks[0].mode
    if not problem.has_data or mode not in (FIT, BLOCK):
        return results.rendered(problem, with_components=mode == SUBCOMPONENTS and problem.has_data)
    constraints = [task.constraints for task in problem.tasks]
    own = params.build(problem.scene, problem.jobs, constraints, logarithms=False)
    if mode == BLOCK or not own.free:
        return results.as_given(problem, own, Status.MODEL_ONLY if mode == BLOCK else Status.NOTHING_FREE)
    return _Fit(problem, own, params.build(problem.scene, problem.jobs, constraints), max_iterations, report).results()


class _Fit:
    """The fit of a problem.

    Args:
        own, sturdy: the unknowns of GALFIT's path, and of the attempts that are made where it ends badly.
    """

    def __init__(
        self, problem: Problem, own: Parameters, sturdy: Parameters, max_iterations: int, report: Report | None
    ) -> None:
        self.problem, self.own, self.sturdy = problem, own, sturdy
        self.max_iterations, self.report = max_iterations, report
        self.scale = (problem.good - len(own.free)).clamp(min=1)
        positive = [i for i, spec in enumerate(problem.scene.specs) if spec.positive]
        self.positive = torch.tensor(positive, dtype=torch.long, device=problem.device)
        self.told = [0] * len(problem.jobs)
        self.seen = Seen.none(own.start.new_empty(len(problem.jobs), len(own.free)), problem.shape)

    def results(self) -> list[FitResult]:
        solution, started = attempts.run(
            self.minimise, self.own, self.sturdy, self.problem.scene, TOLERANCE / self.scale
        )
        return results.fitted(self.problem, self.own, solution, started, self.seen)

    def minimise(self, attempt: Attempt) -> lm.Solution:
        """Run an attempt; the solution is in the unknowns of GALFIT's path."""
        rows, own = attempt.rows, self.own
        use, scale = self.sturdy if attempt.sturdy else own, self.scale[rows]
        start = torch.zeros_like(use.start).index_copy(0, rows, attempt.start)
        strategy: damping.Strategy = damping.Countdown()
        if attempt.sturdy or attempt.patient:
            strategy = damping.Gain(CAREFUL) if attempt.sturdy else damping.Gain(CAREFUL, patience=4)

        def evaluate(unknowns: Tensor, chosen: Tensor, below: Tensor) -> Normal:
            return self._evaluated(use, unknowns, rows[chosen], below)

        def roughly(unknowns: Tensor, chosen: Tensor, below: Tensor) -> Normal:
            return self._evaluated(use, unknowns, rows[chosen], below, roughly=True)

        far = self.problem.equations.quick and attempt.start is own.start
        solution = lm.minimise(
            evaluate,
            use.unknowns(start)[rows],
            use.limits.take(rows),
            strategy,
            tolerance=TOLERANCE / scale,
            settled=SETTLED / scale,
            stalled=STALLED / scale,
            canonical=None if attempt.sturdy else own.inverted,
            max_iterations=self.max_iterations,
            report=(lambda step: self._tell(use, rows, step)) if self.report else None,
            quick=lm.Quick(roughly, ROUGHLY / scale) if far else None,
            room=self.problem.equations.room,
        )
        if not attempt.sturdy:
            return solution
        reached, ahead = (
            own.unknowns(own.start.index_copy(0, rows, use.values(unknowns, rows)[0]))[rows]
            for unknowns in (solution.unknowns, solution.ahead)
        )
        return replace(solution, unknowns=reached, ahead=ahead, foreign=torch.ones_like(solution.foreign))

    def _evaluated(
        self, use: Parameters, unknowns: Tensor, rows: Tensor, below: Tensor, *, roughly: bool = False
    ) -> Normal:
        """Equations of rows (b,) at unknowns (b, P), where chi^2 is below (b,); what is seen there is kept."""
        values, slopes = use.values(unknowns, rows)
        keep = use is self.own and not roughly
        close = torch.where(below < torch.inf, LIKELY_LAST / self.scale[rows] * below, 0.0)
        asked = Asked(values, slopes, rows, below, close if keep else torch.zeros_like(close))
        derivatives = self.problem.derivatives if use is self.own else "true"
        show = self.seen.show if keep and host.is_cpu(values) else None
        found = self.problem.equations.of(asked, use.moving, derivatives, show, roughly=roughly)
        if keep:
            self.seen.keep(asked, unknowns, found, shown=show is not None)
        possible = (values[:, self.positive] > 0).all(1)
        return found.normal._replace(chi2=torch.where(possible, found.normal.chi2, torch.inf))

    def _tell(self, use: Parameters, rows: Tensor, step: lm.Step) -> None:
        assert self.report is not None
        chosen = rows[step.rows]
        values, _ = use.values(step.unknowns, chosen)
        for i, row in enumerate(chosen.tolist()):
            self.told[row] += 1
            number, chi2 = self.told[row], float(step.chi2[i])
            job = self.problem.shown(row, values[i].tolist(), self.own)
            change = float(step.change[i]) if number > 1 else (chi2 - BEFORE_THE_FIRST) / chi2
            self.report(row, Iteration(number, chi2 / int(self.scale[row]), change, float(step.damping[i]), job))

"""Fit jobs to their images: chi^2 minimisation, error bars, flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from galfeed.fit import lm, params
from galfeed.fit.attempts import Attempt
from galfeed.fit.attempts import run as fit_attempts
from galfeed.fit.equations import Asked, Equations
from galfeed.fit.final import final
from galfeed.fit.lm import Normal
from galfeed.fit.params import Parameters
from galfeed.images.exposure import Exposure
from galfeed.job import Constraint, Job, Parameter, ParamRef, Tie
from galfeed.model import scene, supported
from galfeed.model.hygiene import canonical, clamp_sizes, with_near_phases
from galfeed.model.light import Accuracy
from galfeed.model.scene import Rendered, Scene
from galfeed.model.shape import Derivatives
from galfeed.output.marks import numerical_problem
from galfeed.result import FitResult, Iteration, Status

FIT, MODEL, BLOCK, SUBCOMPONENTS = 0, 1, 2, 3  # P)

TOLERANCE = 1e-4  # of chi^2/nu: the fall of chi^2 still to be had at convergence; (0.01 error bars)^2
BEFORE_THE_FIRST = 1e27  # chi^2 that GALFIT's first line compares with
SETTLED = 1e-3  # of chi^2/nu: likewise after a step that led nowhere
ROUNDED = 1e-10  # eigenvalue of a normal matrix that partials in single precision do not settle
UNSEEN = 1e-13  # eigenvalue of a normal matrix of unit diagonal that is taken for one whose effect is just not seen
STALLED = 1.0  # of chi^2/nu: what GALFIT's way of differentiating may leave at the end
ROUGHLY = 3.0  # of chi^2/nu: while more than this is promised, images as accurate as their partial images will do
LIKELY_LAST = 0.3  # of chi^2/nu: a fall of chi^2 after which mostly no more than the tolerance is left
CAREFUL = 1.0  # first damping of sturdy fits


Precision = Literal["float64", "mixed", "float32"]
"""Of the images; chi^2 and its derivatives are added up in double precision in any case.

``mixed``: model images in double precision, the partial images of plain ellipses in single precision.
"""
PRECISIONS: dict[Precision, tuple[torch.dtype, torch.dtype]] = {
    "float64": (torch.float64, torch.float64),
    "mixed": (torch.float64, torch.float32),
    "float32": (torch.float32, torch.float32),
}


@dataclass(frozen=True)
class Task:
    """A job with its images and constraints, ready to be fitted.

    Args:
        job: the menu.  exposure: its images.  constraints: of its constraint file.
        flags: GALFIT's codes known so far, in its order.
        mode: ``P)`` or the option that overrides it.
        accuracy: GALFIT's numbers, or exact ones with the usual error bars.
    """

    job: Job
    exposure: Exposure
    constraints: tuple[Constraint, ...] = ()
    flags: tuple[str, ...] = ()
    mode: int = FIT
    accuracy: Accuracy = "galfit"


def run(
    tasks: Sequence[Task],
    *,
    max_iterations: int = 100,
    report: Callable[[int, Iteration], None] | None = None,
    device: str | torch.device = "cpu",
    dtype: Precision = "mixed",
) -> list[FitResult]:
    """Fit or render tasks; those of one structure become one batch.

    The result of a task does not depend on what it shares a batch with, to the last bit.

    Args:
        tasks: in any mix.
        max_iterations: of the fit.
        report: called with (index of the task, iteration) as the fit goes.
        device: where the images are made and compared, such as "cuda:1".
        dtype: precision of the images.

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
        key = (task.mode, task.accuracy, forms, family, task.exposure.data is None, structure)
        groups.setdefault(key, []).append(index)
    results: dict[int, FitResult] = {}
    for members in groups.values():
        batch = _Batch([tasks[i] for i in members], place, dtype)
        follow = None if report is None else _follower(report, members)
        results |= dict(zip(members, batch.results(max_iterations, follow), strict=True))
    return [results[i] for i in range(len(tasks))]


def _follower(report: Callable[[int, Iteration], None], members: list[int]) -> Callable[[int, Iteration], None]:
    return lambda row, iteration: report(members[row], iteration)


def starting(job: Job, constraints: Sequence[Constraint] = ()) -> Job:
    """The job in the numbers that the fit starts from, GALFIT's canonical form; what follows another is marked tied."""
    return _tied(with_near_phases(clamp_sizes(canonical(job))), constraints)


def _tied(job: Job, constraints: Sequence[Constraint]) -> Job:
    """The job with what follows another marked."""
    changes = {}
    for tie in constraints:
        for number in tie.components[1:] if isinstance(tie, Tie) else ():
            own = dict(job.components[number - 1].parameters())
            if tie.key in own:
                changes[ParamRef(number, tie.key)] = replace(own[tie.key], tied=True)
    return job.updated(changes)


class _Seen(NamedTuple):
    """Matrices (B, P, P) of the true derivatives that a fit came by, and the unknowns (B, P) that they are of."""

    unknowns: Tensor
    matrix: Tensor

    @classmethod
    def none(cls, unknowns: Tensor) -> _Seen:
        return cls(unknowns, torch.diag_embed(unknowns))

    def keep(self, rows: Tensor, unknowns: Tensor, matrix: Tensor) -> None:
        """Those that are there."""
        there = matrix.isfinite().flatten(1).all(1)
        self.unknowns[rows] = torch.where(there[:, None], unknowns, self.unknowns[rows])
        self.matrix[rows] = torch.where(there[:, None, None], matrix, self.matrix[rows])


class _Batch:
    """Tasks of one structure with their tensors: their equations, good pixels (B,)."""

    def __init__(self, tasks: Sequence[Task], device: torch.device, dtype: Precision) -> None:
        self.tasks = tasks
        self.jobs = [
            starting(t.job, t.constraints) if t.mode == FIT else _tied(clamp_sizes(canonical(t.job)), t.constraints)
            for t in tasks
        ]
        exposures = [t.exposure for t in tasks]
        if tasks[0].mode == FIT and exposures[0].psf is None:
            for job in self.jobs:
                supported.check_stars(job, fitted=True)
        self.accuracy = tasks[0].accuracy
        self.device = device
        images, partials = PRECISIONS[dtype]
        self.scene: Scene = scene.build(
            self.jobs, exposures, images, self.accuracy, partials=partials, device=self.device
        )
        self.has_data = exposures[0].data is not None
        if self.has_data:
            data = self._tensor([e.data for e in exposures if e.data is not None])
            self.equations = Equations(self.scene, data, self._tensor([e.good / e.sigma for e in exposures]))
            self.good = torch.tensor([np.count_nonzero(e.good) for e in exposures], device=self.device)

    def _tensor(self, images: Sequence[np.ndarray]) -> Tensor:
        return torch.as_tensor(np.stack(images), device=self.device)

    def results(self, max_iterations: int, report: Callable[[int, Iteration], None] | None) -> list[FitResult]:
        mode = self.tasks[0].mode
        if not self.has_data or mode not in (FIT, BLOCK):
            return self._rendered(with_components=mode == SUBCOMPONENTS and self.has_data)
        constraints = [t.constraints for t in self.tasks]
        own = params.build(self.scene, self.jobs, constraints, logarithms=False)
        if mode == BLOCK or not own.free:
            return self._as_given(own, Status.MODEL_ONLY if mode == BLOCK else Status.NOTHING_FREE)
        return self._fitted(own, params.build(self.scene, self.jobs, constraints), max_iterations, report)

    # --- the fit ---

    def _fitted(
        self,
        own: Parameters,
        sturdy: Parameters,
        max_iterations: int,
        report: Callable[[int, Iteration], None] | None,
    ) -> list[FitResult]:
        ndof = self.good - len(own.free)
        scale = ndof.clamp(min=1)
        positive = [i for i, spec in enumerate(self.scene.specs) if spec.positive]
        told = [0] * len(self.jobs)

        seen = _Seen.none(own.start.new_full((len(self.jobs), len(own.free)), torch.nan))

        def evaluate(use: Parameters, roughly: bool, unknowns: Tensor, rows: Tensor, below: Tensor) -> Normal:
            values, slopes = use.values(unknowns, rows)
            close = torch.where(below < torch.inf, LIKELY_LAST / scale[rows] * below, 0.0)
            accurately = use is own and not roughly
            asked = Asked(values, slopes, rows, below, close if accurately else torch.zeros_like(close))
            found = self.equations.of(asked, use.moving, self._derivatives if use is own else "true", roughly=roughly)
            if accurately:
                seen.keep(rows, unknowns, found.true)
            possible = (values[:, positive] > 0).all(1)
            return found.normal._replace(chi2=torch.where(possible, found.normal.chi2, torch.inf))

        def follow(use: Parameters, rows: Tensor, step: lm.Step) -> None:
            if report is None:
                return
            chosen = rows[step.rows]
            values, _ = use.values(step.unknowns, chosen)
            for i, row in enumerate(chosen.tolist()):
                told[row] += 1
                job = self._final(row, values[i].tolist(), own)
                chi2 = float(step.chi2[i])
                change = float(step.change[i]) if told[row] > 1 else (chi2 - BEFORE_THE_FIRST) / chi2
                report(row, Iteration(told[row], chi2 / int(scale[row]), change, float(step.damping[i]), job))

        def minimise(attempt: Attempt) -> lm.Solution:
            rows, use = attempt.rows, sturdy if attempt.sturdy else own
            start = torch.zeros_like(use.start).index_copy(0, rows, attempt.start)
            strategy: lm.Strategy = lm.Countdown()
            if attempt.sturdy or attempt.patient:
                strategy = lm.Gain(CAREFUL) if attempt.sturdy else lm.Gain(CAREFUL, patience=4)
            solution = lm.minimise(
                lambda unknowns, chosen, below: evaluate(use, False, unknowns, rows[chosen], below),
                use.unknowns(start)[rows],
                use.limits.take(rows),
                strategy,
                tolerance=TOLERANCE / scale[rows],
                settled=SETTLED / scale[rows],
                stalled=STALLED / scale[rows],
                canonical=None if attempt.sturdy else own.inverted,
                max_iterations=max_iterations,
                report=lambda step: follow(use, rows, step),
                quick=lm.Quick(
                    lambda unknowns, chosen, below: evaluate(use, True, unknowns, rows[chosen], below),
                    ROUGHLY / scale[rows],
                )
                if self.equations.quick and attempt.start is own.start
                else None,
            )
            if not attempt.sturdy:
                return solution
            reached, ahead = (
                own.unknowns(own.start.index_copy(0, rows, use.values(unknowns, rows)[0]))[rows]
                for unknowns in (solution.unknowns, solution.ahead)
            )
            return replace(solution, unknowns=reached, ahead=ahead, foreign=torch.ones_like(solution.foreign))

        solution, attempts = fit_attempts(minimise, own, sturdy, self.scene, TOLERANCE / scale)
        return self._finished(own, ndof, solution, attempts, seen)

    def _finished(
        self, own: Parameters, ndof: Tensor, solution: lm.Solution, attempts: list[int], seen: _Seen
    ) -> list[FitResult]:
        """Error bars at the solution, in the units of the menu."""
        every = torch.arange(len(self.jobs), device=self.device)
        shown = np.empty((len(self.jobs), *self.scene.frame.shape))
        reached, _ = own.values(solution.ahead, every)
        jobs, values = self._jobs(own, reached, every)
        # the matrix of these unknowns, or of others next to them, in the units of the menu; turns change nothing
        turning = torch.tensor([spec.name == "pa" for spec in self.scene.specs], device=self.device)
        near = ~solution.foreign & ((values == reached) | turning).all(1) & (not own.tied)
        known = near & (seen.unknowns == solution.unknowns).all(1) & seen.matrix.isfinite().flatten(1).all(1)
        true, floor = self._look(own, values, every, shown, ~known)
        true.matrix[known] = seen.matrix[known]
        above = ~(true.chi2 <= solution.chi2 * (1 + 10 * TOLERANCE / ndof.clamp(min=1)))
        back = torch.nonzero(above & (solution.ahead != solution.unknowns).any(1))[:, 0]
        if len(back):  # the last step, not looked at before, crossed a jump of the moved PSF
            reached[back] = own.values(solution.unknowns[back], back)[0]
            again, values[back] = self._jobs(own, reached[back], back)
            near[back] &= ((values[back] == reached[back]) | turning).all(1)
            normal, floor[back] = self._look(own, values[back], back, shown, torch.ones_like(back, dtype=torch.bool))
            for row, job in zip(back.tolist(), again, strict=True):
                jobs[row] = job
            for part, new in zip(true, normal, strict=True):
                part[back] = new
        slopes, true_slopes = (own.value_slopes(values, galfit=d == "galfit") for d in (self._derivatives, "true"))
        galfits = true.matrix
        if not (self.scene.derivatives_agree and torch.equal(slopes, true_slopes)):
            galfits = solution.matrix.clone()
            rows = torch.nonzero(~near)[:, 0]
            if len(rows):
                asked = Asked.all(values[rows], slopes[rows], rows)
                galfits[rows] = self.equations.of(asked, own.moving, self._derivatives).normal.matrix
        rows = torch.nonzero(lm.singular(true.matrix, ROUNDED) | lm.singular(galfits, ROUNDED))[:, 0]
        if len(rows) and self.scene.frame.partials != torch.float64:  # what is left there is rounding
            fine, some = self.equations.precise, values[rows]
            for matrix, by, way in ((true.matrix, true_slopes, "true"), (galfits, slopes, self._derivatives)):
                found = fine.of(Asked.all(some, by[rows], rows), own.moving, way)  # type: ignore[arg-type]
                matrix[rows] = found.normal.matrix
        free = tuple(self.scene.refs[column] for column in own.free)
        owners = [ref.component for ref in free]
        chi2 = torch.where(true.chi2.isfinite(), true.chi2, solution.chi2)
        numbers = (true.matrix, galfits, floor, chi2, chi2 / ndof.clamp(min=1), ndof)
        results = []
        for row, (job, matrix, galfit, least, sum_, reduced, left) in enumerate(
            zip(jobs, *(t.cpu().numpy() for t in numbers), strict=True)
        ):
            ended = solution.status[row]
            covariance, galfit_covariance = (inverse(one, least, owners) for one in (matrix, galfit))
            if covariance is None or galfit_covariance is None or self._outside(job, galfit, own, row):
                ended = ended if ended.failed else Status.SINGULAR
            if covariance is None or galfit_covariance is None or ended.failed:
                covariance = np.full((len(free), len(free)), np.nan)
                errors = np.full(len(free), np.nan)
            else:
                errors = (galfit_errors if self.accuracy == "galfit" else usual_errors)(galfit_covariance, reduced)
            marked: dict[ParamRef, Parameter] = {}
            for ref, error in zip(free, errors, strict=True):
                marked[ref] = replace(job.parameter(ref), error=float(error))
            results.append(
                FitResult(
                    job=job.updated(marked),
                    status=ended,
                    chi2=float(sum_),
                    ndof=int(left),
                    free=free,
                    covariance=covariance,
                    flags=self._flags(row, job, ended),
                    iterations=solution.iterations[row],
                    attempts=attempts[row],
                    model=shown[row],
                )
            )
        return results

    def _jobs(self, own: Parameters, values: Tensor, rows: Tensor) -> tuple[list[Job], Tensor]:
        """Jobs with numbers (b, V) as they are shown, and these."""
        jobs = [self._final(row, numbers, own) for row, numbers in zip(rows.tolist(), values.tolist(), strict=True)]
        return jobs, self._values(jobs)

    def _look(
        self, own: Parameters, values: Tensor, rows: Tensor, shown: np.ndarray, partials: Tensor
    ) -> tuple[Normal, Tensor]:
        """True normal equations of numbers (b, V), where partials (b,) are wanted, and the threshold of effect.

        The images are put into ``shown`` (B, H, W).
        """
        slopes = own.value_slopes(values)
        limit = torch.where(partials, torch.inf, -torch.inf).to(values.dtype)
        asked = Asked(values, slopes, rows, limit, torch.zeros_like(limit))
        normal, floor, _ = self.equations.of(asked, own.moving, "true", shown)
        return normal, floor

    @property
    def _derivatives(self) -> Derivatives:
        """Of GALFIT's path and error bars."""
        return "true" if self.accuracy == "exact" else "galfit"

    # --- without a fit ---

    def _as_given(self, own: Parameters, status: Status) -> list[FitResult]:
        """The image block at the numbers of the menu; chi^2 is of the model shown."""
        free = tuple(self.scene.refs[column] for column in own.free)
        results = []
        for row, job in enumerate(self.jobs):
            shown = self.scene.shown(self._alone(row))[0]
            residual = self.equations.root[row] * (self.equations.data[row] - shown)
            chi2 = float(residual.square().sum())
            results.append(self._plain(row, job, status, shown, free, chi2, int(self.good[row]) - len(free)))
        return results

    def _rendered(self, with_components: bool) -> list[FitResult]:
        results = []
        for row, job in enumerate(self.jobs):
            drawn = self._alone(row)
            result = self._plain(row, job, Status.MODEL_ONLY, self.scene.shown(drawn)[0])
            parts = tuple(image[0].cpu().numpy() for image in drawn.parts.values()) if with_components else ()
            results.append(replace(result, components=parts))
        return results

    def _alone(self, row: int) -> Rendered:
        """The images of one job at the numbers of its menu."""
        at = torch.tensor([row], device=self.device)
        return self.scene.render(self.scene.start[at], rows=at)

    def _plain(
        self,
        row: int,
        job: Job,
        status: Status,
        image: Tensor,
        free: tuple[ParamRef, ...] = (),
        chi2: float = 0.0,
        ndof: int = 0,
    ) -> FitResult:
        empty = np.zeros((len(free), len(free)))
        return FitResult(job, status, chi2, ndof, free, empty, self._flags(row, job, status), 0, image.cpu().numpy())

    # --- records and tensors ---

    def _outside(self, job: Job, matrix: np.ndarray, own: Parameters, row: int) -> bool:
        """Whether some component lies outside the fitting region and is not seen in it: it cannot be fitted."""
        x1, x2, y1, y2 = self.tasks[row].exposure.region
        seen: dict[int, bool] = {}
        for unknown, column in enumerate(own.free):
            number = self.scene.refs[column].component
            seen[number] = seen.get(number, False) or bool(matrix[unknown, unknown] > 0)
        centres = {
            c.number: (c.parameter("1").value, c.parameter("2").value)
            for c in job.components
            if c.kind != "sky" and not c.is_truncation
        }
        return any(
            not (seen[n] or (x1 <= centres[n][0] <= x2 and y1 <= centres[n][1] <= y2)) for n in seen if n in centres
        )

    def _flags(self, row: int, job: Job, status: Status) -> tuple[str, ...]:
        task = self.tasks[row]
        limit = ("1",) if status is Status.MAX_ITERATIONS else ()
        return task.flags + limit + (("2",) if numerical_problem(job, task.exposure.region) else ())

    def _values(self, jobs: Sequence[Job]) -> Tensor:
        return torch.tensor(
            [[job.parameter(ref).value for ref in self.scene.refs] for job in jobs],
            dtype=self.scene.start.dtype,
            device=self.device,
        )

    def _final(self, row: int, values: Sequence[float], own: Parameters) -> Job:
        return final(self._job(row, values, own), self.jobs[row], self.tasks[row].constraints)

    def _job(self, row: int, values: Sequence[float], own: Parameters) -> Job:
        """The menu of one row with V numbers put in; tied ones marked."""
        job = self.jobs[row]
        changes = {}
        for column, ref in enumerate(self.scene.refs):
            old = job.parameter(ref)
            tied = column in own.tied
            toggle = 2 if tied else old.toggle
            changes[ref] = replace(old, value=values[column], tied=tied, toggle=toggle)
        return job.updated(changes)


def inverse(matrix: np.ndarray, floor: float = 0.0, owners: Sequence[int] = ()) -> np.ndarray | None:
    """Inverse of a normal matrix (P, P), or None where it is singular to working precision.

    Args:
        floor: put on the diagonal where it is 0: an unknown of no effect then has the (huge) variance of one whose
            effect is just not seen.
        owners: (P,) to which component an unknown belongs.  What within one component has no effect, as the shape of
            one that is all in a pixel, has the variance of an effect that is just not seen, too.  Without them it makes
            the matrix singular, as does what has the same effect in two components in any case.
    """
    matrix = matrix + np.diag(np.where(np.diag(matrix) == 0, floor, 0.0))
    diagonal = np.diag(matrix)
    if not (np.isfinite(matrix).all() and (diagonal > 0).all()):
        return None
    scale = 1 / np.sqrt(diagonal)
    scaled = matrix * np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    if values[0] < lm.SINGULAR and len(owners):
        for owner in set(owners):
            own = np.flatnonzero(np.asarray(owners) == owner)
            sizes, ways = np.linalg.eigh(scaled[np.ix_(own, own)])
            unseen = ways[:, sizes < UNSEEN]
            scaled[np.ix_(own, own)] += UNSEEN * unseen @ unseen.T
        values, vectors = np.linalg.eigh(scaled)
    if values[0] < lm.SINGULAR:
        return None
    inverted: np.ndarray = (vectors / values) @ vectors.T * np.outer(scale, scale)
    return inverted


def galfit_errors(covariance: np.ndarray, chi2nu: float) -> np.ndarray:
    """Error bars (P,) by GALFIT's rule: the largest projection of a principal axis of the error ellipsoid.

    err_i = sqrt(chi^2/nu) max_k |V_ik| sqrt(lambda_k) with eigenvectors V and eigenvalues lambda of the covariance in
    the units of the menu (probed); never above the usual sqrt(C_ii chi^2/nu).
    """
    values, vectors = np.linalg.eigh(covariance)
    return np.sqrt(chi2nu) * np.abs(vectors * np.sqrt(values.clip(min=0))).max(axis=1)


def usual_errors(covariance: np.ndarray, chi2nu: float) -> np.ndarray:
    """Error bars (P,): sqrt(C_ii chi^2/nu)."""
    return np.sqrt(chi2nu * np.diag(covariance))

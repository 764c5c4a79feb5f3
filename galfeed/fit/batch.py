"""Fit jobs to their images: chi^2 minimisation, error bars, flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from galfeed.fit import lm, params
from galfeed.fit.attempts import Attempt
from galfeed.fit.attempts import run as fit_attempts
from galfeed.fit.final import final
from galfeed.fit.lm import Normal
from galfeed.fit.params import Parameters
from galfeed.images.exposure import Exposure
from galfeed.job import Constraint, Job, Parameter, ParamRef, Tie
from galfeed.model import scene, supported
from galfeed.model.hygiene import canonical, clamp_sizes, with_near_phases
from galfeed.model.light import Accuracy
from galfeed.model.scene import Scene
from galfeed.model.shape import Derivatives
from galfeed.output.marks import numerical_problem
from galfeed.result import FitResult, Iteration, Status

FIT, MODEL, BLOCK, SUBCOMPONENTS = 0, 1, 2, 3  # P)

TOLERANCE = 1e-6  # of chi^2/nu: the fall of chi^2 still to be had at convergence; (0.001 error bars)^2
BEFORE_THE_FIRST = 1e27  # chi^2 that GALFIT's first line compares with
SINGLE = 2.0**-24  # relative precision of the images that GALFIT computes and writes
STALLED = 1.0  # of chi^2/nu: what GALFIT's way of differentiating may leave at the end
CAREFUL = 1.0  # first damping of sturdy fits


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
) -> list[FitResult]:
    """Fit or render tasks; those of one structure become one batch.

    Args:
        tasks: in any mix.
        max_iterations: of the fit.
        report: called with (index of the task, iteration) as the fit goes.

    Raises:
        UnsupportedError: something that cannot be modelled yet.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, task in enumerate(tasks):
        forms = tuple(params.form(c) for c in task.constraints)
        key = (task.mode, task.accuracy, forms, task.exposure.data is None, scene.structure(task.job, task.exposure))
        groups.setdefault(key, []).append(index)
    results: dict[int, FitResult] = {}
    for members in groups.values():
        batch = _Batch([tasks[i] for i in members])
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


class _Batch:
    """Tasks of one structure with their tensors: data and weight (B, H, W), good pixels (B,)."""

    def __init__(self, tasks: Sequence[Task]) -> None:
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
        self.scene: Scene = scene.build(self.jobs, exposures, accuracy=self.accuracy)
        self.has_data = exposures[0].data is not None
        if self.has_data:
            self.data = torch.as_tensor(np.stack([e.data for e in exposures if e.data is not None]))
            weights = [e.good / e.sigma**2 for e in exposures]
            self.weight = torch.as_tensor(np.stack(weights))
            self.good = torch.as_tensor([int(e.good.sum()) for e in exposures])

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

    def _normal(
        self, values: Tensor, slopes: Tensor, own: Parameters, rows: Tensor, derivatives: Derivatives
    ) -> tuple[Normal, Tensor, Tensor]:
        """Normal equations (b,) and images of numbers (b, V); slopes (b, moving, P): theirs by the unknowns.

        Unknowns whose effect is below the single precision of the image have none: 0 in the equations.  The third
        result is that threshold (b,), in the units of the matrix.
        """
        drawn = self.scene.render(values, own.moving, rows=rows, derivatives=derivatives)
        residual = self.data[rows] - drawn.image
        weight = self.weight[rows]
        chi2 = (weight * residual**2).flatten(1).sum(1)
        flat = drawn.partials.flatten(2)
        weighted = flat * weight.flatten(1)[:, None]
        gradient = weighted @ residual.flatten(1)[:, :, None]
        matrix = weighted @ flat.mT
        gradient, matrix = (slopes.mT @ gradient)[:, :, 0], slopes.mT @ matrix @ slopes
        floor = SINGLE**2 * (weight * drawn.image**2).flatten(1).sum(1)
        alive = matrix.diagonal(dim1=1, dim2=2) > floor[:, None]
        matrix = matrix * alive[:, :, None] * alive[:, None, :]
        return Normal(chi2, gradient * alive, matrix), drawn.image, floor

    def _fitted(
        self,
        own: Parameters,
        sturdy: Parameters,
        max_iterations: int,
        report: Callable[[int, Iteration], None] | None,
    ) -> list[FitResult]:
        every = torch.arange(len(self.jobs))
        ndof = self.good - len(own.free)
        scale = ndof.clamp(min=1)
        positive = [i for i, spec in enumerate(self.scene.specs) if spec.positive]
        told = [0] * len(self.jobs)

        def evaluate(use: Parameters, unknowns: Tensor, rows: Tensor) -> Normal:
            values, slopes = use.values(unknowns, rows)
            normal, *_ = self._normal(values, slopes, use, rows, self._derivatives if use is own else "true")
            possible = (values[:, positive] > 0).all(1)
            return normal._replace(chi2=torch.where(possible, normal.chi2, torch.inf))

        def follow(use: Parameters, rows: Tensor, step: lm.Step) -> None:
            if report is None:
                return
            chosen = rows[step.rows]
            values, _ = use.values(step.unknowns, chosen)
            for i, row in enumerate(chosen.tolist()):
                told[row] += 1
                job = self._final(row, values[i], own)
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
                lambda unknowns, chosen: evaluate(use, unknowns, rows[chosen]),
                use.unknowns(start)[rows],
                use.limits.take(rows),
                strategy,
                tolerance=TOLERANCE / scale[rows],
                stalled=STALLED / scale[rows],
                canonical=None if attempt.sturdy else own.inverted,
                max_iterations=max_iterations,
                report=lambda step: follow(use, rows, step),
            )
            if not attempt.sturdy:
                return solution
            values = own.start.index_copy(0, rows, use.values(solution.unknowns, rows)[0])
            return replace(solution, unknowns=own.unknowns(values)[rows])

        solution, attempts = fit_attempts(minimise, own, sturdy, self.scene, TOLERANCE / scale)
        values, _ = own.values(solution.unknowns, every)
        jobs = [self._final(row, values[row], own) for row in range(len(self.jobs))]
        return self._finished(own, jobs, ndof, solution, attempts)

    def _finished(
        self,
        own: Parameters,
        jobs: list[Job],
        ndof: Tensor,
        solution: lm.Solution,
        attempts: list[int],
    ) -> list[FitResult]:
        """Error bars at the solution, in the units of the menu."""
        values = self._values(jobs)
        every = torch.arange(len(jobs))
        slopes, true_slopes = (own.value_slopes(values, galfit=d == "galfit") for d in (self._derivatives, "true"))
        normal, shown, floor = self._normal(values, slopes, own, every, self._derivatives)
        true = normal
        if not (self.scene.derivatives_agree and torch.equal(slopes, true_slopes)):
            true = self._normal(values, true_slopes, own, every, "true")[0]
        free = tuple(self.scene.refs[column] for column in own.free)
        if len(self._shown()) < len(self.scene.components):
            shown = self.scene.render(values, only=self._shown()).image
        results = []
        for row, job in enumerate(jobs):
            ended = solution.status[row]
            covariance, galfits = (inverse(n.matrix[row].numpy(), float(floor[row])) for n in (true, normal))
            if not ended.failed and (covariance is None or galfits is None or self._outside(job, normal, own, row)):
                ended = Status.SINGULAR
            chi2nu = float(solution.chi2[row]) / max(int(ndof[row]), 1)
            if covariance is None or galfits is None or ended.failed:
                covariance = np.full((len(free), len(free)), np.nan)
                errors = np.full(len(free), np.nan)
            else:
                errors = (galfit_errors if self.accuracy == "galfit" else usual_errors)(galfits, chi2nu)
            marked: dict[ParamRef, Parameter] = {}
            for ref, error in zip(free, errors, strict=True):
                marked[ref] = replace(job.parameter(ref), error=float(error))
            results.append(
                FitResult(
                    job=job.updated(marked),
                    status=ended,
                    chi2=float(solution.chi2[row]),
                    ndof=int(ndof[row]),
                    free=free,
                    covariance=covariance,
                    flags=self._flags(row, job, ended),
                    iterations=solution.iterations[row],
                    attempts=attempts[row],
                    model=shown[row].numpy(),
                )
            )
        return results

    @property
    def _derivatives(self) -> Derivatives:
        """Of GALFIT's path and error bars."""
        return "true" if self.accuracy == "exact" else "galfit"

    # --- without a fit ---

    def _as_given(self, own: Parameters, status: Status) -> list[FitResult]:
        """The image block at the numbers of the menu; chi^2 is of the model shown."""
        shown = self.scene.render(self.scene.start, only=self._shown()).image
        chi2 = (self.weight * (self.data - shown) ** 2).flatten(1).sum(1)
        free = tuple(self.scene.refs[column] for column in own.free)
        return [
            self._plain(row, job, status, shown[row], free, float(chi2[row]), int(self.good[row]) - len(free))
            for row, job in enumerate(self.jobs)
        ]

    def _rendered(self, with_components: bool) -> list[FitResult]:
        shown = self.scene.render(self.scene.start, only=self._shown()).image
        results = [self._plain(row, job, Status.MODEL_ONLY, shown[row]) for row, job in enumerate(self.jobs)]
        if not with_components:
            return results
        alone = list(self.scene.render(self.scene.start).parts.values())
        return [
            replace(result, components=tuple(image[row].numpy() for image in alone))
            for row, result in enumerate(results)
        ]

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
        return FitResult(job, status, chi2, ndof, free, empty, self._flags(row, job, status), 0, image.numpy())

    # --- records and tensors ---

    def _shown(self) -> list[int]:
        return [c.number for c in self.scene.components if not c.skip]

    def _outside(self, job: Job, normal: Normal, own: Parameters, row: int) -> bool:
        """Whether some component lies outside the fitting region and is not seen in it: it cannot be fitted."""
        x1, x2, y1, y2 = self.tasks[row].exposure.region
        seen: dict[int, bool] = {}
        for unknown, column in enumerate(own.free):
            number = self.scene.refs[column].component
            seen[number] = seen.get(number, False) or bool(normal.matrix[row, unknown, unknown] > 0)
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
        )

    def _final(self, row: int, values: Tensor, own: Parameters) -> Job:
        return final(self._job(row, values, own), self.jobs[row], self.tasks[row].constraints)

    def _job(self, row: int, values: Tensor, own: Parameters) -> Job:
        """The menu of one row with numbers (V,) put in; tied ones marked."""
        job = self.jobs[row]
        changes = {}
        for column, ref in enumerate(self.scene.refs):
            old = job.parameter(ref)
            tied = column in own.tied
            toggle = 2 if tied else old.toggle
            changes[ref] = replace(old, value=float(values[column]), tied=tied, toggle=toggle)
        return job.updated(changes)


def inverse(matrix: np.ndarray, floor: float = 0.0) -> np.ndarray | None:
    """Inverse of a normal matrix (P, P), or None where it is singular to working precision.

    Args:
        floor: put on the diagonal where it is 0: an unknown of no effect then has the (huge) variance of one whose
            effect is just not seen.
    """
    matrix = matrix + np.diag(np.where(np.diag(matrix) == 0, floor, 0.0))
    diagonal = np.diag(matrix)
    if not (np.isfinite(matrix).all() and (diagonal > 0).all()):
        return None
    scale = 1 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
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

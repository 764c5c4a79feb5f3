"""What fits have found: jobs in their final numbers with error bars, images, and how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from galfeed.fit import lm
from galfeed.fit.covariance import galfit_errors, inverse, usual_errors
from galfeed.fit.equations import Asked, Found
from galfeed.fit.lm import Normal, Solution
from galfeed.fit.params import Parameters
from galfeed.fit.problem import Problem
from galfeed.job import Job, Parameter, ParamRef
from galfeed.model.shape import Derivatives
from galfeed.result import FitResult, Status

ABOVE = 1e-3  # of chi^2/nu: a rise of chi^2 after which the last step is taken back
ROUNDED = 1e-10  # eigenvalue of a normal matrix that partials in single precision do not settle


class Seen(NamedTuple):
    """What a fit came by on its way: of each problem, at the last point it was seen at.

    Args:
        unknowns: (B, P) of the matrix.  matrix: (B, P, P) of the true derivatives.
        shown: (B, P) unknowns of the image.  floor: (B,) threshold of effect there.  images: (B, H, W).
    """

    unknowns: Tensor
    matrix: Tensor
    shown: Tensor
    floor: Tensor
    images: np.ndarray

    @classmethod
    def none(cls, unknowns: Tensor, shape: tuple[int, int]) -> Seen:
        """Nothing yet; for unknowns like these and images of this shape."""
        nothing = torch.full_like(unknowns, torch.nan)
        images = np.empty((len(unknowns), *shape))
        return cls(nothing, torch.diag_embed(nothing), nothing.clone(), torch.zeros_like(nothing[:, 0]), images)

    def show(self, asked: Asked, chi2: Tensor, images: Tensor) -> None:
        """Keep the images where chi^2 has fallen."""
        fallen = chi2 < asked.below
        self.images[asked.rows[fallen].numpy()] = images[fallen].numpy()

    def keep(self, asked: Asked, unknowns: Tensor, found: Found, *, shown: bool) -> None:
        """Keep the rest, of these unknowns (b, P); ``shown``: the images have been."""
        rows, matrix = asked.rows, found.true
        there = matrix.isfinite().flatten(1).all(1)
        self.unknowns[rows] = torch.where(there[:, None], unknowns, self.unknowns[rows])
        self.matrix[rows] = torch.where(there[:, None, None], matrix, self.matrix[rows])
        if not shown:
            return
        fallen = found.normal.chi2 < asked.below
        self.shown[rows] = torch.where(fallen[:, None], unknowns, self.shown[rows])
        self.floor[rows] = torch.where(fallen, found.floor, self.floor[rows])

    def of(self, unknowns: Tensor) -> Tensor:
        """Which matrices (B,) are of these unknowns."""
        return (self.unknowns == unknowns).all(1) & self.matrix.isfinite().flatten(1).all(1)

    def shows(self, unknowns: Tensor) -> Tensor:
        """Which images (B,) are."""
        return (self.shown == unknowns).all(1)


def fitted(problem: Problem, own: Parameters, solution: Solution, attempts: list[int], seen: Seen) -> list[FitResult]:
    """Results with error bars, in the units of the menu.

    Args:
        own: the unknowns of the solution.
        attempts: how often each fit was started.
        seen: what is known of the solution, or of what it went through.
    """
    ndof = problem.good - len(own.free)
    ends = _Ends.of(problem, own, solution, seen, ndof)
    true, galfits = _matrices(problem, own, solution, ends)
    chi2 = torch.where(ends.true.chi2.isfinite(), ends.true.chi2, solution.chi2)
    free = tuple(problem.scene.refs[column] for column in own.free)
    owners = [ref.component for ref in free]
    numbers = (true, galfits, ends.floor, chi2, chi2 / ndof.clamp(min=1), ndof)
    results = []
    for row, (job, matrix, galfit, least, sum_, reduced, left) in enumerate(
        zip(ends.jobs, *(t.cpu().numpy() for t in numbers), strict=True)
    ):
        status = solution.status[row]
        covariance, galfit_covariance = (inverse(one, least, owners) for one in (matrix, galfit))
        if covariance is None or galfit_covariance is None or _outside(job, galfit, free, problem, row):
            status = status if status.failed else Status.SINGULAR
        if covariance is None or galfit_covariance is None or status.failed:
            covariance = np.full((len(free), len(free)), np.nan)
            errors = np.full(len(free), np.nan)
        else:
            errors = (galfit_errors if problem.accuracy == "galfit" else usual_errors)(galfit_covariance, reduced)
        marked: dict[ParamRef, Parameter] = {}
        for ref, error in zip(free, errors, strict=True):
            marked[ref] = replace(job.parameter(ref), error=float(error))
        results.append(
            FitResult(
                job=job.updated(marked),
                status=status,
                chi2=float(sum_),
                ndof=int(left),
                free=free,
                covariance=covariance,
                flags=problem.flags(row, job, status),
                iterations=solution.iterations[row],
                attempts=attempts[row],
                model=problem.inside(row, ends.images[row]),
            )
        )
    return results


@dataclass(frozen=True)
class _Ends:
    """Where fits end: a step beyond their solutions that nobody has looked at, or there where it led up.

    Args:
        jobs: as they are shown.
        values: (B, V) their numbers.
        near: (B,) whether a matrix of the solution is one of these numbers: of the same, or of others next to them, in
            the units of the menu.
        true: equations there by the true derivatives.
        floor: (B,) threshold of effect.
        images: (B, H, W) that are shown.
    """

    jobs: list[Job]
    values: Tensor
    near: Tensor
    true: Normal
    floor: Tensor
    images: np.ndarray

    @classmethod
    def of(cls, problem: Problem, own: Parameters, solution: Solution, seen: Seen, ndof: Tensor) -> _Ends:
        every = torch.arange(len(problem.jobs), device=problem.device)
        turning = torch.tensor([spec.name == "pa" for spec in problem.scene.specs], device=problem.device)

        def at(unknowns: Tensor, rows: Tensor) -> tuple[list[Job], Tensor, Tensor]:
            """Jobs, their numbers, and whether they are those of the unknowns; turns change nothing."""
            reached, _ = own.values(unknowns[rows], rows)
            jobs, values = problem.all_shown(reached, rows, own)
            return jobs, values, ((values == reached) | turning).all(1)

        jobs, values, same = at(solution.ahead, every)
        near = ~solution.foreign & same & (not own.tied)
        known, shown = near & seen.of(solution.unknowns), near & seen.shows(solution.ahead)
        true = Normal(solution.chi2.clone(), torch.zeros_like(solution.unknowns), seen.matrix.clone())
        floor = seen.floor.clone()

        def look(rows: Tensor, partials: Tensor) -> None:
            if len(rows):
                found, floor[rows] = _look(problem, own, values[rows], rows, partials, seen.images)
                for part, new in zip(true, found, strict=True):
                    part[rows] = new

        unseen = torch.nonzero(~(known & shown))[:, 0]
        look(unseen, ~known[unseen])
        true.matrix[known] = seen.matrix[known]
        above = ~(true.chi2 <= solution.chi2 * (1 + ABOVE / ndof.clamp(min=1)))
        back = torch.nonzero(above & (solution.ahead != solution.unknowns).any(1))[:, 0]
        if len(back):  # the last step crossed a jump of the moved PSF
            again, values[back], same = at(solution.unknowns, back)
            near[back] &= same
            look(back, torch.ones_like(above[back]))
            for row, job in zip(back.tolist(), again, strict=True):
                jobs[row] = job
        return cls(jobs, values, near, true, floor, seen.images)


def _look(
    problem: Problem, own: Parameters, values: Tensor, rows: Tensor, partials: Tensor, images: np.ndarray
) -> tuple[Normal, Tensor]:
    """True normal equations of numbers (b, V), where partials (b,) are wanted, and the threshold of effect.

    Args:
        images: (B, H, W) where the images of these rows are put.
    """
    limit = torch.where(partials, torch.inf, -torch.inf).to(values.dtype)
    asked = Asked(values, own.value_slopes(values), rows, limit, torch.zeros_like(limit))

    def show(asked: Asked, chi2: Tensor, drawn: Tensor) -> None:
        images[asked.rows.cpu().numpy()] = drawn.cpu().numpy()

    normal, floor, _ = problem.equations.of(asked, own.moving, "true", show)
    return normal, floor


def _matrices(problem: Problem, own: Parameters, solution: Solution, ends: _Ends) -> tuple[Tensor, Tensor]:
    """Normal matrices (B, P, P) in the units of the menu, by the true derivatives and by those of error bars."""
    values, true = ends.values, ends.true.matrix
    ways: tuple[Derivatives, Derivatives] = ("true", problem.derivatives)
    slopes = [own.value_slopes(values, galfit=way == "galfit") for way in ways]
    galfits = true
    if not (problem.scene.derivatives_agree and torch.equal(*slopes)):
        galfits = solution.matrix.clone()
        rows = torch.nonzero(~ends.near)[:, 0]
        if len(rows):
            asked = Asked.all(values[rows], slopes[1][rows], rows)
            galfits[rows] = problem.equations.of(asked, own.moving, problem.derivatives).normal.matrix
    rows = torch.nonzero(lm.singular(true, ROUNDED) | lm.singular(galfits, ROUNDED))[:, 0]
    if len(rows) and problem.scene.frame.partials != torch.float64:  # what is left there is rounding
        for matrix, by, way in zip((true, galfits), slopes, ways, strict=True):
            asked = Asked.all(values[rows], by[rows], rows)
            matrix[rows] = problem.equations.precise.of(asked, own.moving, way).normal.matrix
    return true, galfits


def _outside(job: Job, matrix: np.ndarray, free: tuple[ParamRef, ...], problem: Problem, row: int) -> bool:
    """Whether some component lies outside the fitting region and is not seen in it: it cannot be fitted."""
    x1, x2, y1, y2 = problem.tasks[row].exposure.region
    seen: dict[int, bool] = {}
    for unknown, (number, _) in enumerate(free):
        seen[number] = seen.get(number, False) or bool(matrix[unknown, unknown] > 0)
    centres = {
        c.number: (c.parameter("1").value, c.parameter("2").value)
        for c in job.components
        if c.kind != "sky" and not c.is_truncation
    }
    return any(not (seen[n] or (x1 <= centres[n][0] <= x2 and y1 <= centres[n][1] <= y2)) for n in seen if n in centres)


# Without a fit


def as_given(problem: Problem, own: Parameters, status: Status) -> list[FitResult]:
    """The image block at the numbers of the menu; chi^2 is of the model shown."""
    free = tuple(problem.scene.refs[column] for column in own.free)
    results = []
    for row, job in enumerate(problem.jobs):
        shown = problem.scene.shown(problem.alone(row))[0]
        residual = problem.equations.root[row] * (problem.equations.data[row] - shown)
        chi2 = float(residual.square().sum())
        results.append(_plain(problem, row, job, status, shown, free, chi2, int(problem.good[row]) - len(free)))
    return results


def rendered(problem: Problem, with_components: bool) -> list[FitResult]:
    """Model images at the numbers of the menu."""
    results = []
    for row, job in enumerate(problem.jobs):
        drawn = problem.alone(row)
        result = _plain(problem, row, job, Status.MODEL_ONLY, problem.scene.shown(drawn)[0])
        parts = tuple(image[0].cpu().numpy() for image in drawn.parts.values()) if with_components else ()
        results.append(replace(result, components=parts))
    return results


def _plain(
    problem: Problem,
    row: int,
    job: Job,
    status: Status,
    image: Tensor,
    free: tuple[ParamRef, ...] = (),
    chi2: float = 0.0,
    ndof: int = 0,
) -> FitResult:
    empty = np.zeros((len(free), len(free)))
    shown = problem.inside(row, image.cpu().numpy())
    return FitResult(job, status, chi2, ndof, free, empty, problem.flags(row, job, status), 0, shown)

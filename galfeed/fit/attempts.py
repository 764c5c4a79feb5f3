"""Which fits are tried: GALFIT's own path first, then sturdier ones where it ends badly, and the far side of jumps.

The result of a further attempt is taken only where it lowers chi^2 or ends a failure; those that start from the menu
again are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from galfeed.fit.lm import Solution, singular
from galfeed.fit.params import Parameters
from galfeed.model import psf
from galfeed.model.scene import Scene
from galfeed.result import Status

PERTURBATIONS = (0.0, 1.0, -2.0)  # of the start, in the retries
PERTURBATION = 0.05  # of the largest step of each unknown
GOLDEN = 0.6180339887  # spreads the perturbations of neighbouring unknowns evenly
WEAK = 1e-12  # smallest eigenvalue of a normal matrix that soon is singular
ROUGH = 300.0  # times the tolerance: what a fit that goes on patiently can find
NEAR_JUMP = 0.01  # pixels from the half-pixel jump of the moved PSF


@dataclass(frozen=True)
class Attempt:
    """A fit of some rows (b,) of the batch from numbers (b, V).

    ``sturdy``: in other unknowns and with true derivatives; ``patient``: damped by the gain ratio.  Neither: GALFIT's
    path.
    """

    rows: Tensor
    start: Tensor
    sturdy: bool
    patient: bool = False


Minimise = Callable[[Attempt], Solution]
"""Runs an attempt; the unknowns of its solution are those of GALFIT's path in any case."""


def run(
    minimise: Minimise, own: Parameters, sturdy: Parameters, scene: Scene, tolerance: Tensor
) -> tuple[Solution, list[int]]:
    """Fit a batch.

    Args:
        minimise: runs an attempt.
        own, sturdy: the unknowns of GALFIT's path and of the retries.
        scene: the model.
        tolerance: (B,) of convergence, as a fraction of chi^2.

    Returns:
        The best solution of each row and how often it was started from the menu.
    """
    every = torch.arange(len(own.start), device=own.start.device)
    first = best = minimise(Attempt(every, own.start, sturdy=False))
    attempts = [1] * len(every)
    for shift in PERTURBATIONS:
        retry = _retry(sturdy, _bad(best), shift)
        if retry is None:
            break
        best = _merged(best, retry, minimise(retry))
        for row in retry.rows.tolist():
            attempts[row] += 1
    for further in _beyond_galfit(own, scene, best, tolerance):
        best = _merged(best, further, minimise(further))
    beyond = _other_side(own, scene, best)
    if beyond is not None:
        best = _merged(best, beyond, minimise(beyond))
    return replace(best, status=[_ending(*both) for both in zip(first.status, best.status, strict=True)]), attempts


def _ending(galfits: Status, best: Status) -> Status:
    """Of an attempt that found more where GALFIT's path had come to its end: its own limit is not the user's."""
    over = best is Status.MAX_ITERATIONS and galfits is not Status.MAX_ITERATIONS
    return Status.STALLED if over else best


def _bad(solution: Solution) -> Tensor:
    """Rows without a usable solution."""
    rows = torch.arange(len(solution.status), device=solution.chi2.device)
    ended = [s not in (Status.CONVERGED, Status.MAX_ITERATIONS) for s in solution.status]
    return rows[torch.tensor(ended, device=rows.device) | singular(solution.matrix, WEAK)]


def _retry(own: Parameters, rows: Tensor, shift: float) -> Attempt | None:
    """The bad rows from the start of the menu, pushed by ``shift`` perturbations."""
    if len(rows) == 0:
        return None
    start = own.unknowns(own.start)
    phase = torch.arange(start.shape[1], dtype=start.dtype, device=start.device) * GOLDEN % 1 - 0.5
    push = torch.where(own.limits.step.isfinite(), PERTURBATION * own.limits.step * 2 * phase, 0.0)
    values, _ = own.values(own.limits.clamp(start + shift * push)[rows], rows)
    return Attempt(rows, values, sturdy=True)


def _beyond_galfit(own: Parameters, scene: Scene, solution: Solution, tolerance: Tensor) -> list[Attempt]:
    """Rows whose end on GALFIT's path is arbitrary, from where they ended.

    That is so where some unknown has no effect: GALFIT moves it by the noise of its single precision, and the others
    with it.  And where the pixel grid makes chi^2 rough, so that more is promised than GALFIT's steps can find.
    """
    rows = torch.arange(len(solution.status), device=solution.chi2.device)
    ended = torch.tensor([s in (Status.CONVERGED, Status.STALLED) for s in solution.status], device=rows.device)
    ended &= solution.chi2.isfinite()
    lost = (solution.matrix.diagonal(dim1=1, dim2=2) == 0).any(1)
    rough = ~lost & (solution.left > ROUGH * tolerance)
    if scene.derivatives_agree:
        lost, rough = lost | rough, torch.zeros_like(rough)
    values, _ = own.values(solution.unknowns, rows)
    attempts = [
        Attempt(rows[lost & ended], values[lost & ended], sturdy=True),
        Attempt(rows[rough & ended], values[rough & ended], sturdy=False, patient=True),
    ]
    return [a for a in attempts if len(a.rows)]


def _other_side(own: Parameters, scene: Scene, solution: Solution) -> Attempt | None:
    """Rows that ended near a jump of the moved PSF, started again beyond it."""
    if scene.frame.psf is None:
        return None
    rows = torch.arange(len(solution.status), device=solution.chi2.device)
    values, _ = own.values(solution.unknowns, rows)
    moved = values.clone()
    for component in scene.components:
        for name in {"xc", "yc"} & component.columns.keys():
            column = component.columns[name]
            if column not in own.free:
                continue
            _, fraction = psf.position(values[:, column], scene.frame.psf.fine)
            gap = (0.5 - fraction) / scene.frame.psf.fine
            moved[:, column] += torch.where(gap.abs() < NEAR_JUMP, 2 * gap + 0.01 * gap.sign(), 0.0)
    ended = torch.tensor([s.failed for s in solution.status], device=rows.device)
    near = (moved != values).any(1) & ~ended
    return Attempt(rows[near], moved[near], sturdy=False) if bool(near.any()) else None


def _merged(best: Solution, attempt: Attempt, other: Solution) -> Solution:
    """Put in the rows of an attempt that are lower, or that end a failure; none that would be one."""
    rows, status, iterations = attempt.rows, list(best.status), list(best.iterations)
    usable, other_usable = _usable(best)[rows], _usable(other)
    better = (other_usable & ~usable) | ((other_usable == usable) & (other.chi2 < best.chi2[rows]))
    for i, (row, chosen) in enumerate(zip(rows.tolist(), better.tolist(), strict=True)):
        iterations[row] += other.iterations[i]
        if chosen:
            status[row] = other.status[i]

    def put(own: Tensor, new: Tensor) -> Tensor:
        return own.index_copy(0, rows[better], new[better])

    return Solution(
        unknowns=put(best.unknowns, other.unknowns),
        chi2=put(best.chi2, other.chi2),
        matrix=put(best.matrix, other.matrix),
        left=put(best.left, other.left),
        ahead=put(best.ahead, other.ahead),
        status=status,
        iterations=iterations,
        foreign=put(best.foreign, other.foreign),
    )


def _usable(solution: Solution) -> Tensor:
    """Which solutions (b,) are neither failures nor singular."""
    failed = torch.tensor([status.failed for status in solution.status], device=solution.chi2.device)
    return ~(failed | singular(solution.matrix))

"""What comes out of a fit: values, not exceptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from galfeed.job import Job, ParamRef


class Status(Enum):
    """How a fit ended; the value is the message."""

    CONVERGED = "converged: the predicted decrease of chi^2 is negligible"
    MODEL_ONLY = "no fit was asked for"
    NOTHING_FREE = "no parameter is free"
    MAX_ITERATIONS = "the maximum number of iterations was reached before convergence"
    STALLED = "no step lowers chi^2 although the derivatives ask for one"
    SINGULAR = "the normal matrix is singular: some parameters have no effect on the model or the same effect"
    NONFINITE = "the model or chi^2 is not finite at the starting values"

    @property
    def failed(self) -> bool:
        """No solution: nothing is written and the exit code is 1."""
        return self in (Status.SINGULAR, Status.NONFINITE)


@dataclass(frozen=True)
class Iteration:
    """One line of the progress report: number from 1, chi^2/nu, relative change of chi^2, damping, values."""

    number: int
    chi2nu: float
    change: float
    damping: float
    job: Job


@dataclass(frozen=True)
class FitResult:
    """One fitted (or merely rendered) job.

    Args:
        job: the menu with final values; each Parameter carries its error bar by GALFIT's rule and whether it is tied.
        status: how the fit ended.
        chi2: sum over good pixels of ((data - model) / sigma)^2; 0 in model-only runs.
        ndof: good pixels minus free parameters; 0 in model-only runs.
        free: addresses of the free parameters, the order of ``covariance``.
        covariance: (P, P), (J^T W J)^-1 in the units of the menu, not scaled by chi^2/nu.
        flags: GALFIT's FLAGS codes in its order.
        iterations: steps tried, over all attempts.
        attempts: how often the fit was started from the menu; more than once where GALFIT's path ended badly.
        model: (H, W) float64 image of the fitting region in ADU, without the components that Z) skips.
        components: images (H, W) one a component, where asked for.
    """

    job: Job
    status: Status
    chi2: float
    ndof: int
    free: tuple[ParamRef, ...]
    covariance: np.ndarray
    flags: tuple[str, ...]
    iterations: int
    model: np.ndarray
    components: tuple[np.ndarray, ...] = field(default=())
    attempts: int = 1

    @property
    def chi2nu(self) -> float:
        return self.chi2 / self.ndof if self.ndof > 0 else 0.0

    @property
    def standard_errors(self) -> np.ndarray:
        """(P,) the usual one-sigma errors, sqrt(diag(covariance) * chi^2/nu)."""
        return np.sqrt(np.diag(self.covariance) * self.chi2nu)

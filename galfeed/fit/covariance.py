"""From normal matrices to covariances and error bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from galfeed.fit import lm

UNSEEN = 1e-13  # eigenvalue of a normal matrix of unit diagonal that is taken for one whose effect is just not seen


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

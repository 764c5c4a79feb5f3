"""Linear inequalities between unknowns, ``rows @ u <= bounds``: the steps and points that keep them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEGLIGIBLE = 1e-11  # of the largest excess
RIDGE = 1e-12  # lets rows that depend on each other be told apart


def product(left: Tensor, right: Tensor) -> Tensor:
    """Products (b, M, K) of small matrices (b, M, P) and (b, P, K), whose last bits do not depend on their place in
    memory, and so on what else is in the batch, as those of a BLAS do.
    """
    return (left[:, :, :, None] * right[:, None]).sum(2)


@dataclass(frozen=True)
class Couplings:
    """M inequalities of B problems with P unknowns.

    Args:
        rows: (B, M, P).  bounds: (B, M); an infinite one holds always.
    """

    rows: Tensor
    bounds: Tensor

    def take(self, rows: Tensor) -> Couplings:
        """Of some rows of the batch."""
        return Couplings(self.rows[rows], self.bounds[rows])

    @property
    def coupled(self) -> Tensor:
        """(P,) which unknowns take part."""
        return (self.rows != 0).any(1).any(0)

    def nearest(self, unknowns: Tensor) -> Tensor:
        """The point (b, P) nearest to ``unknowns`` that keeps the inequalities."""
        return unknowns + self.correction(unknowns, self.rows.mT)

    def correction(self, trial: Tensor, response: Tensor) -> Tensor:
        """What to add (b, P) to a trial point so that it keeps the inequalities.

        Args:
            trial: (b, P) minimum of a quadratic form.
            response: (b, P, M) inverse of the form's matrix times the transposed rows; the corrected point is the
                form's minimum under the inequalities.
        """
        excess = (self.rows * trial[:, None]).sum(2) - self.bounds
        broken = torch.nonzero((excess > 0).any(1))[:, 0]
        correction = torch.zeros_like(trial)
        if len(broken):
            rows, response = self.rows[broken], response[broken]
            multipliers = _multipliers(product(rows, response), excess[broken])
            correction[broken] = -(response * multipliers[:, None]).sum(2)
        return correction


def _multipliers(gram: Tensor, excess: Tensor) -> Tensor:
    """The least mu >= 0 (b, M) with gram @ mu >= excess, equal where mu > 0; rows without effect have none."""
    size = gram.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    acts = (size > 0) & excess.isfinite()
    inverse = torch.where(acts, 1 / torch.where(acts, size, 1.0), 0.0)
    gram = gram * inverse[:, :, None] * inverse[:, None, :]
    gram.diagonal(dim1=1, dim2=2).add_(RIDGE)
    excess = torch.where(acts, excess, 0.0) * inverse
    return torch.stack([_nonnegative(*row) for row in zip(gram, excess, strict=True)]) * inverse


def _nonnegative(gram: Tensor, excess: Tensor) -> Tensor:
    """Of one problem (M,), for rows of length 1: the active set method of Lawson & Hanson 1974, chapter 23."""
    multipliers = torch.zeros_like(excess)
    active: list[int] = []
    threshold = NEGLIGIBLE * float(excess.abs().max())
    for _ in range(10 * len(excess)):
        lack = excess - gram @ multipliers
        lack[active] = -torch.inf
        if float(lack.max()) <= threshold:
            break
        active.append(int(lack.argmax()))
        while active:
            solved = torch.linalg.solve(gram[active][:, active], excess[active])
            before = multipliers[active]
            if bool((solved > 0).all()):
                multipliers[active] = solved
                break
            way = torch.where(solved <= 0, before / (before - solved).clamp(min=1e-300), 1.0)
            multipliers[active] = before + float(way.min()) * (solved - before)
            left = [at for at, ended in zip(active, (way == way.min()).tolist(), strict=True) if not ended]
            multipliers[[at for at in active if at not in left]] = 0.0
            active = left
    return multipliers

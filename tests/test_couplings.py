"""Steps and points that keep linear inequalities, beside the best over all sets of active ones."""

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from galfeed.fit.couplings import Couplings
from galfeed.fit.lm import Limits, Normal, minimise
from galfeed.result import Status

UNKNOWNS, ROWS = 3, 4


def best(matrix, gradient, rows, bounds):
    """The least of s A s / 2 - g s under rows @ s <= bounds, from the solutions on every set of equalities."""
    least, where = torch.inf, None
    for count in range(UNKNOWNS + 1):
        for active in combinations(range(ROWS), count):
            own = rows[list(active)]
            square = torch.zeros(UNKNOWNS + count, UNKNOWNS + count, dtype=torch.float64)
            square[:UNKNOWNS, :UNKNOWNS], square[:UNKNOWNS, UNKNOWNS:], square[UNKNOWNS:, :UNKNOWNS] = (
                matrix,
                own.T,
                own,
            )
            solved, info = torch.linalg.solve_ex(square, torch.cat([gradient, bounds[list(active)]]))
            step = solved[:UNKNOWNS]
            if info or not bool((rows @ step <= bounds + 1e-7).all()):
                continue
            value = float(step @ matrix @ step / 2 - gradient @ step)
            if value < least:
                least, where = value, step
    return least, where


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_the_corrected_step_is_the_best_that_keeps_the_inequalities(seed):
    random = torch.Generator().manual_seed(seed)
    root = torch.randn(UNKNOWNS, UNKNOWNS, generator=random, dtype=torch.float64)
    matrix = root @ root.T + 0.1 * torch.eye(UNKNOWNS, dtype=torch.float64)
    gradient = 3 * torch.randn(UNKNOWNS, generator=random, dtype=torch.float64)
    rows = torch.randn(ROWS, UNKNOWNS, generator=random, dtype=torch.float64)
    bounds = torch.rand(ROWS, generator=random, dtype=torch.float64)  # 0 keeps them
    inverse = torch.linalg.inv(matrix)
    couplings = Couplings(rows[None], bounds[None])
    free = (inverse @ gradient)[None]
    step = (free + couplings.correction(free, (inverse @ rows.T)[None]))[0]
    least, where = best(matrix, gradient, rows, bounds)
    assert where is not None
    assert bool((rows @ step <= bounds + 1e-7).all())
    assert float(step @ matrix @ step / 2 - gradient @ step) == pytest.approx(least, rel=1e-6, abs=1e-7)


def test_what_keeps_the_inequalities_is_not_moved():
    couplings = Couplings(torch.tensor([[[1.0, -1.0]]]), torch.tensor([[0.5]]))
    point = torch.tensor([[1.0, 0.5]])
    assert torch.equal(couplings.nearest(point), point)
    assert couplings.nearest(torch.tensor([[2.0, 0.5]]))[0].tolist() == pytest.approx([1.5, 1.0])


def test_an_infinite_bound_and_a_row_of_nothing_hold_always():
    couplings = Couplings(torch.tensor([[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]), torch.tensor([[torch.inf, -1.0, 2.0]]))
    assert couplings.nearest(torch.tensor([[9.0, 3.0]]))[0].tolist() == [9.0, 2.0]


def rosenbrock(unknowns, rows, below=None):
    x, y = unknowns.unbind(1)
    residual = torch.stack([1 - x, 10 * (y - x**2)], 1)
    jacobian = torch.stack([torch.stack([-1 + 0 * x, 0 * x], 1), torch.stack([-20 * x, 10 + 0 * x], 1)], 1)
    gradient = -(jacobian.mT @ residual[:, :, None])[:, :, 0]
    return Normal((residual**2).sum(1), gradient, jacobian.mT @ jacobian)


def test_a_fit_ends_at_the_best_point_that_keeps_them():
    """Rosenbrock's valley cut off at x + y <= 0.5, and only for the second problem at x - y >= 1 too."""
    rows = torch.tensor([[[1.0, 1.0], [-1.0, 1.0]]] * 2, dtype=torch.float64)
    bounds = torch.tensor([[0.5, torch.inf], [0.5, -1.0]], dtype=torch.float64)
    wide = torch.full((2, 2), torch.inf, dtype=torch.float64)
    start = torch.tensor([[-1.2, 1.0], [-1.2, -3.0]], dtype=torch.float64)
    solution = minimise(rosenbrock, start, Limits(-wide, wide, wide, Couplings(rows, bounds)), max_iterations=300)
    assert solution.status == [Status.CONVERGED] * 2
    (x, y), (u, v) = solution.unknowns.tolist()
    assert (x + y, u - v) == pytest.approx((0.5, 1.0))
    for across, own, step in ((x, 0, (1e-3, -1e-3)), (u, 1, (1e-3, 1e-3))):
        least = float(solution.chi2[own])
        for sign in (-1, 1):
            other = solution.unknowns[own : own + 1] + sign * torch.tensor([step], dtype=torch.float64)
            assert float(rosenbrock(other, None).chi2) >= least - 1e-9, across

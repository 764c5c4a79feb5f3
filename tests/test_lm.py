"""The minimiser on textbook problems of known minimum (More, Garbow & Hillstrom 1981, ACM TOMS 7, 17)."""

import math
from dataclasses import replace

import pytest
import torch

from galfeed.fit.damping import Countdown, Gain
from galfeed.fit.lm import Limits, Normal, Quick, minimise
from galfeed.result import Status


def rosenbrock(u):
    return torch.stack([10 * (u[..., 1] - u[..., 0] ** 2), 1 - u[..., 0]], -1)


def powell_singular(u):
    a, b, c, d = u.unbind(-1)
    return torch.stack([a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2], -1)


def beale(u):
    x, y = u.unbind(-1)
    return torch.stack([1.5 - x * (1 - y), 2.25 - x * (1 - y**2), 2.625 - x * (1 - y**3)], -1)


def bard(u):
    y = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
    i = torch.arange(1.0, 16.0, dtype=torch.float64)
    a, b, c = (t[..., None] for t in u.unbind(-1))
    return torch.tensor(y, dtype=torch.float64) - (a + i / (b * (16 - i) + c * i.minimum(16 - i)))


def misra(u):  # y = a (1 - exp(-b x)), exact data for a = 2, b = 0.5
    x = torch.arange(1.0, 9.0, dtype=torch.float64)
    return 2 * (1 - (-0.5 * x).exp()) - u[..., :1] * (1 - (-u[..., 1:] * x).exp())


PROBLEMS = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0], [1.0, 1.0], 0.0),
    "powell": (powell_singular, [3.0, -1.0, 0.0, 1.0], None, 0.0),
    "beale": (beale, [1.0, 0.8], [3.0, 0.5], 0.0),
    "bard": (bard, [1.0, 1.0, 1.0], [0.08241, 1.1330, 2.3437], 8.21487e-3),
    "misra": (misra, [1.0, 1.0], [2.0, 0.5], 0.0),
}


def normal_equations(residual):
    """Of data - model = residual(u), for a batch."""

    def evaluate(unknowns, rows, below=None):
        value = residual(unknowns)
        jacobian = torch.stack([torch.autograd.functional.jacobian(residual, u) for u in unknowns])
        gradient = -(jacobian.mT @ value[..., None])[..., 0]
        return Normal((value**2).sum(1), gradient, jacobian.mT @ jacobian)

    return evaluate


def free(count, batch=1):
    wide = torch.full((batch, count), math.inf, dtype=torch.float64)
    return Limits(-wide, wide, wide)


@pytest.mark.parametrize("strategy", [Gain, Countdown])
@pytest.mark.parametrize("name", PROBLEMS)
def test_reaches_the_known_minimum(name, strategy):
    residual, start, answer, least = PROBLEMS[name]
    start = torch.tensor([start], dtype=torch.float64)
    solution = minimise(normal_equations(residual), start, free(start.shape[1]), strategy(), max_iterations=300)
    assert float(solution.chi2) == pytest.approx(least, rel=1e-4, abs=1e-9)
    if answer is not None:
        assert solution.unknowns[0].tolist() == pytest.approx(answer, rel=1e-3)


def test_stops_at_a_limit_and_is_optimal_along_it():
    start = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    limits = free(2)
    limits.upper[0, 0] = 0.5
    solution = minimise(normal_equations(rosenbrock), start, limits)
    assert solution.status == [Status.CONVERGED]
    assert solution.unknowns[0].tolist() == pytest.approx([0.5, 0.25], abs=1e-6)


def test_no_step_is_longer_than_the_limit():
    start = torch.tensor([[0.1, 0.1]], dtype=torch.float64)
    limits = Limits(free(2).lower, free(2).upper, torch.full((1, 2), 0.25, dtype=torch.float64))
    path = [start[0]]
    minimise(normal_equations(misra), start, limits, report=lambda step: path.append(step.unknowns[0].clone()))
    assert len(path) > 5
    assert max(float((b - a).abs().max()) for a, b in zip(path, path[1:], strict=False)) <= 0.25 + 1e-12


def test_each_of_a_batch_ends_as_if_alone_also_beside_a_nan():
    starts = torch.tensor([[-1.2, 1.0], [2.0, 2.0], [math.nan, 1.0], [0.0, 0.0]], dtype=torch.float64)
    together = minimise(normal_equations(rosenbrock), starts, free(2, 4))
    assert together.status[2] is Status.NONFINITE
    for row in (0, 1, 3):
        alone = minimise(normal_equations(rosenbrock), starts[row : row + 1], free(2))
        assert together.status[row] is alone.status[0]
        assert together.iterations[row] == alone.iterations[0]
        assert torch.equal(together.unknowns[row], alone.unknowns[0])


def test_the_iteration_limit_is_reported():
    start = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    solution = minimise(normal_equations(rosenbrock), start, free(2), max_iterations=2)
    assert solution.status == [Status.MAX_ITERATIONS]
    assert solution.iterations == [2]


def test_chi2_never_rises():
    seen = []
    start = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    minimise(normal_equations(rosenbrock), start, free(2), report=lambda step: seen.append(float(step.chi2)))
    assert seen == sorted(seen, reverse=True)


def test_an_unknown_without_effect_stays():
    def residual(u):
        return misra(u[..., :2])

    start = torch.tensor([[1.0, 1.0, 7.0]], dtype=torch.float64)
    solution = minimise(normal_equations(residual), start, free(3))
    assert solution.unknowns[0].tolist() == pytest.approx([2.0, 0.5, 7.0], abs=1e-4)


def test_the_countdown_changes_damping_tenfold_and_skips_steps_that_differ_by_nothing():
    """From the minimum of a wrong gradient every step is refused: 1e-3, 1e-2, ... 1e5 are the ten tries."""

    def evaluate(unknowns, rows, below=None):
        chi2 = 1 + unknowns[:, 0] ** 2
        return Normal(chi2, torch.ones_like(unknowns), torch.ones(len(unknowns), 1, 1, dtype=torch.float64))

    seen = []
    start = torch.zeros(1, 1, dtype=torch.float64)
    solution = minimise(evaluate, start, free(1), Countdown(), report=lambda s: seen.append(float(s.damping)))
    assert seen == pytest.approx([10.0**k for k in range(-1, 10)])
    assert solution.status == [Status.STALLED]


def test_a_step_down_leaves_a_positive_number_positive():
    limits = Limits(*(torch.full((1, 2), end, dtype=torch.float64) for end in (-math.inf, math.inf, math.inf)))
    own = replace(limits, positive=torch.tensor([True, False]))
    here = torch.tensor([[2.0, 2.0]], dtype=torch.float64)
    for step in (-1e-6, -1.0, -5.0, 3.0):
        expected = 2 * math.exp(step / 2) if step < 0 else 2 + step
        assert own.after(here, torch.full_like(here, step)).tolist() == [pytest.approx([expected, 2 + step])]


def test_the_quick_way_is_left_before_the_end():
    """It is wrong by a little; the solution is the accurate one, and few steps were asked for accurately."""
    truth, asked = normal_equations(bard), {"quick": 0, "accurate": 0}

    def accurate(unknowns, rows, below=None):
        asked["accurate"] += len(rows)
        return truth(unknowns, rows)

    def quick(unknowns, rows, below=None):
        asked["quick"] += len(rows)
        found = truth(unknowns, rows)
        return found._replace(chi2=found.chi2 * 1.001, gradient=found.gradient * 1.001)

    start = torch.tensor([[1.0, 1.0, 1.0], [0.3, 2.0, 5.0]], dtype=torch.float64)
    expected = minimise(truth, start, free(3, 2))
    above = torch.full((2,), 0.1, dtype=torch.float64)
    found = minimise(accurate, start, free(3, 2), quick=Quick(quick, above, ahead=10.0))
    torch.testing.assert_close(found.unknowns, expected.unknowns, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.chi2, expected.chi2, rtol=1e-10, atol=0)
    assert asked["quick"] > 2 and 0 < asked["accurate"] < sum(expected.iterations) + 2


def test_what_is_reached_the_quick_way_is_looked_at_accurately():
    """One step leads to the minimum, and there nothing is promised any more; or there are no more steps."""
    target = torch.tensor([[3.0, 1.0]], dtype=torch.float64)

    def equations(error, unknowns, rows, below=None):
        away = target[rows] - unknowns
        identity = torch.eye(2, dtype=torch.float64).expand(len(rows), -1, -1)
        return Normal(1 + error + away.square().sum(1), away, identity)

    above = torch.tensor([1e-3], dtype=torch.float64)
    for most in (0, 1, 20):
        found = minimise(
            lambda *asked: equations(0.0, *asked),
            torch.zeros_like(target),
            free(2),
            max_iterations=most,
            quick=Quick(lambda *asked: equations(0.5, *asked), above),
        )
        assert float(found.chi2) == pytest.approx(1 + float((target - found.unknowns).square().sum()), rel=1e-9)


def test_a_canonical_form_is_applied_to_every_trial():
    seen = []

    def evaluate(unknowns, rows, below=None):
        seen.append(float(unknowns[0, 0]))
        return normal_equations(misra)(unknowns, rows)

    start = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    minimise(evaluate, start, free(2), canonical=lambda u: u.abs())
    assert min(seen) >= 0


def test_a_perfect_fit_ends():
    """A model that falls towards 0 for ever: where nothing is left of chi^2 there is nothing to gain."""

    def evaluate(u, rows, below=None):
        value = u.exp()  # data 0
        return Normal(value.square().sum(1), -value.square(), value.square()[:, :, None])

    wide = torch.full((1, 1), math.inf, dtype=torch.float64)
    limits = Limits(-wide, wide, torch.ones(1, 1, dtype=torch.float64))
    solution = minimise(evaluate, torch.zeros(1, 1, dtype=torch.float64), limits, Countdown())
    assert solution.status == [Status.CONVERGED]
    assert 1e-40 < solution.chi2.item() < 1e-38


@pytest.mark.parametrize("strategy", [Gain, Countdown])
@pytest.mark.parametrize("room", [1, 2, 3, 5])
def test_problems_wait_for_room_and_end_as_if_they_had_not(room, strategy):
    starts = torch.tensor([[-1.2, 1.0], [1.0, 1.0], [2.0, 2.0], [0.0, 0.0], [math.nan, 0.0]], dtype=torch.float64)
    evaluate, sizes, seen = normal_equations(rosenbrock), [], {row: [] for row in range(5)}

    def watched(unknowns, rows, below=None):
        sizes.append(len(rows))
        return evaluate(unknowns, rows, below)

    def report(step):
        for row, chi2 in zip(step.rows.tolist(), step.chi2.tolist(), strict=True):
            seen[row].append(chi2)

    at_once = minimise(evaluate, starts, free(2, 5), strategy())
    later = minimise(watched, starts, free(2, 5), strategy(), room=room, report=report)
    assert torch.equal(at_once.unknowns[:4], later.unknowns[:4])
    assert torch.equal(at_once.ahead[:4], later.ahead[:4])
    assert (at_once.status, at_once.iterations) == (later.status, later.iterations)
    assert later.status[4] is Status.NONFINITE
    assert max(sizes) == room
    assert [len(own) for own in seen.values()] == later.iterations
    assert [own[-1] for own in seen.values() if own] == later.chi2[torch.tensor(later.iterations) > 0].tolist()


def test_a_refused_step_is_the_end_where_little_was_promised():
    def evaluate(unknowns, rows, below=None):  # a gradient that is wrong: no step lowers chi^2
        return Normal(
            1 + unknowns[:, 0].abs(), torch.full_like(unknowns, 0.01), torch.ones(len(unknowns), 1, 1).double()
        )

    start = torch.zeros(1, 1, dtype=torch.float64)
    patient = minimise(evaluate, start, free(1), Countdown(), tolerance=1e-9)
    settled = minimise(evaluate, start, free(1), Countdown(), tolerance=1e-9, settled=1e-3)
    assert settled.iterations == [1] and patient.iterations[0] > 1
    assert settled.status == [Status.CONVERGED]


@pytest.mark.parametrize(("tolerance", "last"), [(3e-3, True), (3e-2, False)])
def test_a_last_step_is_taken_where_it_is_worth_it(tolerance, last):
    def evaluate(unknowns, rows, below=None):
        return Normal(1 + unknowns[:, 0] ** 2, -unknowns, torch.ones(len(unknowns), 1, 1).double())

    start = torch.tensor([[0.01]], dtype=torch.float64)  # 1e-4 of chi^2 is left
    found = minimise(evaluate, start, free(1), Gain(), tolerance=tolerance)
    assert found.iterations == [0] and found.unknowns.tolist() == [[0.01]]
    assert found.ahead.item() == pytest.approx(0.0 if last else 0.01, abs=1e-12)

"""Fits of simulated galaxies whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from simulate import component, exposure, image, job, noisy, star, truncation

from galfeed import fit
from galfeed.fit import Task, params, results
from galfeed.fit.covariance import inverse
from galfeed.fit.equations import Asked
from galfeed.fit.problem import Problem
from galfeed.job import PairRange, Parameter, ParamRef, Range, Tie
from galfeed.result import Status


def changed(own, **by_key):
    """A job with other starting values; keys are ``c1_4`` for component 1, line 4."""
    changes = {}
    for name, value in by_key.items():
        ref = ParamRef(int(name[1]), name[3:])
        changes[ref] = replace(own.parameter(ref), value=value)
    return own.updated(changes)


SKY = component(2, "sky", free=("sky",), dsdx=0.0, dsdy=0.0)
GALAXY = job(component(1, "sersic", mag=16.0), SKY, width=50, height=44)
START = changed(GALAXY, c1_1=18.2, c1_2=15.0, c1_3=16.5, c1_4=8.0, c1_5=1.2, c1_9=0.9, c1_10=60.0, c2_1=10.0)


def single(task, **options):
    return fit.run([task], **options)[0]


@pytest.mark.parametrize("images", [{}, {"psf": star()}], ids=["no psf", "psf"])
def test_recovers_the_truth_within_the_errors(images):
    result = single(Task(START, noisy(GALAXY, noise=2.0, **images)))
    assert result.status is Status.CONVERGED
    assert result.chi2nu == pytest.approx(1.0, abs=0.1)
    for ref, error in zip(result.free, result.standard_errors, strict=True):
        assert abs(result.job.parameter(ref).value - GALAXY.parameter(ref).value) < 4 * error, ref


def test_error_bars_are_galfits_rule_and_the_standard_ones():
    result = single(Task(START, noisy(GALAXY, noise=2.0)))
    galfit = np.array([result.job.parameter(ref).error for ref in result.free])
    assert (galfit > 0).all()
    assert (galfit <= result.standard_errors * 1.01).all()


def test_the_scatter_of_fits_is_the_standard_error():
    jobs = [GALAXY] * 30
    tasks = [Task(j, noisy(j, noise=2.0, seed=s)) for s, j in enumerate(jobs)]
    results = fit.run(tasks)
    pulls = [
        (r.job.parameter(ref).value - GALAXY.parameter(ref).value) / error
        for r in results
        for ref, error in zip(r.free, r.standard_errors, strict=True)
    ]
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)


def test_a_batch_gives_what_its_members_give_alone():
    starts = [START, changed(START, c1_4=3.0), changed(START, c1_5=4.0, c1_3=15.0)]
    tasks = [Task(j, noisy(GALAXY, noise=2.0, seed=s, psf=star())) for s, j in enumerate(starts)]
    broken = replace(tasks[1].exposure, data=np.full_like(tasks[1].exposure.data, np.nan))
    together = fit.run([tasks[0], replace(tasks[1], exposure=broken), tasks[2]])
    assert together[1].status is Status.NONFINITE
    for i in (0, 2):
        alone = single(tasks[i])
        for ref in alone.free:
            difference = abs(alone.job.parameter(ref).value - together[i].job.parameter(ref).value)
            assert difference <= 1e-6 * alone.job.parameter(ref).error


@pytest.mark.parametrize("free", [None, ()], ids=["all free", "disk fixed"])
def test_a_fit_is_the_same_beside_one_that_is_drawn_in_another_way(free):
    """Very flat galaxies are drawn on the general path, which does not know the true derivatives."""
    fixed = {} if free is None else {"free": free}
    tasks = []
    for seed, q in enumerate((0.6, 0.08, 0.7)):
        disk = component(3, "expdisk", xc=24.0, yc=20.0, rs=6.0, mag=17.0, q=q, **fixed)
        own = job(component(1, "sersic", mag=16.0), SKY, disk, width=50, height=44)
        tasks.append(Task(own, noisy(own, noise=2.0, seed=seed, psf=star())))
    for together, task in zip(fit.run(tasks), tasks, strict=True):
        alone = single(task)
        assert (together.job, together.chi2, together.iterations) == (alone.job, alone.chi2, alone.iterations)
        assert np.array_equal(together.covariance, alone.covariance)
        assert np.array_equal(together.model, alone.model)


def test_what_was_seen_where_a_fit_ends_is_not_drawn_again(monkeypatch):
    starts = [START, changed(START, c1_4=3.0), changed(START, c1_5=4.0, c1_3=15.0), changed(START, c1_9=0.5), GALAXY]
    tasks = [Task(j, noisy(GALAXY, noise=2.0, seed=s, psf=star())) for s, j in enumerate(starts)]
    look, looked = results._look, []

    def watched(problem, own, values, rows, partials, images):
        looked.append(len(rows))
        return look(problem, own, values, rows, partials, images)

    monkeypatch.setattr(results, "_look", watched)
    found = fit.run(tasks)
    assert sum(looked) < len(tasks)
    monkeypatch.setattr(results.Seen, "shows", lambda seen, unknowns: torch.zeros(len(unknowns), dtype=torch.bool))
    for own, again in zip(found, fit.run(tasks), strict=True):
        assert own.job == again.job
        # an angle that was turned is shown in single precision
        assert own.chi2 == pytest.approx(again.chi2, rel=1e-10)
        assert np.allclose(own.model, again.model, rtol=2e-7, atol=0)
        assert np.allclose(own.covariance, again.covariance, rtol=1e-9)
    assert sum(looked) > len(tasks)


def test_chi2_and_ndof_count_good_pixels_only():
    exposed = noisy(GALAXY, noise=2.0)
    good = exposed.good.copy()
    good[:, :5] = False
    data = np.where(good, exposed.data, 1e6)
    result = single(Task(START, replace(exposed, good=good, data=data)))
    assert result.ndof == good.sum() - len(result.free)
    residual = (data - result.model)[good] / 2.0
    assert result.chi2 == pytest.approx((residual**2).sum(), rel=1e-9)


def test_ties_and_limits_act_inside_the_fit():
    truth = job(
        component(1, "sersic", mag=16.0),
        component(2, "expdisk", mag=16.5, rs=9.0, xc=17.8125),
        width=60,
        height=50,
    )
    start = changed(truth, c1_1=18.0, c2_1=18.5, c1_5=3.0)
    rules = (
        Tie((1, 2), "1", "offset"),
        Range(1, "5", 0.5, 1.8),
        PairRange(1, 2, "3", "difference", -0.4, 3.0),
    )
    result = single(Task(start, noisy(truth), rules))
    got = result.job
    assert got.components[1].parameter("1").value - got.components[0].parameter("1").value == pytest.approx(0.5)
    assert got.components[1].parameter("1").tied
    assert got.components[0].parameter("5").value == pytest.approx(1.8)
    assert got.components[0].parameter("3").value - got.components[1].parameter("3").value >= -0.4 - 1e-9
    assert len(result.free) == 12


def test_an_axis_ratio_above_one_comes_back_canonical():
    start = changed(START, c1_9=1.6, c1_10=-63.0, c1_4=3.0)
    got = single(Task(start, noisy(GALAXY))).job.components[0]
    assert got.parameter("9").value == pytest.approx(0.63, abs=0.02)
    assert got.parameter("10").value == pytest.approx(27.0, abs=2)
    assert got.parameter("4").value == pytest.approx(4.3, rel=0.05)


def test_fixed_numbers_stay():
    fixed = replace(START, components=(component(1, "sersic", free=("mag", "re")), SKY))
    result = single(Task(fixed, noisy(GALAXY)))
    assert [r.key for r in result.free] == ["3", "4", "1"]
    assert result.job.components[0].parameter("5") == Parameter(2.3)


def test_the_iteration_limit_sets_flag_1():
    result = single(Task(START, noisy(GALAXY), flags=("A-2",)), max_iterations=2)
    assert (result.status, result.flags, result.iterations) == (Status.MAX_ITERATIONS, ("A-2", "1"), 2)


def test_two_skies_have_no_solution():
    twice = job(component(1, "sky", free=("sky",)), component(2, "sky", free=("sky",)))
    result = single(Task(twice, exposure(twice, data=np.ones((31, 34)))))
    assert result.status is Status.SINGULAR
    assert result.status.failed


def test_two_equal_components_are_told_apart():
    truth = job(
        component(1, "sersic", mag=16.0),
        component(2, "sersic", mag=16.4, xc=27.4, yc=20.1),
        width=50,
        height=44,
    )
    same = changed(truth, c2_1=17.3125, c2_2=15.78125, c2_3=16.0)
    result = single(Task(same, noisy(truth)))
    assert result.status is Status.CONVERGED
    assert result.chi2nu < 1.2


@pytest.mark.parametrize(("mode", "chi2"), [(fit.MODEL, False), (fit.BLOCK, True)])
def test_without_a_fit_the_numbers_stay(mode, chi2):
    result = single(Task(START, noisy(GALAXY), mode=mode))
    assert result.status is Status.MODEL_ONLY
    assert result.job == START
    assert (result.chi2 > 0) is chi2
    assert np.array_equal(result.model, image(START))


def test_components_add_up_to_the_model():
    own = job(component(1, "sersic"), component(2, "sky"), component(3, "gaussian", skip=1))
    result = single(Task(own, noisy(own), mode=fit.SUBCOMPONENTS))
    assert len(result.components) == 3
    assert np.allclose(result.components[0] + result.components[1], result.model)


def test_progress_is_reported_in_order():
    seen = []
    single(Task(START, noisy(GALAXY)), report=lambda index, step: seen.append((index, step.number, step.chi2nu)))
    assert [s[1] for s in seen] == list(range(1, len(seen) + 1))
    assert [s[2] for s in seen] == sorted((s[2] for s in seen), reverse=True)


def test_jobs_with_other_constraints_are_not_one_batch():
    truth = job(component(1, "sersic", mag=16.0), component(2, "expdisk", mag=16.5, rs=9.0), width=50, height=44)
    exposed = noisy(truth)
    rules = [
        (Tie((1, 2), "1", "offset"),),
        (Tie((1, 2), "2", "offset"),),
        (Range(1, "5", 0.5, 2.0),),
        (Range(1, "5", 0.5, 8.0),),
    ]
    together = fit.run([Task(truth, exposed, rule) for rule in rules])
    for rule, result in zip(rules, together, strict=True):
        alone = single(Task(truth, exposed, rule))
        assert alone.free == result.free
        for ref in alone.free:
            assert result.job.parameter(ref).value == pytest.approx(alone.job.parameter(ref).value, rel=1e-9)


def test_a_number_without_effect_on_the_light_is_no_error():
    """A truncation along the height of an edge-on disk has no axis ratio."""
    cut = truncation(2, "height", ellipse=True, free=("q",), rbrk=8.0, dsft=4.0)
    own = job(component(1, "edgedisk", free=("mu",), outer=(2,)), cut, width=30, height=28)
    result = single(Task(own, noisy(own, noise=2.0, psf=star())))
    assert result.status is Status.CONVERGED
    assert result.job.parameter(ParamRef(2, "9")).value == own.parameter(ParamRef(2, "9")).value
    assert result.job.parameter(ParamRef(1, "3")).value != own.parameter(ParamRef(1, "3")).value


def test_what_has_no_effect_within_a_component_has_a_huge_error_bar():
    """Unknowns 0 and 1 do the same; that is no solution where they are of two components."""
    jacobian = np.random.default_rng(1).normal(size=(40, 4))
    jacobian[:, 1] = 2 * jacobian[:, 0]
    matrix = jacobian.T @ jacobian
    assert inverse(matrix) is None
    assert inverse(matrix, owners=(1, 2, 1, 2)) is None
    covariance = inverse(matrix, owners=(1, 1, 1, 2))
    apart = np.linalg.inv(matrix[2:, 2:])
    assert (np.diag(covariance)[:2] > 1e10 * np.diag(apart).max()).all()
    assert (np.diag(covariance)[2:] < 2 * np.diag(apart)).all()


def test_normal_matrices_of_what_is_all_in_one_pixel_are_no_less_than_zero():
    """Its partial images are alike to 1e-6 and are sums of planes that are a thousand times larger."""
    own = job(component(1, "sersic", mag=15.0, re=0.11, n=1.6, q=0.08), SKY, width=50, height=44)
    problem = Problem([Task(own, noisy(own, noise=2.0, psf=star()))], torch.device("cpu"), "mixed", None)
    unknowns = params.build(problem.scene, problem.jobs, [()], logarithms=False)
    asked = Asked.all(problem.scene.start, unknowns.value_slopes(problem.scene.start), torch.tensor([0]))
    careful, fast = problem.equations.precise, problem.equations.precise
    fast.careful = False
    careful, fast = (equations.of(asked, unknowns.moving, "true").normal for equations in (careful, fast))
    scale = careful.matrix.diagonal(dim1=1, dim2=2).rsqrt()[0]
    careful_matrix, fast_matrix = (normal.matrix[0] * scale * scale[:, None] for normal in (careful, fast))
    smallest, *_, largest = torch.linalg.eigvalsh(careful_matrix).tolist()
    assert -1e-15 < smallest < 1e-9 < largest
    torch.testing.assert_close(fast_matrix, careful_matrix, rtol=0, atol=1e-9)
    torch.testing.assert_close(fast.gradient[0] * scale, careful.gradient[0] * scale, rtol=0, atol=1e-6)

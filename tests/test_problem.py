"""Jobs whose regions have about the same size are drawn on regions of one size."""

from dataclasses import replace

import numpy as np
import pytest
from simulate import component, exposure, job, noisy, star, truncation

from galfeed import fit
from galfeed.fit import problem
from galfeed.fit.problem import MODEL, Task
from galfeed.result import Status

SIZES = ((50, 41), (51, 46), (56, 48), (49, 43))
"""Width and height: margins on one side, on both, none, odd ones."""

GRADIENT = component(2, "sky", free=("sky", "dsdx", "dsdy"), dsdx=0.02, dsdy=-0.03)


def tasks(*components, box=(30, 28)):
    found = []
    for seed, (width, height) in enumerate(SIZES):
        own = job(*components, width=width, height=height, box=box)
        found.append(Task(own, noisy(own, noise=0.5, seed=seed, psf=star())))
    return found


CASES = {
    "sersic": [component(1, "sersic", xc=20.3, yc=19.6), GRADIENT],
    "off the middle": [component(1, "sersic", xc=8.3, yc=33.6), GRADIENT],
    "small": [component(1, "expdisk", rs=0.5, q=0.4), component(2, "sky"), component(3, "psf", xc=30.0, yc=9.0)],
}


@pytest.mark.parametrize("case", CASES)
def test_margins_make_no_difference(case, monkeypatch):
    """But for rounding; a fit may end a little elsewhere within its tolerance."""
    made = tasks(*CASES[case])
    assert {task.drawn for task in made} == {(48, 56)}
    results = fit.run(made)
    monkeypatch.setattr(problem, "STEPS", {})
    assert [task.drawn for task in made] == [(height, width) for width, height in SIZES]
    for task, result, expected in zip(made, results, fit.run(made), strict=True):
        assert (result.status, expected.status) == (Status.CONVERGED, Status.CONVERGED)
        assert result.ndof == expected.ndof
        assert result.chi2 == pytest.approx(expected.chi2, rel=1e-9)
        assert result.model.shape == task.exposure.shape and result.model.flags.c_contiguous
        np.testing.assert_allclose(result.model, expected.model, rtol=0, atol=1e-6 * expected.model.max())
        np.testing.assert_allclose(
            result.covariance, expected.covariance, rtol=0.01, atol=1e-3 * np.abs(expected.covariance).max()
        )
        for ref, error in zip(expected.free, expected.standard_errors, strict=True):
            assert abs(result.job.parameter(ref).value - expected.job.parameter(ref).value) < 1e-3 * error, ref


@pytest.mark.parametrize("case", CASES)
def test_a_job_is_the_same_alone_and_beside_others_of_about_its_size(case):
    made = tasks(*CASES[case])
    for task, beside in zip(made, fit.run(made), strict=True):
        (alone,) = fit.run([task])
        assert (alone.job, alone.chi2, alone.iterations) == (beside.job, beside.chi2, beside.iterations)
        assert np.array_equal(alone.covariance, beside.covariance)
        assert np.array_equal(alone.model, beside.model)


def test_what_is_given_is_drawn_the_same():
    """Nothing is free."""
    (own, *_) = tasks(component(1, "sersic", free=()), component(2, "sky", free=()))
    (result,) = fit.run([own])
    assert result.status is Status.NOTHING_FREE
    model = fit.run([replace(own, mode=MODEL)])[0].model
    np.testing.assert_allclose(result.model, model, rtol=0, atol=1e-12 * model.max())


def test_what_depends_on_what_is_beside_it_has_no_margins():
    def drawn(*components, psf=True, **changes):
        own = job(*components, width=50, height=41, box=(30, 28))
        made = exposure(own, psf=star() if psf else None, data=np.zeros((41, 50)))
        return replace(Task(own, made), **changes).drawn

    plain = component(1, "sersic")
    assert drawn(plain) == (48, 56)
    assert drawn(plain, psf=False) == (41, 50)
    assert drawn(plain, mode=MODEL) == (41, 50)
    assert drawn(plain, accuracy="exact") == (41, 50)
    assert drawn(component(1, "moffat")) == (41, 50)
    assert drawn(component(1, "sersic", c0=True)) == (41, 50)
    assert drawn(component(1, "sersic", inner=(2,)), truncation(2, "radial")) == (41, 50)


def test_sizes():
    assert [problem._extended(n) for n in (1, 8, 57, 64, 65, 80, 128, 241, 256, 257, 2000)] == [
        8, 8, 64, 64, 80, 80, 128, 256, 256, 257, 2000,
    ]  # fmt: skip

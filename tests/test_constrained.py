"""Fits under constraints end where fits end that have the same numbers fixed or tied instead."""

from dataclasses import replace

import pytest
from simulate import component, job, noisy

from galfeed import fit
from galfeed.fit import Task
from galfeed.job import PairRange, ParamRef, Range, Tie
from galfeed.result import Status

SKY = component(3, "sky", free=("sky",), dsdx=0.0, dsdy=0.0)
BULGE = component(1, "sersic", xc=14.3, yc=16.2, mag=17.0, re=3.0, n=1.5, q=0.8, pa=30.0)
DISK = component(2, "sersic", xc=24.4, yc=20.3, mag=17.3, re=4.0, n=1.0, q=0.6, pa=-40.0)
TRUTH = job(BULGE, DISK, SKY, width=40, height=36)
EXPOSURE = noisy(TRUTH, noise=2.0)


def started(*moved, fixed=()):
    """The job with numbers (component, key, value) to start from and others (component, key) held."""
    changes = {ParamRef(n, key): replace(TRUTH.parameter(ParamRef(n, key)), value=value) for n, key, value in moved}
    changes |= {
        ParamRef(n, key): replace(changes.get(ParamRef(n, key), TRUTH.parameter(ParamRef(n, key))), toggle=0)
        for n, key in fixed
    }
    return TRUTH.updated(changes)


def ended(own, *constraints):
    return fit.run([Task(own, EXPOSURE, constraints)])[0]


def value(result, number, key):
    return result.job.parameter(ParamRef(number, key)).value


@pytest.mark.parametrize(
    ("own", "constraints", "like", "instead"),
    [
        (
            started((1, "1", 14.0)),
            [Range(1, "1", -0.5, 0.1, relative=True)],
            started((1, "1", 14.1), fixed=[(1, "1")]),
            [],
        ),
        (started((1, "5", 2.0)), [Range(1, "5", 1.8, 4.0)], started((1, "5", 1.8), fixed=[(1, "5")]), []),
        (started((1, "5", 1.0)), [Range(1, "5", 1.8, 4.0)], started((1, "5", 1.8), fixed=[(1, "5")]), []),
        (
            TRUTH,
            [PairRange(1, 2, "3", "difference", -0.1, 0.5)],
            started((1, "3", 17.2)),
            [Tie((1, 2), "3", "offset")],
        ),
        (TRUTH, [PairRange(2, 1, "4", "ratio", 1.0, 1.2)], started((2, "4", 3.6)), [Tie((1, 2), "4", "ratio")]),
        (
            TRUTH,
            [PairRange(2, 1, "4", "ratio", 1.0, 1.2), Range(1, "4", 1.0, 2.9)],
            started((1, "4", 2.9), (2, "4", 3.48), fixed=[(1, "4"), (2, "4")]),
            [],
        ),
        (
            TRUTH,
            [PairRange(2, 1, "4", "ratio", 1.0, 1.7), Range(1, "4", 1.0, 2.8), Range(2, "4", 1.0, 20.0)],
            started((1, "4", 2.8), fixed=[(1, "4")]),
            [],
        ),
        (
            TRUTH,
            [Tie((1, 2), "10", "offset"), Range(1, "10", -360.0, 360.0), Range(1, "9", 0.0, 1.0)],
            TRUTH,
            [Tie((1, 2), "10", "offset")],
        ),
    ],
    ids=["relative", "range", "outside", "difference", "ratio", "both", "one", "wide"],
)
def test_an_active_limit_is_like_a_fixed_or_tied_number(own, constraints, like, instead):
    limited, other = ended(own, *constraints), ended(like, *instead)
    assert limited.status is Status.CONVERGED
    assert limited.chi2 == pytest.approx(other.chi2, rel=1e-5)
    for ref in limited.free:
        error = other.job.parameter(ref).error or limited.job.parameter(ref).error
        assert abs(value(limited, *ref) - value(other, *ref)) < 0.1 * error + 1e-6, ref
    free_ones = len([ref for ref in limited.free if limited.job.parameter(ref).free])
    assert limited.ndof == 40 * 36 - free_ones


def test_all_pairs_hold():
    constraints = [
        PairRange(1, 2, "1", "difference", -10.0, -9.9),
        PairRange(1, 2, "3", "difference", -0.2, 0.0),
        PairRange(2, 1, "3", "ratio", 1.0, 1.01),
        PairRange(1, 2, "10", "difference", 0.0, 60.0),
    ]
    result = ended(TRUTH, *constraints)
    assert -10 <= round(value(result, 1, "1") - value(result, 2, "1"), 6) <= -9.9
    assert -0.2 <= round(value(result, 1, "3") - value(result, 2, "3"), 6) <= 0
    assert 1 <= round(value(result, 2, "3") / value(result, 1, "3"), 6) <= 1.01
    assert 0 <= round(value(result, 1, "10") - value(result, 2, "10"), 6) <= 60


def test_an_angle_far_off_is_found_under_the_usual_ranges():
    """A bad angle makes the axis ratio pass 1, also where both have ranges."""
    ranges = [Range(1, "9", 0.0, 1.0), Range(1, "10", -360.0, 360.0), Range(1, "4", 0.0, 500.0), Range(1, "5", 0.1, 8)]
    own = started((1, "10", -55.0), (1, "9", 0.9))
    assert ended(own, *ranges).chi2 == pytest.approx(ended(TRUTH).chi2, rel=1e-5)


@pytest.mark.parametrize("mode", [fit.MODEL, fit.BLOCK, fit.SUBCOMPONENTS])
def test_ties_are_marked_without_a_fit(mode):
    result = fit.run([Task(TRUTH, EXPOSURE, (Tie((1, 2), "1", "offset"),), mode=mode)])[0]
    assert [c.parameter("1").tied for c in result.job.components[:2]] == [False, True]

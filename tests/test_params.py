"""Free, tied, paired and limited numbers."""

import math

import pytest
import torch
from simulate import component, exposure, job

from galfeed.errors import UnsupportedError
from galfeed.fit import params
from galfeed.job import PairRange, ParamRef, Range, Tie
from galfeed.model import scene


def unknowns(own, *constraints):
    made = scene.build([own], [exposure(own)])
    return made, params.build(made, [own], [constraints])


def two(**second):
    values = {"xc": 18.0, "mag": 19.0, "re": 8.6, "n": 1.0, "q": 0.5} | second
    return job(component(1, "sersic"), component(2, "sersic", **values), component(3, "sky", free=("sky",)))


def value(made, values, number, key):
    return float(values[0, made.refs.index(ParamRef(number, key))])


def moved(own, amount=0.1):
    """Values after every unknown was moved by the same amount."""
    start = own.unknowns(own.start) + amount
    return own.values(start.clamp(own.limits.lower, own.limits.upper), torch.arange(1))[0]


def test_unknowns_and_values_are_inverse():
    made, own = unknowns(two())
    there, _ = own.values(own.unknowns(made.start), torch.arange(1))
    assert torch.allclose(there, made.start, rtol=1e-14)
    assert len(own.free) == 15


def test_offset_keeps_the_difference_and_frees_one_number_less():
    made, own = unknowns(two(), Tie((1, 2), "1", "offset"))
    assert len(own.free) == 14
    values = moved(own)
    assert value(made, values, 2, "1") - value(made, values, 1, "1") == pytest.approx(18.0 - 17.3125)


def test_ratio_keeps_the_ratio():
    made, own = unknowns(two(), Tie((1, 2), "4", "ratio"))
    values = moved(own)
    assert value(made, values, 2, "4") / value(made, values, 1, "4") == pytest.approx(8.6 / 4.3)
    assert value(made, values, 1, "4") == pytest.approx(4.3 * math.exp(0.1))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Range(1, "5", 0.5, 2.35), (0.5, 2.35)),
        (Range(1, "5", -0.1, 0.2, relative=True), (2.2, 2.5)),
        (Range(1, "1", -1.0, 0.05, relative=True), (16.3125, 17.3625)),
    ],
)
def test_ranges_are_absolute_or_relative(limit, expected):
    made, own = unknowns(two(), limit)
    for amount, end in ((-3.0, expected[0]), (3.0, expected[1])):
        assert value(made, moved(own, amount), 1, limit.key) == pytest.approx(end)


def test_a_start_outside_its_range_is_moved_in():
    made, own = unknowns(two(), Range(1, "5", 3.0, 4.0))
    assert value(made, own.start, 1, "5") == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("pair", "measure"),
    [
        (PairRange(1, 2, "3", "difference", -1.05, -0.5), lambda a, b: a - b),
        (PairRange(1, 2, "4", "ratio", 0.45, 0.55), lambda a, b: a / b),
        (PairRange(2, 1, "1", "difference", 0.5, 0.75), lambda a, b: a - b),
    ],
)
def test_pairs_stay_in_their_range(pair, measure):
    made, own = unknowns(two(), pair)
    assert len(own.free) == 15
    for amount in (-2.0, -0.01, 0.01, 2.0):
        values = moved(own, amount)
        now = measure(value(made, values, pair.first, pair.key), value(made, values, pair.second, pair.key))
        assert pair.low - 1e-9 <= now <= pair.high + 1e-9


def test_slopes_are_the_derivatives_of_the_values():
    made, own = unknowns(
        two(),
        Tie((1, 2), "1", "offset"),
        PairRange(2, 1, "4", "ratio", 1.5, 3.0),
        PairRange(1, 2, "3", "difference", -2, 0),
    )
    start, step = own.unknowns(own.start), 1e-6
    _, slopes = own.values(start, torch.arange(1))
    for unknown in range(start.shape[1]):
        up, down = start.clone(), start.clone()
        up[0, unknown] += step
        down[0, unknown] -= step
        expected = (own.values(up, torch.arange(1))[0] - own.values(down, torch.arange(1))[0]) / (2 * step)
        assert torch.allclose(slopes[0, :, unknown], expected[0, list(own.moving)], atol=1e-7)


def test_a_tie_to_a_fixed_number_holds_the_follower():
    own_job = job(component(1, "sersic", free=("mag",)), component(2, "sersic"))
    made, own = unknowns(own_job, Tie((1, 2), "1", "offset"))
    assert made.refs.index(ParamRef(2, "1")) in own.tied
    assert value(made, moved(own), 2, "1") == pytest.approx(17.3125)


def test_range_on_the_first_of_a_pair_is_refused():
    with pytest.raises(UnsupportedError):
        unknowns(two(), PairRange(1, 2, "3", "difference", -2, 0), Range(1, "3", 10, 20))


def test_an_axis_ratio_may_pass_one_only_where_it_can_be_turned():
    q = ParamRef(1, "9")
    made, own = unknowns(job(component(1, "sersic")))
    assert own.limits.upper[0, own.free.index(made.refs.index(q))] > math.log(50)
    for free, constraints in ((("q", "pa"), ()), (True, (Range(1, "9", 0.1, 3.0),))):
        made, own = unknowns(job(component(1, "sersic", free=free)), *constraints)
        limit = float(own.limits.upper[0, own.free.index(made.refs.index(q))])
        assert limit <= math.log(3.0)

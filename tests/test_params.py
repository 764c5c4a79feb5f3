"""Free, tied, paired and limited numbers."""

import math

import pytest
import torch
from simulate import component, exposure, job

from galfeed.fit import params
from galfeed.job import PairRange, ParamRef, Range, Tie
from galfeed.model import scene


def unknowns(own, *constraints, logarithms=True):
    made = scene.build([own], [exposure(own)])
    return made, params.build(made, [own], [constraints], logarithms=logarithms)


def two(**second):
    values = {"xc": 18.0, "mag": 19.0, "re": 8.6, "n": 1.0, "q": 0.5} | second
    return job(component(1, "sersic"), component(2, "sersic", **values), component(3, "sky", free=("sky",)))


def value(made, values, number, key):
    return float(values[0, made.refs.index(ParamRef(number, key))])


def moved(own, amount=0.1):
    """Values after every unknown was moved by the same amount."""
    start = own.unknowns(own.start) + amount
    return own.values(own.limits.clamp(start), torch.arange(1))[0]


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


def test_of_the_ranges_of_a_number_all_hold_and_else_the_later():
    for limits, expected in (
        ([Range(1, "5", 1.0, 3.0), Range(1, "5", 2.0, 4.0)], (2.0, 3.0)),
        ([Range(1, "5", 1.0, 2.0), Range(1, "5", 3.0, 4.0)], (3.0, 4.0)),
    ):
        made, own = unknowns(two(), *limits)
        ends = [value(made, moved(own, amount), 1, "5") for amount in (-9.0, 9.0)]
        assert ends == pytest.approx(expected)


@pytest.mark.parametrize("logarithms", [True, False], ids=["sturdy", "galfit"])
@pytest.mark.parametrize(
    ("pair", "measure"),
    [
        (PairRange(1, 2, "3", "difference", -1.05, -0.5), lambda a, b: a - b),
        (PairRange(1, 2, "4", "difference", -3.0, -1.0), lambda a, b: a - b),
        (PairRange(1, 2, "4", "ratio", 0.45, 0.55), lambda a, b: a / b),
        (PairRange(1, 2, "4", "ratio", 0.6, math.inf), lambda a, b: a / b),
        (PairRange(2, 1, "1", "difference", 0.5, 0.75), lambda a, b: a - b),
        (PairRange(1, 2, "10", "ratio", 0.5, 2.0), lambda a, b: a / b),
    ],
)
def test_pairs_stay_in_their_range(pair, measure, logarithms):
    made, own = unknowns(two(pa=-20.0), pair, logarithms=logarithms)
    assert len(own.free) == 15
    for amount in (-2.0, -0.01, 0.0, 0.01, 2.0):
        values = moved(own, amount)
        now = measure(value(made, values, pair.first, pair.key), value(made, values, pair.second, pair.key))
        assert pair.low - 1e-9 <= now <= pair.high + 1e-9


def test_the_first_of_a_pair_is_moved_into_its_range():
    made, own = unknowns(two(), PairRange(1, 2, "3", "difference", -0.5, 0.5))
    assert value(made, own.start, 1, "3") == pytest.approx(18.5)
    assert value(made, own.start, 2, "3") == pytest.approx(19.0)


@pytest.mark.parametrize("amount", [-3.0, -0.3, 0.0, 0.3, 3.0])
def test_pairs_and_ranges_of_the_same_numbers_hold_together(amount):
    constraints = (
        PairRange(1, 2, "3", "difference", -2, -0.8),
        Range(1, "3", 17.9, 18.1),
        Range(2, "3", 18.0, 18.95),
        PairRange(1, 2, "4", "ratio", 0.4, 0.6),
        PairRange(2, 1, "4", "difference", 3.0, 4.0),
    )
    made, own = unknowns(two(), *constraints)
    values = moved(own, amount)
    first, second, size, other = (value(made, values, n, key) for key in "34" for n in (1, 2))
    assert 17.9 - 1e-9 <= first <= 18.1 + 1e-9
    assert 18.0 - 1e-9 <= second <= 18.95 + 1e-9
    assert -2 - 1e-9 <= first - second <= -0.8 + 1e-9
    assert 0.4 - 1e-9 <= size / other <= 0.6 + 1e-9
    assert 3.0 - 1e-9 <= other - size <= 4.0 + 1e-9


@pytest.mark.parametrize("amount", [-2.0, 2.0])
def test_a_pair_of_a_tied_number_limits_what_it_follows(amount):
    own_job = job(component(1, "sersic"), component(2, "sersic", re=8.6), component(3, "sersic", re=6.0))
    made, own = unknowns(own_job, Tie((1, 2), "4", "ratio"), PairRange(2, 3, "4", "difference", 1.0, 3.0))
    values = moved(own, amount)
    first, second, third = (value(made, values, n, "4") for n in (1, 2, 3))
    assert second / first == pytest.approx(2.0)
    assert 1.0 - 1e-9 <= second - third <= 3.0 + 1e-9


def test_a_pair_of_a_fixed_number_does_nothing():
    own_job = job(component(1, "sersic", free=("mag",)), component(2, "sersic"))
    for first, second in ((1, 2), (2, 1)):
        _, own = unknowns(own_job, PairRange(first, second, "1", "difference", 1.0, 2.0))
        assert own.limits.couplings is None
        assert torch.equal(own.start, unknowns(own_job)[1].start)


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


def test_in_galfits_error_bars_a_sky_that_follows_does_not_count():
    made, own = unknowns(two(), Tie((1, 3), "1", "offset"))
    first, level = (made.refs.index(ParamRef(n, "1")) for n in (1, 3))
    for galfit, slope in ((False, 1.0), (True, 0.0)):
        slopes = own.value_slopes(own.start, galfit=galfit)[0, :, own.free.index(first)]
        assert [float(slopes[own.moving.index(column)]) for column in (first, level)] == [1.0, slope]


def test_in_galfits_error_bars_a_ratio_counts_like_an_offset():
    made, own = unknowns(two(), Tie((1, 2), "4", "ratio"))
    first, second = (made.refs.index(ParamRef(n, "4")) for n in (1, 2))
    for galfit, slope in ((False, 2.0), (True, 1.0)):
        slopes = own.value_slopes(own.start, galfit=galfit)[0, :, own.free.index(first)]
        assert [float(slopes[own.moving.index(column)]) for column in (first, second)] == [1.0, slope]


def test_a_tie_to_a_fixed_number_holds_the_follower():
    own_job = job(component(1, "sersic", free=("mag",)), component(2, "sersic"))
    made, own = unknowns(own_job, Tie((1, 2), "1", "offset"))
    assert made.refs.index(ParamRef(2, "1")) in own.tied
    assert value(made, moved(own), 2, "1") == pytest.approx(17.3125)


def test_a_number_tied_to_itself_is_held():
    made, own = unknowns(two(), Tie((2, 2), "1", "offset"), Tie((1, 2), "2", "offset"))
    assert len(own.free) == 13
    assert value(made, moved(own), 2, "1") == 18.0


def test_a_tie_of_three_and_a_chain_of_ties():
    own_job = job(component(1, "sersic"), component(2, "sersic", re=8.6), component(3, "sersic", re=6.45))
    for ties in ([Tie((1, 2, 3), "4", "ratio")], [Tie((1, 2), "4", "ratio"), Tie((2, 3), "4", "ratio")]):
        made, own = unknowns(own_job, *ties)
        assert len(own.free) == 19
        sizes = [value(made, moved(own), n, "4") for n in (1, 2, 3)]
        assert [size / sizes[0] for size in sizes] == pytest.approx([1, 2, 1.5])
        assert sizes[0] > 4.5


def test_an_axis_ratio_may_pass_one_only_where_it_can_be_turned():
    q = ParamRef(1, "9")
    made, own = unknowns(job(component(1, "sersic")))
    assert own.limits.upper[0, own.free.index(made.refs.index(q))] > math.log(50)
    for free, constraints in ((("q", "pa"), ()), (True, (Range(1, "9", 0.1, 3.0),))):
        made, own = unknowns(job(component(1, "sersic", free=free)), *constraints)
        limit = float(own.limits.upper[0, own.free.index(made.refs.index(q))])
        assert limit <= math.log(3.0)


@pytest.mark.parametrize(
    ("constraints", "inverted"),
    [
        ((), True),
        ((Range(1, "9", 0.0, 1.0),), True),
        ((Range(1, "4", 0.0, 300.0), Range(1, "10", -360.0, 360.0)), True),
        ((Tie((1, 2), "9", "offset"),), True),
        ((Range(1, "9", 0.1, 0.9),), False),
        ((Range(1, "9", 1.5, 2.0),), False),
    ],
)
def test_on_galfits_path_an_axis_ratio_beyond_one_is_inverted_before_its_range_is_looked_at(constraints, inverted):
    made, own = unknowns(two(), *constraints, logarithms=False)
    unknown = own.free.index(made.refs.index(ParamRef(1, "9")))
    trial = own.unknowns(own.start)
    trial[0, unknown] = 1.25
    trial = own.limits.clamp(own.inverted(own.limits.clamp(trial)))
    assert (float(trial[0, unknown]) == pytest.approx(0.8)) == inverted


@pytest.mark.parametrize(
    ("limit", "start", "ends"),
    [
        (Range(1, "10", -360.0, 360.0), 27.0, (-math.inf, math.inf)),
        (Range(1, "10", 0.0, 180.0), 27.0, (-math.inf, math.inf)),
        (Range(1, "10", 200.0, 220.0), 27.0, (20.0, 40.0)),
        (Range(1, "10", -170.0, -150.0), 27.0, (10.0, 30.0)),
        (Range(1, "10", 80.0, 110.0), 80.0, (80.0, 110.0)),
        (Range(1, "10", 110.0, 140.0), -40.0, (-70.0, -40.0)),
        (Range(1, "10", -10.0, 5.0, relative=True), 27.0, (17.0, 32.0)),
    ],
)
def test_a_range_is_turned_towards_the_angle(limit, start, ends):
    made, own = unknowns(two(), limit, logarithms=False)
    unknown = own.free.index(made.refs.index(ParamRef(1, "10")))
    assert value(made, own.start, 1, "10") == pytest.approx(start)
    assert (float(own.limits.lower[0, unknown]), float(own.limits.upper[0, unknown])) == pytest.approx(ends)


def test_jobs_of_a_batch_keep_their_own_limits():
    jobs = [two(), two(mag=18.5)]
    made = scene.build(jobs, [exposure(own) for own in jobs])
    limits = [
        [PairRange(1, 2, "3", "difference", low, 0.0), Range(1, "5", 2.0, high)] for low, high in ((-1, 3), (-0.2, 4))
    ]
    own = params.build(made, jobs, limits)
    unknown = own.limits.clamp(own.unknowns(own.start) + torch.tensor([[-1.0], [1.0]]))
    values, _ = own.values(unknown, torch.arange(2))
    for row, (low, high) in enumerate(((-1, 3), (-0.2, 4))):
        first, second, index = (
            float(values[row, made.refs.index(ParamRef(*r))]) for r in ((1, "3"), (2, "3"), (1, "5"))
        )
        assert low - 1e-9 <= first - second <= 1e-9
        assert 2.0 - 1e-9 <= index <= high + 1e-9

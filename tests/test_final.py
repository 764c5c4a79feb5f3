"""Numbers as they are shown: canonical, as far as constraints hold in them."""

from dataclasses import replace

import pytest
from simulate import component, job

from galfeed.fit.final import final
from galfeed.job import PairRange, Parameter, ParamRef, Range, Tie

START = job(component(1, "sersic", pa=40.0), component(2, "sersic", pa=-30.0), component(3, "sersic", pa=80.0))


def shown(constraints, **numbers):
    """Values after a fit that ended at ``c1_10=97.0`` and so on, as they are shown."""
    refs = {ParamRef(int(name[1]), name[3:]): Parameter(value, 1) for name, value in numbers.items()}
    ended = final(START.updated(refs), START, constraints)
    return [round(ended.parameter(ref).value, 3) for ref in refs]


def test_without_constraints_the_canonical_numbers():
    assert shown([], c1_4=4.0, c1_9=1.25, c1_10=97.0) == [5.0, 0.8, 7.0]


@pytest.mark.parametrize(
    "constraint", [Range(1, "9", 0.1, 2.0), Tie((1, 2), "4", "ratio"), PairRange(1, 2, "9", "ratio", 0, 9)]
)
def test_size_and_axis_ratio_are_not_exchanged_under_a_constraint(constraint):
    assert shown([constraint], c1_4=4.0, c1_9=1.25, c1_10=97.0) == [4.0, 1.25, -83.0]


@pytest.mark.parametrize(
    ("limit", "angle"),
    [
        (Range(1, "10", 80.0, 120.0), 97.0),
        (Range(1, "10", -60.0, 60.0, relative=True), 97.0),
        (Range(1, "10", 0.0, 180.0), 97.0),
        (Range(1, "10", -90.0, 90.0), -83.0),
        (Range(1, "10", -360.0, 360.0), -83.0),
        (Range(1, "10", 180.0, 400.0), 277.0),
        (Range(1, "5", 1.0, 2.0), -83.0),
    ],
)
def test_an_angle_is_shown_within_its_range(limit, angle):
    assert shown([limit], c1_10=97.0) == [angle]


def test_linked_angles_are_turned_together():
    links = [Tie((1, 2), "10", "offset"), PairRange(2, 3, "10", "difference", -200, 0)]
    assert shown(links, c1_10=97.0, c2_10=27.0, c3_10=85.0) == [-83.0, -153.0, -95.0]
    assert shown([Tie((1, 2), "10", "ratio")], c1_10=97.0, c2_10=-72.75, c3_10=97.0) == [97.0, -72.75, -83.0]


@pytest.mark.parametrize(
    ("limits", "angles"),
    [
        ([Range(2, "10", 0.0, 90.0)], [97.0, 27.0]),
        ([Range(2, "10", 180.0, 270.0)], [277.0, 207.0]),
        ([Range(1, "10", 180.0, 300.0), Range(2, "10", 0.0, 20.0)], [-83.0, -153.0]),  # no turn is right for both
    ],
)
def test_linked_angles_are_turned_into_their_ranges(limits, angles):
    assert shown([Tie((1, 2), "10", "offset"), *limits], c1_10=97.0, c2_10=27.0) == angles


def test_phases_keep_their_ranges_too():
    hidden = {"fourier": (1, 3)}
    own = job(component(1, "sersic", hidden=hidden), component(2, "sersic", hidden=hidden))
    for key, limit, value, expected in (
        ("f3p", Range(1, "f3p", 60.0, 90.0), 75.0, 75.0),
        ("f3p", Range(1, "f3p", 0.0, 120.0), 75.0, 75.0),
        ("f1p", Range(1, "f1p", -180.0, 180.0), 190.0, -170.0),
        ("10", Range(1, "10", -90.0, 100.0), 95.0, 95.0),
    ):
        ended = own.updated({ParamRef(1, key): replace(own.parameter(ParamRef(1, key)), value=value)})
        assert final(ended, own, [limit]).parameter(ParamRef(1, key)).value == pytest.approx(expected)

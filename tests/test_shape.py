"""Radius and area of shapes, against the formulae in numpy and at places where they are known."""

import math
import re

import numpy as np
import pytest
import torch

from galfeed.model.light import Light
from galfeed.model.shape import Shape
from galfeed.profiles import PROFILES

RE = 4.0
WINDING = {"wind_in": 8.0, "wind_out": 14.0, "wind_angle": 110.0, "incl": 0.0, "spa": 0.0}
POWER, LOG = WINDING | {"wind_alpha": 0.6}, WINDING | {"wind_scale": 3.2}
ANYWHERE = np.random.default_rng(5).uniform(-20, 20, (2, 300))


def mode(m, amplitude, phase):
    return {f"f{m}_amp": amplitude, f"f{m}_phase": phase}


def orders(pattern, numbers):
    return tuple(int(found[1]) for name in numbers if (found := re.fullmatch(pattern, name)))


def light(numbers, accuracy="exact"):
    rotation = "power" if "wind_alpha" in numbers else "log" if "wind_scale" in numbers else ""
    shape = Shape(rotation, orders(r"b(\d)", numbers), "c0" in numbers, orders(r"f(\d)_amp", numbers))
    return Light(PROFILES["sersic"], 0, shape, (), frozenset(), accuracy)


def prepared(own, numbers):
    values = {"xc": 0.0, "yc": 0.0, "re": RE, "n": 1.0, "q": 1.0, "pa": 0.0} | numbers
    values = {name: torch.tensor([number], dtype=torch.float64) for name, number in values.items()}
    return values | own.derived(values)


def radius(x, y, numbers, accuracy="exact"):
    own = light(numbers, accuracy)
    points = (torch.as_tensor(np.atleast_1d(axis), dtype=torch.float64) for axis in (x, y))
    (found,), left = own.geometry(*points, prepared(own, numbers))
    assert left is None
    return found.numpy()


def towards(angle, distance):
    """Offsets at a position angle: 0 up, counter-clockwise."""
    angle = np.radians(angle)
    return -distance * np.sin(angle), distance * np.cos(angle)


def winding(reach, given):
    """Degrees by which the disc is turned, Peng et al. 2010, eq. 26 to 28, with 0.46 in place of 0.23."""
    total, outer = given["wind_angle"], given["wind_out"]
    sharp = 2 * 0.46 / (math.radians(abs(total)) + 0.46) - 1.00001
    rate = (2 - math.atanh(sharp)) * outer / (outer - given["wind_in"])
    onset = 0.5 * (np.tanh(rate * (reach / outer - 1) + 2) + 1)
    if "wind_alpha" in given:
        return total * onset * (0.5 * (reach / outer + 1)) ** given["wind_alpha"]
    return total * onset * np.log(reach / given["wind_scale"] + 1) / np.log(outer / given["wind_scale"] + 1)


def formula(x, y, given):
    """The radius in complex numbers: z points along the major axis, away from PA, its real part."""
    given = {"q": 1.0, "pa": 0.0, "c0": 0.0} | given
    z = x + 1j * y
    if "wind_angle" in given:
        z = z * np.exp(-1j * np.radians(given["spa"]))
        z = z.real + 1j * z.imag / np.cos(np.radians(given["incl"]))
        z = z * np.exp(-1j * np.radians(winding(np.abs(z), given)))
    z = z * np.exp(-1j * np.radians(given["pa"] - 90))  # the direction down, for PA 0, is the positive real axis
    bend = sum(given[f"b{m}"] * (z.real / RE) ** m for m in orders(r"b(\d)", given))
    along, across = np.abs(z.real), (z.imag + bend) / given["q"]
    power = given["c0"] + 2
    found = (along**power + np.abs(across) ** power) ** (1 / power)
    azimuth = np.angle(z.real + 1j * across)
    waves = (
        given[f"f{m}_amp"] * np.cos(m * (azimuth - np.radians(given[f"f{m}_phase"])))
        for m in orders(r"f(\d)_amp", given)
    )
    return found * np.abs(1 + sum(waves))


ELLIPSE = {"q": 0.6, "pa": 27.0}
GIVEN = {
    "ellipse": {},
    "boxy": {"c0": 0.7},
    "disky": {"c0": -0.8},
    "bent": {"b1": 0.4, "b2": -0.7, "b3": 0.3},
    "waves": mode(1, 0.12, 35.0) | mode(3, -0.08, 10.0) | mode(4, 0.05, -20.0),
    "strong wave": mode(2, -1.6, 15.0),
    "power": POWER,
    "backwards": POWER | {"wind_angle": -200.0, "wind_alpha": -0.4},
    "log": LOG,
    "inclined power": POWER | {"incl": 50.0, "spa": -25.0},
    "inclined log": LOG | {"incl": -35.0, "spa": 130.0, "wind_in": -2.0},
    "everything": POWER | {"incl": 40.0, "spa": 70.0, "c0": 0.4, "b2": 0.9} | mode(1, 0.2, 60.0) | mode(6, 0.05, 11.0),
}


@pytest.mark.parametrize("case", GIVEN)
def test_radius_is_that_of_the_formula(case):
    given = ELLIPSE | GIVEN[case]
    x, y = ANYWHERE
    assert np.allclose(radius(x, y, given), formula(x, y, given), rtol=1e-9)


@pytest.mark.parametrize("pa", [0.0, 30.0, 90.0, -140.0])
def test_the_major_axis_is_at_the_position_angle(pa):
    given = {"q": 0.5, "pa": pa}
    assert radius(*towards(pa, 3.0), given) == pytest.approx(3.0)
    assert radius(*towards(pa + 90, 3.0), given) == pytest.approx(6.0)


@pytest.mark.parametrize(("c0", "corner"), [(0.0, 2**0.5), (10.0, 2 ** (1 / 12)), (-1.0, 2.0), (2.0, 2**0.25)])
def test_corner_of_a_box(c0, corner):
    assert radius(5.0, 5.0, {"c0": c0}) == pytest.approx(5 * corner)


@pytest.mark.parametrize(("m", "side"), [(1, 1), (2, -1), (3, 1)])
@pytest.mark.parametrize("y", [6.0, -9.0])
def test_a_bent_axis_is_where_its_bending_says(m, side, y):
    """An upright galaxy: counted from its lower end, a positive even mode bends both ends to the left."""
    x = side * 0.8 * (y / RE) ** m
    assert radius(x, y, {"q": 0.2, f"b{m}": 0.8}) == pytest.approx(abs(y))


def test_azimuth_is_counted_from_opposite_to_the_position_angle():
    given = {"pa": 40.0} | mode(1, 0.3, 0.0)
    assert radius(*towards(40 + 180, 5.0), given) == pytest.approx(5 * 1.3)
    assert radius(*towards(40, 5.0), given) == pytest.approx(5 * 0.7)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_positive_phase_is_counter_clockwise(m):
    given = {"pa": 40.0} | mode(m, 0.3, 25.0)
    assert radius(*towards(40 + 180 + 25, 5.0), given) == pytest.approx(5 * 1.3)


def test_azimuth_is_that_of_the_circle_that_the_ellipse_was():
    given = {"q": 0.5} | mode(1, 0.3, 45.0)
    assert radius(5.0, -10.0, given) == pytest.approx(10 * 2**0.5 * 1.3)  # y / q = x there


def test_radius_is_positive_where_a_wave_is_deeper_than_one():
    given = mode(2, 1.5, 0.0)
    assert radius(0.0, -5.0, given) == pytest.approx(5 * 2.5)
    assert radius(5.0, 0.0, given) == pytest.approx(5 * 0.5)


@pytest.mark.parametrize("given", [POWER, LOG])
@pytest.mark.parametrize("total", [110.0, -110.0])
def test_winding_at_the_outer_and_at_the_inner_radius(given, total):
    given = given | {"q": 0.3, "pa": 20.0, "wind_angle": total}
    full = (math.tanh(2) + 1) / 2  # 0.982
    assert radius(*towards(20 + full * total, 14.0), given) == pytest.approx(14.0)
    assert radius(*towards(20, 0.5), given) == pytest.approx(0.5, rel=1e-5)
    assert radius(*towards(20, 2.0), given) == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(
    ("given", "growth"), [(POWER, 1.5**0.6), (LOG, math.log(25 / 3.2 + 1) / math.log(12.5 / 3.2 + 1))]
)
def test_beyond_the_outer_radius_the_winding_grows(given, growth):
    given = given | {"q": 0.3, "wind_out": 12.5}
    assert radius(*towards(growth * 110, 25.0), given) == pytest.approx(25.0, rel=1e-4)


def test_inclination_shortens_along_its_position_angle():
    given = POWER | {"wind_angle": 0.0, "incl": 60.0, "spa": 35.0}
    assert radius(*towards(35, 5.0), given) == pytest.approx(10.0)
    assert radius(*towards(35 + 90, 5.0), given) == pytest.approx(5.0)


def test_position_angle_in_a_disc_is_counted_from_that_of_the_disc():
    given = LOG | {"wind_angle": 0.0, "spa": 35.0, "pa": 20.0, "q": 0.4}
    assert radius(*towards(55, 5.0), given) == pytest.approx(5.0)


@pytest.mark.parametrize("given", [{}, {"c0": 2.0}])
def test_galfits_radius_has_a_floor(given):
    power = 2 + given.get("c0", 0.0)
    assert radius(0.0, 0.0, given, "galfit") == pytest.approx(2e-7 ** (1 / power))
    assert radius(3.0, 0.0, given, "galfit") == pytest.approx((3**power + 1e-7) ** (1 / power), rel=1e-12)
    assert radius(0.0, 0.0, given, "exact") < 1e-9
    assert radius(3.0, 0.0, given, "exact") == pytest.approx(3.0, rel=1e-14)


# --- area ---


def area(numbers, exact):
    own = light(numbers)
    return float(own.shape.area(prepared(own, numbers), exact=exact))


def superellipse(c0):
    """Area of |x|^c + |y|^c < 1."""
    c = c0 + 2
    return 4 * math.gamma(1 + 1 / c) ** 2 / math.gamma(1 + 2 / c)


def waved(c0, given):
    """Area within r = 1 of q = 1; the azimuth of the modes is that of the circle."""
    parts = 400_000
    azimuth = (np.arange(parts) + 0.5) * 2 * math.pi / parts
    c = c0 + 2
    box = (np.abs(np.cos(azimuth)) ** c + np.abs(np.sin(azimuth)) ** c) ** (1 / c)
    waves = (
        given[f"f{m}_amp"] * np.cos(m * (azimuth - math.radians(given[f"f{m}_phase"])))
        for m in orders(r"f(\d)_amp", given)
    )
    return (0.5 / (box * (1 + sum(waves))) ** 2).sum() * 2 * math.pi / parts


WAVES = [mode(1, 0.3, 35.0), mode(2, -0.2, 10.0) | mode(5, 0.1, 50.0), mode(1, 0.6, 200.0) | mode(4, 0.1, 7.0)]


@pytest.mark.parametrize("c0", [-1.0, -0.3, 0.0, 2.0])
@pytest.mark.parametrize("exact", [True, False])
def test_area_of_a_box(c0, exact):
    assert area({"c0": c0, "q": 0.4}, exact) == pytest.approx(math.pi / superellipse(c0), rel=1e-12)


@pytest.mark.parametrize("given", WAVES)
@pytest.mark.parametrize("q", [1.0, 0.4])
def test_area_of_waves(given, q):
    expected = math.pi / waved(0.0, given)
    assert area(given | {"q": q}, True) == pytest.approx(expected, rel=1e-7)
    assert area(given | {"q": q}, False) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("given", WAVES)
@pytest.mark.parametrize("c0", [-0.5, 1.0])
def test_galfit_forgets_half_of_a_box_with_waves(given, c0):
    expected = math.pi / waved(c0, given)
    assert area(given | {"c0": c0, "q": 0.7}, True) == pytest.approx(expected, rel=1e-6)
    assert 1.5 < area(given | {"c0": c0, "q": 0.7}, False) / expected < 3.0


def test_half_of_a_symmetric_box_is_forgotten():
    given = {"c0": 0.4, "q": 0.7} | mode(4, 0.1, 0.0)
    assert area(given, False) == pytest.approx(2 * area(given, True), rel=1e-4)


@pytest.mark.parametrize("given", [{}, {"c0": 0.5}, mode(3, 0.1, 0.0)])
@pytest.mark.parametrize("exact", [True, False])
def test_an_inclined_disc_is_brighter_by_its_inclination(given, exact):
    flat, inclined = (area(given | POWER | {"incl": incl}, exact) for incl in (0.0, 60.0))
    assert inclined == pytest.approx(2 * flat)

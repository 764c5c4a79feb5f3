"""Light of plain ellipses within a square, against pixels integrated adaptively and in closed form."""

import math
from dataclasses import replace

import pytest
from simulate import component, exposure, job, truncation

from galfeed.model import enclosed, render, scene
from galfeed.model.frame import Drawing

NEAR = 5  # pixels around the one that holds the centre
ELLIPSES = [
    ("sersic", {"n": 0.7}),
    ("sersic", {"n": 4.0, "re": 9.0}),
    ("sersic", {"n": 8.0, "re": 0.8, "q": 0.2}),
    ("sersic2", {"n": 2.0, "q": 0.05, "re": 20.0}),
    ("devauc", {}),
    ("expdisk", {"pa": 90.0}),
    ("expdisk", {"q": 1.0, "pa": 0.0}),
    ("gaussian", {"fwhm": 2.0}),
    ("moffat", {"n": 2.5}),
    ("nuker", {"gamma": 1.2}),
]


def one(name, *others, **values):
    """The first component of a job: its light, its numbers and the frame that it is drawn on."""
    own = job(component(1, name, **values), *others)
    made = scene.build([own], [exposure(own)])
    first = made.components[0]
    numbers = {name: made.start[:, column] for name, column in first.columns.items()}
    return replace(first.light, accuracy="exact"), numbers, replace(made.frame, accuracy="exact")


def within(name, half=NEAR + 0.5, **values):
    light, numbers, frame = one(name, **values)
    middle = numbers["xc"].round(), numbers["yc"].round()
    flux, difference = enclosed.light_within(light, numbers, frame.scale, *middle, half)
    return float(flux), float(difference)


@pytest.mark.parametrize(("name", "values"), ELLIPSES)
@pytest.mark.parametrize("centre", [(17.0, 16.0), (17.31, 15.78), (16.5, 16.49)])
def test_it_is_what_the_pixels_hold(name, values, centre):
    values = {**values, "xc": centre[0], "yc": centre[1]}
    light, numbers, frame = one(name, **values)
    size = 2 * NEAR + 1
    x0, y0 = (numbers[axis].round() - NEAR for axis in ("xc", "yc"))
    frame = replace(frame, shape=(size, size), x0=x0, y0=y0)
    pixels = render.shaped(Drawing(light, numbers, ()), frame).drawn().image
    flux, difference = within(name, **values)
    assert flux == pytest.approx(float(pixels.sum()), rel=1e-4)
    assert difference < 1e-3


def test_all_light_is_within_a_large_square():
    counts = 10 ** (-0.4 * (18 - 25))
    assert within("gaussian", half=50.0, fwhm=9.0, mag=18.0)[0] == pytest.approx(counts, rel=1e-6)


def test_a_square_of_a_round_gaussian_is_a_product():
    """erf along each axis, whatever the position in the pixel."""
    fwhm, xc, yc, half = 4.0, 17.2, 15.9, 2.5
    sigma = fwhm / (2 * math.sqrt(2 * math.log(2)))
    share = 1.0
    for off in (xc - round(xc), yc - round(yc)):
        share *= sum(math.erf((half + side * off) / (sigma * math.sqrt(2))) for side in (-1, 1)) / 2
    counts = 10 ** (-0.4 * (18 - 25))
    flux, _ = within("gaussian", half=half, fwhm=fwhm, q=1.0, mag=18.0, xc=xc, yc=yc)
    assert flux == pytest.approx(counts * share, rel=1e-9)


def test_two_rules_differ_where_the_light_is_too_narrow_for_them():
    assert within("gaussian", fwhm=0.02)[1] > 1e-3


def test_only_plain_ellipses_are_meant():
    cut = truncation(2, "radial", rbrk=8.0, dsft=4.0)
    others = [
        one("sersic", c0=True),
        one("sersic", hidden={"fourier": (1,)}),
        one("sersic", hidden={"bending": (1,)}),
        one("sersic", hidden={"rotation": "log"}),
        one("sersic", cut, outer=(2,)),
        one("king"),
        one("edgedisk"),
    ]
    assert enclosed.applies(one("sersic")[0])
    assert not any(enclosed.applies(light) for light, *_ in others)

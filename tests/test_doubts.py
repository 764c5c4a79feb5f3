"""The line on components whose flux GALFIT has wrong."""

import re

import pytest
from simulate import component, exposure, job, star

from galfeed.fit.doubts import doubts

WORDS = re.compile(r"component (\d+) \((\w+)\) ([\d.]+)% (brighter|fainter)")


def said(*components, **images):
    """Of each component named: number, function, per cent and sense."""
    own = job(*components)
    line = doubts(own, exposure(own, **images))
    if line:
        assert line.startswith("galfit.feedme: drawn as GALFIT does, ")
        assert line.endswith(" than its numbers say; --exact gives the right image")
        assert "\n" not in line
    return [(int(number), name, float(much), sense) for number, name, much, sense in WORDS.findall(line)]


ORDINARY = [
    ("expdisk", {"rs": 5.0}),
    ("sersic", {"n": 1.0}),
    ("sersic", {"n": 4.0, "re": 12.0}),
    ("sersic", {"n": 1.0, "c0": True}),
    ("sersic", {"n": 1.0, "hidden": {"fourier": (1, 3), "rotation": "log"}}),
    ("gaussian", {}),
    ("moffat", {}),
    ("sky", {}),
]


@pytest.mark.parametrize(("name", "values"), ORDINARY)
def test_nothing_is_said_of_ordinary_components(name, values):
    assert said(component(1, name, **values)) == []
    assert said(component(1, name, **values), psf=star()) == []


def test_a_box_with_waves_is_twice_as_bright():
    boxy = component(1, "sersic", n=1.0, c0=True, hidden={"fourier": (1,)})
    ((number, name, much, sense),) = said(boxy)
    assert (number, name, sense) == (1, "sersic", "brighter")
    assert much == pytest.approx(100, abs=25)


def test_a_symmetric_box_with_waves_is_exactly_twice_as_bright():
    boxy = component(1, "sersic", n=1.0, c0=True, q=0.999, hidden={"fourier": (4,)}, f4_phase=0.0)
    ((_, _, much, sense),) = said(boxy)
    assert (much, sense) == (pytest.approx(100, abs=0.3), "brighter")


def test_a_compact_cusp_is_fainter():
    ((number, name, much, sense),) = said(component(1, "sersic", n=10.0, re=0.1, xc=17.5, yc=16.5))
    assert (number, name, sense) == (1, "sersic", "fainter")
    assert 10 < much < 20


def test_a_star_between_pixels_is_brighter():
    ((number, name, much, sense),) = said(component(1, "psf", xc=17.5, yc=16.5), psf=star())
    assert (number, name, sense) == (1, "psf", "brighter")
    assert 3 < much < 7


def test_a_star_on_a_pixel_or_of_a_wide_psf_is_not_named():
    between = {"xc": 17.5, "yc": 16.5}
    assert said(component(1, "psf", xc=17.0, yc=16.0), psf=star()) == []
    assert said(component(1, "psf", **between), psf=star(5.0, 41, 41)) == []
    assert said(component(1, "psf", **between)) == []


def test_each_component_is_named_by_its_number():
    good = component(1, "expdisk", rs=5.0)
    boxy = component(2, "sersic", n=1.0, c0=True, hidden={"fourier": (2,)})
    cusp = component(4, "sersic", n=10.0, re=0.1)
    assert [number for number, *_ in said(good, boxy, component(3, "sky"), cusp)] == [2, 4]

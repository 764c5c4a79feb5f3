"""The line on components whose flux GALFIT has wrong."""

import re

import numpy as np
import pytest
from simulate import component, exposure, job, star

from galfeed import fit
from galfeed.fit.doubts import ROUND, SAFE, VISIBLE, WIDE, _deviations, _well_drawn, doubts
from galfeed.model import scene

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


def deviation(own):
    """Of the only component of a job, looked at whatever it is."""
    made = scene.build([own], [exposure(own)])
    (light,) = made.components
    return float(_deviations(light, {n: made.start[:, c] for n, c in light.columns.items()}, made.frame)[0])


@pytest.mark.parametrize("name", SAFE)
def test_what_is_not_looked_at_is_drawn_well(name):
    """Ellipses at the limits of what is passed over, at random places in their pixel and angles."""
    rng = np.random.default_rng(3)
    size = {"expdisk": "rs", "gaussian": "fwhm"}.get(name, "re")
    for n, least in (*WIDE, (0.31, WIDE[0][1])) * 4:
        q = rng.choice([ROUND, rng.uniform(ROUND, 1)])
        values = {"q": q, size: least / q * 1.0001, "n": n, "pa": rng.uniform(-90, 90)}
        xc, yc = 17 + rng.uniform(-0.5, 0.5, 2)
        own = component(1, name, xc=xc, yc=yc, **values)
        if name in ("sersic", "expdisk", "gaussian"):
            assert _well_drawn(own)
        if _well_drawn(own):
            assert abs(deviation(job(own))) < VISIBLE


@pytest.mark.parametrize(
    "values",
    [{"q": 0.9 * ROUND}, {"n": 4.1, "re": 2.0}, {"n": 6.1}, {"n": 0.2}, {"re": 0.6}, {"c0": True}, {"n": np.nan}],
)
def test_others_are_looked_at(values):
    assert _well_drawn(component(1, "sersic"))
    assert not _well_drawn(component(1, "sersic", **values))
    assert not _well_drawn(component(1, "king"))
    assert not _well_drawn(component(1, "sersic2"))
    assert not _well_drawn(component(1, "psf"))


def test_many_jobs_are_told_what_each_is_told_alone():
    rng = np.random.default_rng(4)
    jobs, images = [], []
    for k in range(70):
        cusp = component(1, "sersic", n=rng.uniform(0.4, 12), re=rng.uniform(0.1, 5), xc=17 + rng.uniform(-0.5, 0.5))
        own = [
            job(cusp),
            job(cusp, component(2, "psf", xc=17.5)),
            job(component(1, "sky"), component(2, "expdisk", q=0.08, rs=2.0)),
        ]
        jobs.append(own[k % 3])
        images.append(exposure(jobs[-1], psf=star() if k % 2 else None))
    together = fit.doubts_of_all(jobs, images)
    assert together == [doubts(own, image) for own, image in zip(jobs, images, strict=True)]
    assert 5 < sum(map(bool, together)) < 65

"""Images of components and their derivatives."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from simulate import TYPICAL, component, exposure, image, job, partial_images, star, truncation, typical

from galfeed.job import Parameter
from galfeed.model import light, pixels, scene
from galfeed.profiles import PROFILES

SHAPED = [p for p in PROFILES.values() if p.kind in ("radial", "edge")]
RADIAL = [p for p in SHAPED if p.kind == "radial"]
MODELLED = [p.name + digit for p in SHAPED for digit in ("", *(str(v) for v in p.anchors if v in (1, 2)))]
MODELLED.remove("edgedisk2")  # needs a truncation
SETTINGS = {
    "no psf": {},
    "psf": {"psf": star()},
    "wide psf": {"psf": star(3.4)},
    "small box": {"psf": star(), "box": (12, 15)},
    "fine psf": {"psf": star(4.9, 21, 24), "fine": 2},
    "kernel": {"psf": star(), "kernel": np.array([[0.0, 0.1, 0.0], [0.05, 1.0, 0.1], [0.0, 0.1, 0.02]])},
}
SHAPES = {
    "plain": {},
    "C0": {"c0": True},
    "bending": {"bending": (1, 2, 3)},
    "Fourier": {"fourier": (1, 3)},
    "power": {"rotation": "power"},
    "log": {"rotation": "log"},
    "all": {"c0": True, "bending": (2,), "fourier": (4, 1), "rotation": "power"},
}
TRUNCATIONS = {  # blocks that cut the inside, and the outside
    "whole": ((), ()),
    "inner": (({"name": "radial"},), ()),
    "outer": ((), ({"name": "radial2", "rbrk": 5.1, "rsft": 10.2},)),
    "outer -b, shaped": ((), ({"name": "radial-b", "hidden": {"bending": (2,), "c0": True, "fourier": (1,)}},)),
    "own centre": (({"name": "radial2", "centre": True, "xc": 16.7, "yc": 17.1},), ()),
    "both, own ellipse": (({"name": "radial", "rbrk": 4.1, "dsft": 2.2},), ({"name": "radial", "ellipse": True},)),
    "shared": (({"name": "radial", "ellipse": True, "centre": True},),) * 2,
}
EDGE_TRUNCATIONS = {
    "length": (({"name": "length"},), ()),
    "height": ((), ({"name": "height", "rbrk": 2.3, "dsft": 2.1},)),
    "length2 and height": (({"name": "height", "rbrk": 1.7},), ({"name": "length2"},)),
}


def build(made, setting, cuts=((), ())):
    """Scene of a component made by ``made(inner, outer)`` and of the blocks that cut it."""
    settings = dict(SETTINGS[setting])
    layout = {k: settings.pop(k) for k in ("box", "fine") if k in settings}
    inside, outside = cuts
    blocks = list(inside) + ([] if inside is outside else list(outside))
    inner = tuple(range(2, 2 + len(inside)))
    outer = inner if inside is outside else tuple(range(2 + len(inside), 2 + len(blocks)))
    own = job(made(inner, outer), *(truncation(2 + i, **block) for i, block in enumerate(blocks)), **layout)
    return scene.build([own], [exposure(own, **settings)])


STEP = 2.0**-19  # with a PSF positions are kept in single precision: they must stay exact
DIFFERENCE = {1: 8 / 12, -1: -8 / 12, 2: -1 / 12, -2: 1 / 12}  # of fourth order


@pytest.fixture
def frozen(monkeypatch):
    """Keeps the sub-pixel grids and the columns left out at an edge as the first image had them.

    They jump with the numbers; derivatives are meant at fixed grids.  The floor of the radius, a kink, is taken away.
    Returns what is to be called before each image.
    """
    monkeypatch.setattr(light, "FLOOR", 0.0)
    known = {"grid_size": [], "_kept": []}
    turns = dict.fromkeys(known, 0)

    def freeze(name):
        own = getattr(pixels, name)

        def same(*arguments):
            made, turn = own(*arguments), turns[name]
            turns[name] += 1
            if turn == len(known[name]):
                known[name].append(made)
            first = known[name][turn]
            return first.repeat(len(made) // len(first), *[1] * (first.ndim - 1))

        monkeypatch.setattr(pixels, name, same)

    for name in known:
        freeze(name)
    return lambda: turns.update(dict.fromkeys(turns, 0))


def differences(made, directions, frozen):
    """Fourth-order central differences (D, H, W) of the image along directions (D, V) of its numbers."""
    alike = torch.zeros(len(directions), dtype=torch.long)  # all of the one job
    total = 0.0
    for away, weight in DIFFERENCE.items():
        frozen()
        total += weight / STEP * made.render(made.start + away * STEP * directions, rows=alike).image
    return total


def assert_derivatives(made, frozen):
    """Each partial image against the difference, to 1e-6 of its largest value.

    Numbers of little effect are pushed farther, positions by powers of two.
    """
    columns = list(range(len(made.refs)))
    partials = partial_images(made, columns)[0]
    largest = partials.flatten(1).abs().amax(1).clamp(min=1e-30)
    reach = (largest.max() / largest).clamp(1, 256).log2().floor().exp2()
    expected = differences(made, torch.diag(reach), frozen) / reach[:, None, None]
    for column in columns:
        scale = max(float(expected[column].abs().max()), 1e-9)
        worst = float((partials[column] - expected[column]).abs().max()) / scale
        assert worst < 1e-6, made.specs[column].name


PLAIN = [
    (n, s) for n, s in itertools.product([*MODELLED, "psf", "sky"], SETTINGS) if not (n == "psf" and s == "no psf")
]


@pytest.mark.parametrize(("name", "setting"), PLAIN)
def test_derivatives_of_each_function(name, setting, frozen):
    assert_derivatives(build(lambda *_: component(1, name), setting), frozen)


def shaped(name, shape, cut, setting="no psf"):
    hidden = dict(SHAPES[shape])
    c0 = hidden.pop("c0", False)

    def made(inner, outer):
        return component(1, name, c0=c0, hidden=hidden, inner=inner, outer=outer)

    return build(made, setting, (TRUNCATIONS | EDGE_TRUNCATIONS)[cut])


ONE_OF_EACH = [("sersic", "all", cut, setting) for cut, setting in itertools.product(TRUNCATIONS, SETTINGS)]
ONE_OF_EACH += [("king", shape, "whole", setting) for shape, setting in itertools.product(SHAPES, ("no psf", "psf"))]
ONE_OF_EACH += [("edgedisk" + d, "power", t, "no psf") for d, t in itertools.product(("", "2"), EDGE_TRUNCATIONS)]


@pytest.mark.parametrize(("name", "shape", "cut", "setting"), ONE_OF_EACH)
def test_derivatives_by_each_hidden_number(name, shape, cut, setting, frozen):
    assert_derivatives(shaped(name, shape, cut, setting), frozen)


EVERYTHING = list(itertools.product([p.name for p in SHAPED], SHAPES, TRUNCATIONS))


@pytest.mark.parametrize(("name", "shape", "cut"), EVERYTHING)
def test_derivatives_of_all_functions_shapes_and_truncations(name, shape, cut, frozen):
    assert_derivatives(shaped(name, shape, cut), frozen)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_galaxy_is_the_same_alone_and_in_a_batch(setting):
    settings = dict(SETTINGS[setting])
    layout = {k: settings.pop(k) for k in ("box", "fine") if k in settings}
    jobs = [
        job(
            component(1, "sersic", xc=17.3125 + dx, n=n),
            component(2, "psf", xc=8.3) if "psf" in settings else component(2, "sky"),
            **layout,
        )
        for dx, n in ((0, 2.3), (0.4, 0.8), (-3.2, 5.1))
    ]
    together = scene.build(jobs, [exposure(j, **settings) for j in jobs])
    columns = range(len(together.refs))
    images, partials = together.render(together.start).image, partial_images(together, columns)
    for row, own in enumerate(jobs):
        alone = scene.build([own], [exposure(own, **settings)])
        one, one_partials = alone.render(alone.start).image, partial_images(alone, columns)
        assert torch.allclose(images[row], one[0], rtol=1e-12, atol=1e-12)
        assert torch.allclose(partials[row], one_partials[0], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", [p.name for p in RADIAL if p.total])
def test_flux_is_that_of_the_magnitude(name):
    # n = 4 in wide wings: a large frame, and a profile that is well sampled
    values = {"n": 3.5 if name == "moffat" else 1.2, "re": 5.0, "xc": 150.0, "yc": 150.0}
    sum_ = image(job(component(1, name, **values), width=300, height=300)).sum()
    flux = 10 ** (-0.4 * (TYPICAL["mag"] - 25))
    assert sum_ == pytest.approx(flux, rel=0.02 if name == "devauc" else 2e-3)


@pytest.mark.parametrize("c0", [-0.5, 0.8])
def test_flux_does_not_depend_on_boxiness(c0):
    values = {"n": 1.0, "xc": 100.0, "yc": 100.0, "re": 8.0}
    own = component(1, "sersic", **values)
    boxy = image(job(replace(own, c0=Parameter(c0)), width=200, height=200)).sum()
    assert boxy == pytest.approx(image(job(own, width=200, height=200)).sum(), rel=1e-3)


@pytest.mark.parametrize(("variant", "r"), [("1", 0.0), ("2", 5.0)])
def test_surface_brightness_variants_of_sersic(variant, r):
    own = job(component(1, "sersic" + variant, n=0.5, q=1.0, re=5.0, xc=16.0, yc=16.0, mu=20.0))
    level = 10 ** (-0.4 * (20.0 - 25.0)) * 0.25  # counts in a pixel of 0.5 x 0.5 arcsec
    assert image(own)[15, 15 + int(r)] == pytest.approx(level, rel=0.03)


def test_position_angle_is_up_and_counterclockwise():
    def brighter(pa, up, left):
        made = image(job(component(1, "sersic", xc=16.0, yc=16.0, q=0.3, pa=pa)))
        return made[15 + up, 15 - left] > made[15 - left, 15 + up]

    assert brighter(0.0, 6, 0)
    assert brighter(90.0, 0, 6)
    made = image(job(component(1, "sersic", xc=16.0, yc=16.0, q=0.3, pa=45.0)))
    assert made[15 + 5, 15 - 5] > 3 * made[15 + 5, 15 + 5]


def test_sky_is_a_plane_around_the_centre_of_the_region():
    made = image(job(component(1, "sky", sky=10.0, dsdx=0.5, dsdy=-0.25), width=33, height=31))
    assert made[15, 16] == pytest.approx(10.0)
    assert made[15, 17] - made[15, 16] == pytest.approx(0.5)
    assert made[16, 16] - made[15, 16] == pytest.approx(-0.25)


def test_a_star_on_a_pixel_is_the_psf():
    psf = star()
    made = image(job(component(1, "psf", xc=17.0, yc=16.0, mag=20.0)), psf=psf)
    expected = 10 ** (-0.4 * (20.0 - 25.0)) * psf / psf.sum(dtype=float)
    assert np.allclose(made[15 - 7 : 15 + 8, 16 - 7 : 16 + 8], expected, rtol=1e-6)
    assert made.sum() == pytest.approx(100.0)


def test_convolution_keeps_the_flux_and_follows_an_off_centre_psf():
    own = job(component(1, "gaussian", xc=60.0, yc=60.0, fwhm=6.0, q=1.0), width=120, height=120, box=(120, 120))
    plain, psf = image(own), np.zeros((9, 9), np.float32)
    psf[4, 6] = 3.0  # two pixels to the right
    moved = image(own, psf=psf)
    assert moved.sum() == pytest.approx(plain.sum(), rel=1e-9)
    assert np.allclose(moved[:, 2:], plain[:, :-2], atol=1e-9)


def test_nothing_is_convolved_outside_the_box():
    own = job(component(1, "sersic"), box=(9, 9))
    boxed, plain = image(own, psf=star()), image(own)
    changed = ~np.isclose(boxed, plain, rtol=1e-12)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 18, 12, 20)


def test_a_single_pixel_psf_changes_nothing_on_a_pixel_centre():
    own = job(component(1, "sersic", xc=17.0, yc=16.0))
    assert np.allclose(image(own, psf=np.ones((1, 1), np.float32)), image(own), rtol=1e-10)


@pytest.mark.parametrize("n", [0.3, 1.0, 4.0, 8.0])
def test_images_are_finite_at_the_centre(n):
    made = scene.build([job(component(1, "sersic", n=n, xc=16.0, yc=16.0))], [exposure(job(component(1, "sersic")))])
    one, partials = made.render(made.start).image, partial_images(made, range(len(made.refs)))
    assert bool(one.isfinite().all() and partials.isfinite().all())


def test_every_function_of_galfit_is_in_the_tables():
    functions = "sersic devauc expdisk edgedisk nuker moffat ferrer gaussian king psf sky".split()
    assert set(functions) <= set(PROFILES)


@pytest.mark.parametrize("kind", [p.name for p in RADIAL if p.total])
def test_total_is_the_integral_of_the_intensity(kind):
    profile = PROFILES[kind]
    numbers = {
        s.name: torch.tensor(typical(s), dtype=torch.float64)
        for s in profile.params
        if s.key in ("4", "5", "6", "7", "8")
    }
    if profile.derived:
        numbers |= profile.derived(**numbers)
    log_r = torch.linspace(-16, 12, 200001, dtype=torch.float64)
    r = log_r.exp()
    integral = torch.trapezoid(2 * math.pi * r**2 * profile.intensity(r, **numbers), log_r)
    assert float(profile.total(**numbers)) == pytest.approx(float(integral), rel=1e-6)

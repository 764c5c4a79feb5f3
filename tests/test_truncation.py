"""What truncations leave of the light, and what the surface brightness of ``3)`` becomes with them."""

import math

import numpy as np
import pytest
import torch
from simulate import component, exposure, image, job, truncation

from galfeed.model import scene

ROUND = {"q": 1.0, "pa": 0.0}
LEVEL = 10 ** (-0.4 * (20.0 - 25.0)) * 0.25  # counts in a pixel of 0.5 x 0.5 arcsec at 20 mag / arcsec^2
AT_FAR_END = (1 + math.tanh(2)) / 2  # 0.982
OFFSETS = np.random.default_rng(2).uniform(-15, 15, (2, 200))


def step(r, a, b):
    """Peng et al. 2010, eq. 29 to 31, with 4.95 in place of 4.98: about 0.01 at a, 0.982 at b."""
    rate = 2.65 - 4.95 * b / (b - a)
    return 0.5 * (np.tanh((2 - rate) * r / b + rate) + 1)


def left(own, *blocks, x=OFFSETS[0], y=OFFSETS[1]):
    """What is left of the light of a component at offsets from its centre."""
    menu = job(own, *blocks)
    made = scene.build([menu], [exposure(menu)])
    first = made.components[0]
    p = {name: made.start[:, column] for name, column in first.columns.items()}
    p |= first.light.derived(p)
    points = (torch.as_tensor(np.atleast_1d(axis)) + p[name] for axis, name in ((x, "xc"), (y, "yc")))
    _, found = first.light.geometry(*points, p)
    return found.numpy()


def upright(r, *blocks, name="sersic", **links):
    """The same at radii of a round component."""
    return left(component(1, name, **ROUND, **links), *blocks, x=0 * np.asarray(r), y=r)


R = np.linspace(0.5, 20, 40)


def test_inner_truncation_by_radius_and_length():
    block = truncation(2, "radial", rbrk=9.0, dsft=4.0)
    assert np.allclose(upright(R, block, inner=(2,)), step(R, 5.0, 9.0), rtol=1e-6)
    assert upright(9.0, block, inner=(2,)) == pytest.approx(AT_FAR_END)
    assert upright(5.0, block, inner=(2,)) == pytest.approx(0.005, abs=0.001)


def test_outer_truncation_by_radius_and_length():
    block = truncation(2, "radial", rbrk=9.0, dsft=4.0)
    assert np.allclose(upright(R, block, outer=(2,)), 1 - step(R, 9.0, 13.0), rtol=1e-6)
    assert upright(13.0, block, outer=(2,)) == pytest.approx(1 - AT_FAR_END)
    assert upright(9.0, block, outer=(2,)) == pytest.approx(0.996, abs=0.001)


def test_two_radii():
    block = truncation(2, "radial2", rbrk=6.0, rsft=11.0)
    assert np.allclose(upright(R, block, inner=(2,)), step(R, 6.0, 11.0), rtol=1e-6)
    assert np.allclose(upright(R, block, outer=(2,)), 1 - step(R, 6.0, 11.0), rtol=1e-6)


def test_two_radii_are_sorted_when_a_menu_is_read_and_not_in_a_fit():
    block = truncation(2, "radial2", rbrk=11.0, rsft=6.0)
    assert np.allclose(upright(R, block, inner=(2,)), np.maximum(step(R, 11.0, 6.0), 1e-10), rtol=1e-6)


def test_truncations_multiply():
    blocks = truncation(2, "radial", rbrk=9.0, dsft=4.0), truncation(3, "radial2", rbrk=12.0, rsft=16.0)
    expected = step(R, 5.0, 9.0) * (1 - step(R, 12.0, 16.0))
    assert np.allclose(upright(R, *blocks, inner=(2,), outer=(3,)), expected, rtol=1e-6)


def test_a_truncation_inside_and_outside_acts_four_times():
    inside = step(R, 6.0, 11.0)
    found = upright(R, truncation(2, "radial2", rbrk=6.0, rsft=11.0), inner=(2,), outer=(2,))
    assert np.allclose(found, (inside * (1 - inside)) ** 2, rtol=1e-6)


@pytest.mark.parametrize("links", [{"inner": (2,)}, {"outer": (2,)}])
@pytest.mark.parametrize("numbers", [{"name": "radial", "dsft": 0.0}, {"name": "radial2", "rbrk": 5.0, "rsft": 5.0}])
def test_equal_radii_leave_next_to_nothing(links, numbers):
    assert np.all(upright(R, truncation(2, **numbers), **links) == 1e-10)


def test_next_to_nothing_is_left_at_least():
    block = truncation(2, "radial2", rbrk=18.0, rsft=19.0)
    assert upright(1.0, block, inner=(2,)) == 1e-10


# --- where it is measured ---


def turned(x, y, pa):
    """Offsets along PA and across it."""
    pa = math.radians(pa)
    return y * math.cos(pa) - x * math.sin(pa), x * math.cos(pa) + y * math.sin(pa)


def elliptical(x, y, q, pa):
    along, across = turned(x, y, pa)
    return np.hypot(along, across / q)


def test_the_ellipse_of_the_component_is_taken():
    found = left(component(1, "sersic", q=0.5, pa=33.0, outer=(2,)), truncation(2, "radial2", rbrk=6.0, rsft=11.0))
    assert np.allclose(found, 1 - step(elliptical(*OFFSETS, 0.5, 33.0), 6.0, 11.0), rtol=1e-6)


def test_its_own_ellipse_goes_first():
    block = truncation(2, "radial2", rbrk=6.0, rsft=11.0, ellipse=True, q=0.7, pa=-50.0)
    found = left(component(1, "sersic", q=0.5, pa=33.0, outer=(2,)), block)
    assert np.allclose(found, 1 - step(elliptical(*OFFSETS, 0.7, -50.0), 6.0, 11.0), rtol=1e-6)


def test_its_own_centre_goes_first():
    block = truncation(2, "radial2", rbrk=6.0, rsft=11.0, centre=True, xc=20.0, yc=14.0)
    found = left(component(1, "sersic", xc=18.5, yc=15.5, q=0.5, pa=33.0, inner=(2,)), block)
    x, y = OFFSETS
    assert np.allclose(found, step(elliptical(x - 1.5, y + 1.5, 0.5, 33.0), 6.0, 11.0), rtol=1e-6)


def test_its_own_fourier_mode():
    hidden = {"fourier": (1,)}
    block = truncation(2, "radial2", rbrk=6.0, rsft=11.0, hidden=hidden, f1_amp=0.3, f1_phase=0.0)
    away, towards = upright(np.array([-8.0, 8.0]), block, outer=(2,))
    assert away == pytest.approx(1 - step(8 * 1.3, 6.0, 11.0), rel=1e-6)
    assert towards == pytest.approx(1 - step(8 * 0.7, 6.0, 11.0), rel=1e-6)


@pytest.mark.parametrize("rotation", ["power", "log"])
def test_a_disc_is_cut_in_its_plane_or_in_that_of_the_sky(rotation):
    disc = {"hidden": {"rotation": rotation}, "incl": 60.0, "spa": 20.0, "q": 0.4, "outer": (2,)}
    size = {"rbrk": 6.0, "rsft": 11.0, "ellipse": True, "q": 1.0}
    along, across = turned(*OFFSETS, 20.0)
    in_disc, on_sky = (
        left(component(1, "sersic", **disc), truncation(2, name, **size)) for name in ("radial2", "radial2-b")
    )
    assert np.allclose(in_disc, 1 - step(np.hypot(2 * along, across), 6.0, 11.0), rtol=1e-6)
    assert np.allclose(on_sky, 1 - step(np.hypot(along, across), 6.0, 11.0), rtol=1e-6)


def test_a_disc_is_cut_as_if_it_were_not_wound():
    disc = {"hidden": {"rotation": "log"}, "incl": 60.0, "spa": 20.0, "q": 0.4, "pa": 50.0, "inner": (2,)}
    along, across = turned(*OFFSETS, 20.0)
    expected = step(elliptical(across, 2 * along, 0.4, 50.0), 6.0, 11.0)
    assert np.allclose(
        left(component(1, "sersic", **disc), truncation(2, "radial2", rbrk=6.0, rsft=11.0)), expected, rtol=1e-6
    )


@pytest.mark.parametrize(("name", "axis"), [("length", 0), ("height", 1)])
def test_an_edge_on_disk_is_cut_along_one_axis(name, axis):
    own = component(1, "edgedisk", pa=33.0, outer=(2,))
    found = left(own, truncation(2, name, rbrk=6.0, dsft=4.0))
    assert np.allclose(found, 1 - step(np.abs(turned(*OFFSETS, 33.0)[axis]), 6.0, 10.0), rtol=1e-6)


def test_an_edge_on_disk_is_cut_by_radius():
    own = component(1, "edgedisk", pa=33.0, inner=(2,))
    found = left(own, truncation(2, "radial2", rbrk=6.0, rsft=11.0))
    assert np.allclose(found, step(np.hypot(*OFFSETS), 6.0, 11.0), rtol=1e-6)


# --- what the surface brightness of 3) becomes ---


def row(name, *blocks, **values):
    """Counts of pixels beyond 10 of a round component, where a pixel has one sample, from 11 on."""
    own = component(1, name, xc=8.0, yc=16.0, mu=20.0, q=1.0, pa=90.0, **values)
    return image(job(own, *blocks))[15, 7 + 11 :]


def sersic1(r, re=5.0):
    """n = 1, 1 at the centre; kappa(1) = 1.6783."""
    return np.exp(-1.678347 * r / re)


FAR = np.arange(11.0, 27.0)
SERSIC = {"n": 1.0, "re": 5.0}


def test_an_inner_truncation_has_its_brightness_at_the_break_radius():
    made = row("sersic", truncation(2, "radial", rbrk=12.0, dsft=5.0), inner=(2,), **SERSIC)
    assert made[1] == pytest.approx(LEVEL * AT_FAR_END, rel=1e-5)
    assert np.allclose(made, LEVEL * sersic1(FAR) / sersic1(12.0) * step(FAR, 7.0, 12.0), rtol=1e-4)


def test_of_two_radii_the_outer_is_the_break_radius():
    made = row("sersic", truncation(2, "radial2", rbrk=9.0, rsft=14.0), inner=(2,), **SERSIC)
    assert made[3] == pytest.approx(LEVEL * AT_FAR_END, rel=1e-5)


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_of_two_truncations_that_of_the_lowest_number_has_the_break_radius(order):
    blocks = truncation(2, "radial2", rbrk=9.0, rsft=14.0), truncation(3, "radial2", rbrk=8.0, rsft=12.0)
    made = row("sersic", *blocks, inner=order, **SERSIC)
    assert made[3] == pytest.approx(LEVEL * AT_FAR_END * step(14.0, 8.0, 12.0), rel=1e-5)


def test_the_lowest_number_decides_even_if_it_cuts_the_outside():
    blocks = truncation(2, "radial2", rbrk=13.0, rsft=15.0), truncation(3, "radial2", rbrk=8.0, rsft=12.0)
    made = row("sersic", *blocks, outer=(2,), inner=(3,), **SERSIC)
    cut = (1 - step(15.0, 13.0, 15.0)) * step(15.0, 8.0, 12.0)
    assert made[4] == pytest.approx(LEVEL * cut, rel=1e-5)


def test_an_outer_truncation_has_its_brightness_at_the_centre():
    made = row("sersic", truncation(2, "radial", rbrk=12.0, dsft=5.0), outer=(2,), **SERSIC)
    assert np.allclose(made, LEVEL * sersic1(FAR) * (1 - step(FAR, 12.0, 17.0)), rtol=1e-4)


@pytest.mark.parametrize("digit", ["", "1", "2", "3"])
@pytest.mark.parametrize("cut", ["inner", "outer"])
def test_an_exponential_disk_has_its_brightness_at_the_centre(digit, cut):
    made = row("expdisk" + digit, truncation(2, "radial2", rbrk=7.0, rsft=12.0), rs=4.0, **{cut: (2,)})
    inside = step(FAR, 7.0, 12.0)
    factor = np.maximum(inside if cut == "inner" else 1 - inside, 1e-10)
    assert np.allclose(made, LEVEL * np.exp(-FAR / 4) * factor, rtol=1e-5)


def bessel(x):
    """x K1(x) = x int_0^inf exp(-x cosh t) cosh t dt."""
    t = np.linspace(0, 20, 200_001)
    return float(x * np.trapezoid(np.exp(-x * np.cosh(t)) * np.cosh(t), t))


LENGTH, HEIGHT = bessel(6.3 / 3.1), 1 / math.cosh(6.3 / 1.9) ** 2
EDGE_ON = [  # f where the surface brightness is that of 3)
    ("edgedisk3", "length", LENGTH),
    ("edgedisk3", "height", HEIGHT),
    ("edgedisk3", "radial", 1.0),
    ("edgedisk2", "length", bessel(1.0)),
    ("edgedisk2", "height", 1 / math.cosh(1) ** 2),
    ("edgedisk2", "radial", 1.0),
    ("edgedisk", "length", LENGTH),
]


@pytest.mark.parametrize(("name", "along", "anchor"), EDGE_ON)
def test_an_edge_on_disk_has_its_brightness_on_the_axis_that_is_cut(name, along, anchor):
    block = truncation(2, along, rbrk=6.3, dsft=3.0)
    central, made = (image(job(component(1, n, rs=3.1, hs=1.9, inner=(2,)), block)) for n in ("edgedisk1", name))
    assert np.allclose(made * anchor, central, rtol=1e-7)


def test_of_an_edge_on_disk_cut_twice_the_lowest_number_decides():
    blocks = truncation(2, "height", rbrk=1.7, dsft=1.1), truncation(3, "length", rbrk=6.3, dsft=3.0)
    made, central = (
        image(job(component(1, name, rs=3.1, hs=1.9, inner=(3,), outer=(2,)), *blocks))
        for name in ("edgedisk", "edgedisk1")
    )
    assert np.allclose(made / math.cosh(1.7 / 1.9) ** 2, central, rtol=1e-7)


def test_components_may_share_a_truncation():
    block = truncation(3, "radial2", rbrk=6.0, rsft=11.0)
    first, second = component(1, "sersic", outer=(3,)), component(2, "expdisk", inner=(3,), xc=12.0)
    together = image(job(first, second, block))
    nothing = {"mag": 99.0, "mu": 99.0}
    alone = [
        image(job(first, component(2, "expdisk", inner=(3,), xc=12.0, **nothing), block)),
        image(job(component(1, "sersic", outer=(3,), **nothing), second, block)),
    ]
    assert np.allclose(together, sum(alone), rtol=1e-9)


@pytest.mark.parametrize(("name", "radial"), [("length", "radial"), ("height", "radial"), ("height2", "radial2")])
@pytest.mark.parametrize("link", ["inner", "outer"])
def test_length_and_height_of_what_is_no_edge_on_disk_are_radial(name, radial, link):
    own = component(1, "sersic", q=0.5, pa=30.0, **{link: (2,)})
    values = {"rbrk": 6.0, "dsft": 4.0, "rsft": 11.0, "f2_amp": 0.2}
    blocks = [truncation(2, kind, hidden={"fourier": (2,)}, **values) for kind in (name, radial)]
    assert np.allclose(left(own, blocks[0]), left(own, blocks[1]), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "link", "scale"),
    [("radial", "inner", 6.0), ("radial", "outer", 6.0), ("radial2", "inner", 11.0), ("radial2", "outer", 6.0)],
)
def test_bends_of_a_truncation_are_measured_in_its_break_radius(name, link, scale):
    block = truncation(2, name, hidden={"bending": (2,)}, rbrk=6.0, rsft=11.0, dsft=4.0, b2=1.5)
    own = component(1, "sersic", **ROUND, **{link: (2,)})
    along = 4.0
    bent = left(own, block, x=0.0, y=along)  # up the major axis: bent across by 1.5 (r / scale)^2
    plain = left(own, truncation(2, name, rbrk=6.0, rsft=11.0, dsft=4.0), x=1.5 * (along / scale) ** 2, y=along)
    assert bent == pytest.approx(plain, rel=1e-6)

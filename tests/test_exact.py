"""The exact numbers of ``--exact``: pixels, kappa(n) and the shift of a PSF.

Pixels are compared with a brute-force rule on squares that are cut at the centre and graded towards it, and with closed
forms of the flux.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from galfeed.model import psf, spline
from galfeed.model.exact import integrate
from galfeed.model.light import Light
from galfeed.model.pixels import Source
from galfeed.model.shape import Shape
from galfeed.profiles import PROFILES
from galfeed.profiles._exact_kappa import exact_kappa

SIZE = 25
ELLIPSE = {"q": 0.6, "pa": 33.0}
CASES = {  # by a name for the test: function and numbers
    "sersic 0.1": ("sersic", {"re": 5.0, "n": 0.1}),
    "sersic 1": ("sersic", {"re": 4.0, "n": 1.0}),
    "sersic 4": ("sersic", {"re": 4.0, "n": 4.0}),
    "sersic 10": ("sersic", {"re": 30.0, "n": 10.0}),
    "small sersic": ("sersic", {"re": 0.05, "n": 2.0}),
    "moffat": ("moffat", {"fwhm": 2.5, "n": 2.5}),
    "narrow gaussian": ("gaussian", {"fwhm": 0.2}),
    "expdisk": ("expdisk", {"rs": 3.0}),
    "king": ("king", {"rc": 2.0, "rt": 9.0, "alpha": 2.0}),
    "ferrer": ("ferrer", {"rout": 8.0, "alpha": 1.5, "beta": 0.5}),
    "sharp ferrer": ("ferrer", {"rout": 8.0, "alpha": 0.5, "beta": 0.5}),
    "nuker": ("nuker", {"rb": 5.0, "alpha": 2.0, "beta": 2.0, "gamma": 0.7}),
    "steep nuker": ("nuker", {"rb": 5.0, "alpha": 2.0, "beta": 2.0, "gamma": 1.4}),
    "edgedisk": ("edgedisk", {"rs": 4.0, "hs": 0.7}),
    "thin edgedisk": ("edgedisk", {"rs": 4.0, "hs": 0.05}),
}


def tensor(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def source(name, numbers, xc=12.3, yc=11.9, wanted=None, shape=None):
    """Light of a batch of one; wanted: parameters only, all by default."""
    light = Light(PROFILES[name], 0, shape or Shape(), (), frozenset(), "exact")
    ellipse = ELLIPSE if name != "edgedisk" else {"pa": ELLIPSE["pa"]}
    values = {key: tensor(number) for key, number in ({"xc": xc, "yc": yc} | ellipse | numbers).items()}
    values |= light.derived(values)
    return Source(light, values, tuple(values) if wanted is None else wanted)


def axis(size=SIZE):
    return torch.arange(float(size), dtype=torch.float64)[None]


def image(of, size=SIZE):
    return integrate(replace(of, wanted=()), axis(size), axis(size))[0, 0]


PANELS = 25


def graded(low, high, centre):
    """Nodes and weights on an interval: cut at the centre, and graded as t^6 towards the end next to it."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    t = ((np.arange(PANELS)[:, None] + (nodes + 1) / 2) / PANELS).ravel()
    w = np.tile(weights / (2 * PANELS), PANELS) * 6 * t**5
    cut = min(max(centre, low), high)
    ends = [end for end in (low, high) if end != cut]
    return (
        np.concatenate([cut + (end - cut) * t**6 for end in ends]),
        np.concatenate([abs(end - cut) * w for end in ends]),
    )


def brute_force(of, column, row):
    """Mean of one pixel."""
    x, wx = graded(column - 0.5, column + 0.5, float(of.values["xc"]))
    y, wy = graded(row - 0.5, row + 0.5, float(of.values["yc"]))
    grid_x, grid_y = (torch.as_tensor(g.ravel()) for g in np.meshgrid(x, y))
    light = of.sample(grid_x, grid_y, torch.zeros(len(grid_x), dtype=torch.long), partials=False)[0]
    return float(light @ torch.as_tensor(np.outer(wy, wx).ravel()))


def check_pixels(of, pixels, tolerance):
    made = image(of)
    for column, row in pixels:
        error = abs(float(made[row, column]) - brute_force(of, column, row)) / float(made.max())
        assert error < tolerance, (column, row)


@pytest.mark.parametrize("case", CASES)
def test_pixels_against_brute_force(case):
    of = source(*CASES[case])
    check_pixels(of, [(12, 12), (12, 11), (13, 12), (11, 13), (15, 9), (6, 8), (12, 5)], 1e-6)


CENTRES = [(12.0, 12.0), (12.5, 12.1), (12.5, 11.5), (12.499, 12.0), (12.4999999, 11.7), (12.62, 12.45)]


@pytest.mark.parametrize("case", ["sersic 4", "steep nuker"])
@pytest.mark.parametrize(("xc", "yc"), CENTRES)
def test_any_place_of_the_centre_in_its_pixel(case, xc, yc):
    check_pixels(source(*CASES[case], xc=xc, yc=yc), [(12, 12), (13, 12), (12, 11), (13, 11)], 3e-6)


@pytest.mark.parametrize("shape", [Shape(c0=True), Shape(fourier=(1, 3)), Shape(bending=(2,))])
def test_shapes(shape):
    hidden = {"c0": -0.4} if shape.c0 else {}
    hidden |= {f"f{m}_{k}": v for m in shape.fourier for k, v in (("amp", 0.2), ("phase", 20.0 * m))}
    hidden |= {f"b{m}": 0.8 for m in shape.bending}
    check_pixels(source("sersic", {"re": 4.0, "n": 2.5} | hidden, shape=shape), [(12, 12), (13, 11), (9, 14)], 1e-6)


SMALL = [(n, 0.05) for n in (0.1, 0.5, 1.0, 2.0, 4.0)] + [(n, 0.6) for n in (0.1, 0.3, 1.0)]


@pytest.mark.parametrize(("n", "re"), SMALL)
@pytest.mark.parametrize("q", [0.02, 0.1, 1.0])
def test_flux_of_small_sersics(n, re, q):
    of = source("sersic", {"re": re, "n": n, "q": q})
    p = of.values
    total = PROFILES["sersic"].total(p["re"], p["n"], p["kappa"]) * p["q"]
    assert float(image(of).sum()) == pytest.approx(float(total), rel=2e-6)


@pytest.mark.parametrize("q", [0.02, 0.05, 0.3])
@pytest.mark.parametrize("fwhm", [0.2, 1.0, 3.0])
def test_flux_of_gaussian_needles(fwhm, q):
    of = source("gaussian", {"fwhm": fwhm, "q": q})
    total = PROFILES["gaussian"].total(**{k: of.values[k] for k in ("fwhm", "sigma")}) * q
    assert float(image(of).sum()) == pytest.approx(float(total), rel=1e-6)


@pytest.mark.parametrize("q", [0.02, 0.1, 1.0])
@pytest.mark.parametrize("yc", [12.0, 12.5, 11.63])
def test_upright_gaussian_against_the_error_function(q, yc):
    of = source("gaussian", {"fwhm": 4.0, "q": q, "pa": 90.0}, yc=yc)
    edges = torch.arange(SIZE + 1, dtype=torch.float64) - 0.5
    sigma = float(of.values["sigma"])

    def steps(centre, width):
        return ((edges - centre) / (width * math.sqrt(2))).erf().diff() * width * math.sqrt(math.pi / 2)

    expected = steps(yc, sigma * q)[:, None] * steps(12.3, sigma)
    assert float((image(of) - expected).abs().max() / expected.max()) < 1e-6


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("rout", [0.7, 2.0, 9.0])
def test_flux_of_a_ferrer_profile(alpha, rout):
    of = source("ferrer", {"rout": rout, "alpha": alpha, "beta": 0.5})
    total = 2 * math.pi * rout**2 * 0.6 / 1.5 * math.gamma(4 / 3) * math.gamma(1 + alpha) / math.gamma(7 / 3 + alpha)
    assert float(image(of).sum()) == pytest.approx(total, rel=2e-6)


SMOOTH = ["sersic 1", "sersic 10", "moffat", "narrow gaussian", "king", "ferrer", "nuker", "edgedisk"]


@pytest.mark.parametrize("case", SMOOTH)
def test_partials_against_differences_of_the_image(case):
    of = source(*CASES[case])
    for plane, name in zip(integrate(of, axis(), axis())[1:, 0], of.wanted, strict=True):
        step = 1e-3 * min(abs(float(of.values[name])), 1.0)

        def moved(times, name=name, step=step):
            return image(replace(of, values={**of.values, name: of.values[name] + times * step}))

        numerical = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step)
        largest = float(numerical.abs().max())
        # the image is good to some 1e-8 of its peak, its difference over a step to some 1e-8 / step
        allowed = 3e-4 * largest + 1e-7 * float(image(of).max()) / step
        assert float((plane - numerical).abs().max()) < allowed, name


def test_centre_on_the_edge_of_a_pixel_has_partials():
    of = source("expdisk", {"rs": 3.0}, xc=12.5, yc=11.5, wanted=("xc", "yc"))
    planes = integrate(of, axis(), axis())[1:, 0]
    for plane, name in zip(planes, of.wanted, strict=True):
        ahead, behind = (
            image(replace(of, values={**of.values, name: of.values[name] + step})) for step in (1e-3, -1e-3)
        )
        assert float((plane - (ahead - behind) / 2e-3).abs().max() / plane.abs().max()) < 1e-3


def stack(sources):
    """One batch of single ones."""
    names = sources[0].values
    return replace(sources[0], values={name: torch.cat([s.values[name] for s in sources]) for name in names})


def test_a_galaxy_is_the_same_alone_and_in_a_batch():
    alone = [source("sersic", {"re": re, "n": n}, xc=xc) for re, n, xc in ((3.0, 1.0, 12.3), (0.3, 6.0, 9.5))]
    together = integrate(stack(alone), axis().expand(2, -1), axis().expand(2, -1))
    for b, single in enumerate(alone):
        planes = integrate(single, axis(), axis())[:, 0]
        scale = planes.abs().amax((1, 2), keepdim=True).clamp(min=1e-300)
        assert float(((together[:, b] - planes) / scale).abs().max()) < 1e-12


def test_a_galaxy_that_is_nan_does_not_spoil_the_others():
    good, bad = source("sersic", {"re": 3.0, "n": 1.0}), source("sersic", {"re": math.nan, "n": 1.0})
    planes = integrate(stack([good, bad]), axis().expand(2, -1), axis().expand(2, -1))
    assert torch.allclose(planes[:, 0], integrate(good, axis(), axis())[:, 0], rtol=1e-12)
    assert bool(planes[0, 1].isnan().all())


def test_no_light_is_no_light():
    planes = integrate(source("ferrer", {"rout": 3.0, "alpha": 1.0, "beta": 0.0}, xc=-9.0), axis(), axis())
    assert float(planes.abs().max()) == 0


@dataclass(frozen=True)
class Counted:
    """A source that counts the points at which it is asked."""

    source: Source
    points: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})

    @property
    def values(self):
        return self.source.values

    @property
    def wanted(self):
        return self.source.wanted

    def sample(self, x, y, image, partials=True):
        self.points[partials] += len(x)
        return self.source.sample(x, y, image, partials)


def test_most_pixels_need_few_points():
    counted = Counted(source("sersic", {"re": 10.0, "n": 2.0}, xc=64.3, yc=63.8, wanted=("re", "n")))
    integrate(counted, axis(128), axis(128))
    assert counted.points[False] < 20 * 128**2
    assert counted.points[True] < 6 * 128**2


# --- kappa(n) ---


@pytest.mark.parametrize("twice", [1, 2, 3, 4, 8, 20, 50, 100])
def test_kappa_halves_the_light_of_integer_orders(twice):
    """1 - P(m, x) = e^-x sum_k<m x^k / k!."""
    x = float(exact_kappa(tensor(twice / 2)))
    outside = math.fsum(math.exp(k * math.log(x) - x - math.lgamma(k + 1)) for k in range(twice))
    assert outside == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("n", [0.02, 0.05, 0.11, 0.299, 0.301, 0.77, 3.3, 17.7])
def test_kappa_halves_the_light(n):
    """P(a, x) = x^a / Gamma(a + 1) int_0^1 exp(-x s^(1/a)) ds, with s = t^8."""
    x, a = float(exact_kappa(tensor(n))), 2 * n
    nodes, weights = np.polynomial.legendre.leggauss(12)
    t = (np.arange(400)[:, None] + (nodes + 1) / 2) / 400
    integral = float((np.exp(-x * t ** (8 / a)) * 8 * t**7 * weights / 800).sum())
    assert math.exp(a * math.log(x) - math.lgamma(a + 1)) * integral == pytest.approx(0.5, rel=1e-11)


def test_kappa_of_a_gaussian():
    assert float(exact_kappa(tensor(0.5))) == pytest.approx(math.log(2), rel=1e-14)


def test_slope_of_kappa():
    n = torch.logspace(math.log10(0.021), math.log10(49), 60, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(exact_kappa(n).sum(), n)
    at, step = n.detach(), 5e-4 * n.detach()
    first, second, third = (exact_kappa(at + k * step) - exact_kappa(at - k * step) for k in (1, 2, 3))
    numerical = (45 * first - 9 * second + third) / (60 * step)
    assert float((slope / numerical - 1).abs().max()) < 1e-8


def test_kappa_beyond_its_range():
    n = tensor(0.001, 0.02, 50.0, 51.0).requires_grad_()
    kappa = exact_kappa(n)
    (slope,) = torch.autograd.grad(kappa.sum(), n)
    kappa = kappa.detach()
    assert float(kappa[0]) == float(kappa[1])
    assert float(kappa[3] - kappa[2]) == pytest.approx(2)
    assert slope[[0, 3]].tolist() == [0, 2]


# --- the shift of a PSF ---


def gaussian(fwhm, height=40, width=40, x=0.0, y=0.0):
    """(1, height, width) of unit sum, centred at (x, y) pixels from the pixel n // 2."""
    sigma = fwhm / (2 * math.sqrt(2 * math.log(2)))
    down = torch.arange(height, dtype=torch.float64)[:, None] - height // 2 - y
    across = torch.arange(width, dtype=torch.float64) - width // 2 - x
    made = (-(down**2 + across**2) / (2 * sigma**2)).exp()[None]
    return made / made.sum()


@pytest.mark.parametrize(("fwhm", "tolerance"), [(1.5, 5e-2), (2.0, 5e-3), (3.0, 2e-3), (4.0, 3e-4)])
@pytest.mark.parametrize(("sx", "sy"), [(0.5, 0.5), (0.3, 0.8), (0.25, 0.0)])
def test_a_gaussian_moves_to_where_it_should(fwhm, tolerance, sx, sy):
    ready = psf.prepare(gaussian(fwhm), 1)
    moved = spline.move(ready, tensor(sx), tensor(sy))
    there = gaussian(fwhm, 44, 44, sx, sy)
    assert (int(moved.x0), int(moved.y0)) == (22, 22)
    assert float((moved.image - there).abs().max() / there.max()) < tolerance


def rough(count=2):
    """PSFs with light up to the border of the array."""
    generator = torch.Generator().manual_seed(1)
    return psf.prepare(torch.rand(count, 9, 12, generator=generator, dtype=torch.float64), 1)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5, 0.999])
def test_a_shift_keeps_the_flux(shift):
    moved = spline.move(rough(), tensor(shift, 0.3), tensor(0.7, shift))
    assert torch.allclose(moved.image.sum((1, 2)), tensor(1.0, 1.0), rtol=1e-14)
    assert float(moved.d_dx.sum((1, 2)).abs().max()) < 1e-13


def test_no_shift_and_a_whole_pixel_copy_the_psf():
    ready = rough()
    still, gone = (spline.move(ready, s, s).image for s in (tensor(0.0, 0.0), tensor(1.0, 1.0)))
    assert torch.allclose(still[:, 2:-2, 2:-2], ready.image, atol=1e-8)
    assert torch.allclose(gone[:, 3:-1, 3:-1], ready.image, atol=1e-8)


@pytest.mark.parametrize("shift", [0.02, 0.5, 0.97])
def test_derivatives_of_the_shift(shift):
    ready, step = rough(), 1e-5
    sx, sy = tensor(shift, 0.4), tensor(0.6, shift)
    moved = spline.move(ready, sx, sy)
    across = (spline.move(ready, sx + step, sy).image - spline.move(ready, sx - step, sy).image) / (2 * step)
    down = (spline.move(ready, sx, sy + step).image - spline.move(ready, sx, sy - step).image) / (2 * step)
    assert torch.allclose(moved.d_dx, across, atol=1e-9)
    assert torch.allclose(moved.d_dy, down, atol=1e-9)

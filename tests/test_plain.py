"""Plain ellipses drawn the quick way: the same light and derivatives as on the general path."""

import numpy as np
import pytest
import torch
from simulate import component, exposure, job, star, typical

from galfeed.model import ellipse, near, pixels, plain, scene
from galfeed.model.ellipse import Ellipse
from galfeed.model.light import Light
from galfeed.model.shape import Shape
from galfeed.profiles import PROFILES

SCALE = {name: torch.ones(6, dtype=torch.float64) for name in ("zeropoint", "exptime", "pixel_area")}
PLAIN = [
    name
    for name, profile in PROFILES.items()
    if ellipse.applies(Light(profile, 0, Shape(), (), frozenset()), 1) and profile.kind == "radial"
]


def light_of(name, derivatives="galfit"):
    profile = PROFILES[name]
    lengths = frozenset(spec.name for spec in profile.params if spec.unit == "pix")
    return Light(profile, 0, Shape(), (), lengths, "galfit", derivatives)


def numbers(name):
    """Six of a kind: round, flat, on ties of the sub-pixel rule, small and large."""
    values = {
        spec.name: torch.full((6,), typical(spec), dtype=torch.float64) * torch.linspace(0.4, 1.7, 6).double()
        for spec in PROFILES[name].params
    }
    values["q"] = torch.tensor([1.0, 0.5, 0.4, 0.3, 0.999, 0.8], dtype=torch.float64)
    values["pa"] = torch.tensor([0.0, 90.0, -45.0, 33.3, 89.0, -60.0], dtype=torch.float64)
    values["xc"] = values["yc"] = torch.zeros(6, dtype=torch.float64)
    return values


def quick(light, values, names, x, y, dtype=torch.float64):
    """The image ("") and the partial images ``names`` on the quick path."""
    made = ellipse.combination(light, values, tuple(name for name in names if name), SCALE)
    sampled = near.samples(Ellipse.of(light, values, SCALE))
    patch = near.patch(made.ellipse, sampled, sampled.tally(made.ellipse).numpy(), made.planes)
    drawn = plain.drawn(made.ellipse.to(dtype), patch.to(dtype), (100, 108), made.planes).double()
    rows, columns = y.long()[0], x.long()[0]
    upper = drawn[:, :, rows.clamp(min=0)][..., -columns % 108]
    lower = drawn[:, :, (-rows).clamp(min=0)][..., columns % 108]
    sign = torch.tensor([-1.0 if name in ellipse.ODD else 1.0 for name in made.planes])[:, None, None, None]
    planes = torch.where((rows < 0)[:, None], lower * sign, upper)
    partials = torch.einsum("bkp,kbhw->pbhw", made.slopes, planes)
    return torch.cat([planes[:1], partials]) if "" in names else partials


def general(light, values, wanted, x, y):
    """The general path's images in ADU, differentiated through its own numbers."""
    own = {name: value.clone() for name, value in values.items()}
    leaves = [own[name].requires_grad_() for name in wanted]
    with torch.enable_grad():
        scaled = light.scaled(own, 1)
        made = scaled | light.derived(scaled)
        amplitude = light.amplitude(own, made, SCALE)
    source = pixels.Source(light, {n: v.detach() for n, v in made.items() if n not in ("mag", "mu")}, ())
    moving = source.taken(tuple(n for n, v in made.items() if v.requires_grad and n not in ("mag", "mu")))
    image, *partials = pixels.integrate(pixels.Source(light, source.values, moving), x, y)
    out = torch.zeros(1 + len(wanted), *image.shape, dtype=torch.float64)
    out[0] = amplitude.detach()[:, None, None] * image
    pairs = [
        (image, amplitude),
        *((p * amplitude.detach()[:, None, None], made[n]) for n, p in zip(moving, partials, strict=True)),
    ]
    for plane, number in pairs:
        slopes = torch.autograd.grad(number.sum(), leaves, allow_unused=True, retain_graph=True)
        for row, slope in enumerate(slopes, start=1):
            if slope is not None:
                out[row] += slope[:, None, None] * plane
    return out


def possible(light, values):
    """Which images can be drawn quickly."""
    return near.samples(Ellipse.of(light, values, SCALE)).possible


@pytest.mark.parametrize("first", [(-20, -20), (-3, 2), (5, -30), (-9, -40)], ids=str)
@pytest.mark.parametrize("derivatives", ["galfit", "true"])
@pytest.mark.parametrize("name", PLAIN)
def test_agrees_with_the_general_path(name, derivatives, first):
    """Also where the image ends close to the centre, or does not hold it."""
    light, values = light_of(name, derivatives), numbers(name)
    covered = possible(light, values)
    assert covered.any()
    wanted = tuple(values)
    x = (torch.arange(41).double() + first[0]).expand(6, -1)
    y = (torch.arange(37).double() + first[1]).expand(6, -1)
    expected = general(light, values, wanted, x, y)
    accurate = light.profile.sampling.accurate  # other nodes for the same integral
    # a sample of GALFIT's grid that lies on an axis has no true derivative, and the points in its place have one
    close = 1e-7 if derivatives == "galfit" else 2e-6
    for dtype, limit in ((torch.float64, 3e-5 if accurate else close), (torch.float32, 3e-5)):
        found = quick(light, values, ("", *wanted), x, y, dtype)
        assert found.shape == expected.shape
        for word, image, other in zip(("", *wanted), found, expected, strict=True):
            scale = other.abs().amax((1, 2))
            if word == "pa":  # that of a circle is rounding on both paths
                scale = scale.clamp(min=1e-4 * expected[0].amax((1, 2)))
            assert ((image - other).abs().amax((1, 2)) / scale)[covered].max() < limit, (word, dtype)


def test_only_what_is_wanted():
    light, values = light_of("sersic"), numbers("sersic")
    x = y = torch.arange(-15.0, 16.0).double().expand(6, -1)
    everything = quick(light, values, tuple(values), x, y)
    for wanted in (("mag",), ("n",), ("pa", "xc"), ("re", "q", "mag")):
        found = quick(light, values, wanted, x, y)
        rows = [list(values).index(name) for name in wanted]
        torch.testing.assert_close(found, everything[rows], rtol=1e-11, atol=0)  # sums of planes


def test_points_are_pixels_of_one_sample():
    light, values = light_of("sersic"), numbers("sersic")
    names = ("", "xc", "re", "pa")
    made = ellipse.combination(light, values, names[1:], SCALE)
    x = y = torch.arange(-30.0, 31.0).double().expand(6, -1)
    images = quick(light, values, names, x, y)
    far = torch.nonzero(torch.hypot(x[:, None, :], y[:, :, None]) > 10, as_tuple=True)
    found = ellipse.points(made.ellipse, far[0], x[far[0], far[2]], y[far[0], far[1]], made.planes)
    together = torch.cat([found[:1], torch.einsum("skp,ks->ps", made.slopes[far[0]], found)])
    # GALFIT's floor is left out where a pixel has one sample
    torch.testing.assert_close(together, images[:, far[0], far[1], far[2]], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("derivatives", ["galfit", "true"])
def test_small_cores(derivatives):
    """Grids of even and odd numbers of samples, up to the largest."""
    light, values = light_of("sersic", derivatives), numbers("sersic")
    values["re"] = torch.tensor([0.9, 0.95, 0.5, 0.77, 0.1, 2.2]).double()
    assert possible(light, values).tolist() == [False, False, True, True, True, True]
    x = y = torch.arange(-12.0, 13.0).double().expand(6, -1)
    wanted = tuple(values)
    covered = possible(light, values)
    for word, image, other in zip(
        ("", *wanted), quick(light, values, ("", *wanted), x, y), general(light, values, wanted, x, y), strict=True
    ):
        error = (image - other).abs().amax((1, 2)) / other.abs().amax((1, 2))
        assert error[covered].max() < (1e-7 if derivatives == "galfit" else 2e-6), word


def test_what_is_left_to_the_general_path():
    light, values = light_of("sersic"), numbers("sersic")
    values["re"], values["q"] = torch.full_like(values["re"], 4.0), torch.tensor([0.3, 0.25, 0.2]).double().repeat(2)
    values["pa"] = torch.tensor([90.0, 90, 90, 0, 0, 45]).double()  # on the axis the next pixels are small grids too
    values["xc"] = torch.tensor([0.0, 0, 0, 0.5, 0, 0]).double()
    assert possible(light, values).tolist() == [True, True, False, True, True, True]
    disk, values = light_of("expdisk"), numbers("expdisk")
    values["rs"], values["q"] = (
        torch.tensor([4.0, 4, 4, 0.2, 0.2, 0.2]).double(),
        torch.tensor([0.3, 0.2, 0.1] * 2).double(),
    )
    assert possible(disk, values).tolist() == [True, True, False, True, False, False]


def test_leaves_the_rest_to_the_general_path():
    plain = light_of("sersic")
    for shape in (Shape(c0=True), Shape(fourier=(1,)), Shape(bending=(2,)), Shape(rotation="log")):
        assert not ellipse.applies(Light(plain.profile, 0, shape, (), plain.lengths), 1)
    assert not ellipse.applies(plain, 2)
    assert not ellipse.applies(Light(plain.profile, 0, Shape(), (), plain.lengths, "exact"), 1)
    assert {"sersic", "devauc", "gaussian", "expdisk"} == set(PLAIN)


def test_few_points_have_the_mean_of_a_grid():
    points, weights = near.gauss_of_grid(20, 8)
    grid = (np.arange(20) + 0.5) / 20 - 0.5
    for degree in range(16):
        assert (weights * points**degree).sum() == pytest.approx((grid**degree).mean(), abs=1e-15)
    assert (weights * points**16).sum() != pytest.approx((grid**16).mean(), rel=1e-6)


def rendered(monkeypatch, own, made, quick, dtype, derivatives, both=False, roughly=False):
    """Image, partial images and those of the true derivatives of a job by the quick or the general path."""
    with monkeypatch.context() as patch:
        if not quick:
            patch.setattr(plain, "possible", lambda *_: False)
        whole = scene.build([own, own], [made, made], partials=dtype)
        wanted = [k for k, ref in enumerate(whole.refs) if ref.component == 1]
        drawn = whole.render(whole.start, wanted, derivatives=derivatives, roughly=roughly)
        found = drawn.partials(torch.tensor([1]), both)
        true = found.true
        images = found.images()
        return drawn.image, images, true, wanted


@pytest.mark.parametrize("derivatives", ["galfit", "true"])
@pytest.mark.parametrize("box", [(60, 58), (26, 31)], ids=str)
def test_convolved_images_agree_with_the_general_path(monkeypatch, box, derivatives):
    """Also beyond the convolution box, where nothing is convolved."""
    own = job(component(1, "sersic", xc=25.3, yc=17.6, re=4.0, q=0.6), width=44, height=40, box=box)
    made = exposure(own, psf=star())
    image, partials, _, wanted = rendered(monkeypatch, own, made, False, torch.float64, derivatives)
    for dtype, roughly, limit in (
        (torch.float64, False, 1e-6),
        (torch.float32, False, 2e-4),
        (torch.float32, True, 2e-4),
    ):
        if roughly and derivatives == "true":
            continue  # by GALFIT's, which are near enough
        found = rendered(monkeypatch, own, made, True, dtype, derivatives, roughly=roughly)
        assert (found[0] - image).abs().max() < (limit if roughly else 1e-7) * image.max()
        for one, other in zip(found[1], partials, strict=True):
            assert (one - other).abs().max() < limit * other.abs().max()
    assert len(wanted) == 7


def test_true_derivatives_beside_galfits(monkeypatch):
    own = job(component(1, "sersic", xc=25.3, yc=17.6, re=4.0, q=0.6), width=44, height=40, box=(26, 31))
    made = exposure(own, psf=star())
    _, partials, _, _ = rendered(monkeypatch, own, made, False, torch.float64, "true")
    whole = scene.build([own, own], [made, made])
    wanted = [k for k, ref in enumerate(whole.refs) if ref.component == 1]
    found = whole.render(whole.start, wanted, derivatives="galfit").partials(torch.tensor([1]), True)
    assert found.true is not None
    for one, other in zip(found._replace(slopes=found.true).images(), partials, strict=True):
        assert (one - other).abs().max() < 5e-6 * other.abs().max()

"""``--exact`` for whole components: shapes, truncations and PSFs, against plain fine grids of points."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from simulate import component, exposure, job, partial_images, star, truncation

from galfeed.model import scene

SHAPES = {
    "C0": {"c0": True},
    "bending": {"hidden": {"bending": (1, 2, 3)}},
    "Fourier": {"hidden": {"fourier": (1, 3)}},
    "power": {"hidden": {"rotation": "power"}},
    "log": {"hidden": {"rotation": "log"}},
    "all": {"c0": True, "hidden": {"bending": (2,), "fourier": (4, 1), "rotation": "power"}},
}
CUTS = {
    "whole": (),
    "inner": (truncation(2, "radial", rbrk=8.0, dsft=4.0),),
    "own centre": (truncation(2, "radial2", centre=True, ellipse=True, xc=16.7, yc=17.1, rbrk=3.0, rsft=9.0),),
}
FINE = 200  # points an axis


def exact(*components, **images):
    own = job(*components)
    return scene.build([own], [exposure(own, **images)], accuracy="exact")


def brute_force(made, points):
    """Means over pixels (x, y) of the light of the first component, from a grid of points."""
    (own,) = made.components
    values = {name: made.start[:, column] for name, column in own.columns.items()}
    part = replace(own.light, accuracy="exact")
    numbers = values | part.derived(values)
    factor = part.amplitude(values, numbers, made.frame.scale)
    step = (torch.arange(FINE, dtype=torch.float64) + 0.5) / FINE - 0.5
    means = []
    for x, y in points:
        place, left = part.geometry(x + step[:, None], y + step[None, :], numbers)
        level = part.intensity(place, numbers)
        means.append(float((level if left is None else level * left).mean() * factor))
    return np.array(means)


PLACES = [(17, 16), (18, 16), (16, 14), (19, 18), (13, 20), (24, 11), (17, 25), (8, 9)]


PRODUCTS = list(itertools.product(SHAPES, CUTS, ("gaussian", "expdisk", "king")))


@pytest.mark.parametrize(("shape", "cut", "name"), PRODUCTS)
def test_pixels(shape, cut, name):
    blocks = CUTS[cut]
    made = exact(component(1, name, inner=(2,) if blocks else (), **SHAPES[shape]), *blocks)
    image = made.render(made.start).image[0].numpy()
    found = np.array([image[y - 1, x - 1] for x, y in PLACES])
    assert np.abs(found - brute_force(made, PLACES)).max() < 1e-5 * image.max()


@pytest.mark.parametrize("shape", SHAPES)
def test_flux_is_that_of_the_magnitude(shape):
    own = component(1, "gaussian", xc=60.3, yc=60.6, fwhm=8.0, q=0.8, **SHAPES[shape])
    wide = job(own, width=120, height=120)
    made = scene.build([wide], [exposure(wide)], accuracy="exact")
    assert float(made.render(made.start).image.sum()) == pytest.approx(10 ** (-0.4 * (18.0 - 25.0)), rel=1e-5)


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.3, 0.45), (0.5, 0.5), (0.7, 0.2)])
def test_a_star_and_a_galaxy_keep_their_flux_wherever_they_are(dx, dy):
    flux = 10 ** (-0.4 * (18.0 - 25.0))
    psf = star(2.6, 21, 21)
    for own in (
        component(1, "psf", xc=32 + dx, yc=31 + dy),
        component(1, "gaussian", xc=32 + dx, yc=31 + dy, fwhm=2.5),
    ):
        wide = job(own, width=64, height=62)
        made = scene.build([wide], [exposure(wide, psf=psf)], accuracy="exact")
        assert float(made.render(made.start).image.sum()) == pytest.approx(flux, rel=1e-5)


@pytest.mark.parametrize("name", ["sersic", "psf"])
def test_nothing_jumps_where_a_centre_crosses_half_a_pixel(name):
    images = []
    for away in (-1e-6, 1e-6):
        made = exact(component(1, name, xc=17.5 + away, yc=15.5 + away), psf=star())
        images.append(made.render(made.start).image)
    assert float((images[1] - images[0]).abs().max()) < 1e-5 * float(images[0].max())


def test_diffusion_leaves_no_frame_around_the_box():
    kernel = np.array([[0.0, 0.1, 0.0], [0.1, 1.0, 0.1], [0.0, 0.1, 0.0]])
    own = component(1, "gaussian", xc=17.3, yc=15.8, fwhm=60.0, q=1.0)
    for accuracy, deepest in (("exact", 1e-3), ("galfit", 0.2)):
        made_job = job(own, box=(12, 12))
        made = scene.build([made_job], [exposure(made_job, psf=star(2.6, 5, 5), kernel=kernel)], accuracy=accuracy)
        image = made.render(made.start).image[0]
        around = torch.nn.functional.avg_pool2d(image[None], 5, 1, 2, count_include_pad=False)[0]
        drop = float((1 - image / around)[3:-3, 3:-3].max())
        assert drop < deepest
        assert accuracy == "exact" or drop > 0.01


STEP = 2.0**-12


@pytest.mark.parametrize("setting", [{}, {"psf": star()}], ids=["no psf", "psf"])
@pytest.mark.parametrize("name", ["sersic", "expdisk", "nuker", "edgedisk", "psf"])
def test_derivatives_against_differences(name, setting):
    if name == "psf" and not setting:
        return
    made = exact(component(1, name), **setting)
    columns = list(range(len(made.refs)))
    partials = partial_images(made, columns)[0]
    for column in columns:
        push = STEP * torch.eye(len(columns), dtype=torch.float64)[column]
        ahead, behind = (made.render(made.start + side * push).image[0] for side in (1, -1))
        expected = (ahead - behind) / (2 * STEP)
        assert float((partials[column] - expected).abs().max()) < 1e-3 * float(expected.abs().max())


@pytest.mark.parametrize("name", ["sersic", "psf"])
def test_what_is_smaller_than_a_pixel_keeps_its_place(name):
    x = np.arange(1, 65)
    found = []
    for dx in (0.0, 0.3, 0.5, 0.8):
        own = job(component(1, name, xc=32 + dx, yc=31.0, re=0.1, n=4.0, q=1.0), width=64, height=61)
        made = scene.build([own], [exposure(own, psf=star(2.6, 21, 21))], accuracy="exact")
        image = made.render(made.start).image[0].numpy()
        found.append((image * x).sum() / image.sum() - dx)
    assert np.ptp(found) < 2e-3

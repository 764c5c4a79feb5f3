"""GALFIT's sub-pixel grids: how many samples a pixel takes, and which of them count."""

import numpy as np
import pytest
import torch
from simulate import component, image, job

from galfeed.model.light import Light
from galfeed.model.pixels import Source, _kept, grid_size
from galfeed.model.shape import Shape
from galfeed.profiles import PROFILES

SIZE = 41
CENTRE = 20
AWAY = np.arange(SIZE) - CENTRE


def samples(name, numbers, fine=1, xc=float(CENTRE), yc=float(CENTRE)):
    """N of pixels (SIZE, SIZE), the centre on that of the middle one if not said otherwise."""
    light = Light(PROFILES[name], 0, Shape(), (), frozenset())
    values = {"xc": xc, "yc": yc, "pa": 0.0} | ({} if name == "edgedisk" else {"q": 1.0}) | numbers
    values = {key: torch.tensor([number], dtype=torch.float64) for key, number in values.items()}
    source = Source(light, values | light.derived(values), (), fine)
    axis = torch.arange(float(SIZE), dtype=torch.float64)[None]
    grid = (1, SIZE, SIZE)
    _, place = source.evaluate(
        axis[:, None, :].expand(grid), axis[:, :, None].expand(grid), lambda v: v[:, None, None].expand(grid)
    )
    return grid_size(source, place, source.single(axis, axis))[0].numpy()


def row(name, numbers, **where):
    """N of the pixels to the right of the centre."""
    return samples(name, numbers, **where)[CENTRE, CENTRE:].tolist()


SERSIC = {"re": 5.0, "n": 2.0}
FALLING = [4, 3, 3, 3, 2]  # nint(20 / r) for r = 5 to 9


def test_samples_by_radius():
    assert row("sersic", SERSIC)[:12] == [20, 20, 20, 20, 20, *FALLING, 1, 1]


def test_samples_by_radius_between_pixels():
    x = np.arange(CENTRE, SIZE) - 19.7
    expected = np.where(x <= 4, 20, np.where(x < 10, np.floor(20 / x + 0.5), 1))
    assert row("sersic", SERSIC, xc=19.7) == expected.tolist()


@pytest.mark.parametrize("q", [0.5, 0.8])
def test_the_elliptical_radius_counts(q):
    found = samples("sersic", SERSIC | {"q": q})
    r = np.hypot(AWAY[None, :] / q, AWAY[:, None])
    clear = (np.abs(r - 4) > 1e-3) & (np.abs(r - 10) > 1e-3) & (np.abs(20 / r.clip(0.1) % 1 - 0.5) > 1e-3) & (r > 1.001)
    expected = np.where(r < 4, 20, np.where(r < 10, np.floor(20 / r.clip(0.1) + 0.5), 1))
    assert np.array_equal(found[clear], expected[clear])


@pytest.mark.parametrize("pa", [0.0, 90.0])
def test_four_pixels_away_is_near_and_ten_is_far(pa):
    found = samples("sersic", SERSIC | {"pa": pa})
    assert [found[CENTRE + dy, CENTRE + dx] for dx, dy in ((4, 0), (-4, 0), (0, 4), (0, -4))] == [20] * 4
    assert [found[CENTRE + dy, CENTRE + dx] for dx, dy in ((10, 0), (-10, 0), (0, 10), (6, 8))] == [1] * 4


CORES = [
    ("sersic", {"re": 0.5, "n": 2.0}, 40),
    ("sersic", {"re": 0.3, "n": 2.0}, 66),
    ("sersic", {"re": 0.05, "n": 2.0}, 100),
    ("sersic", {"re": 3.0, "n": 2.0}, 20),
    ("devauc", {"re": 0.5}, 40),
    ("king", {"rc": 0.7, "rt": 15.0, "alpha": 2.0}, 57),
    ("king", {"rc": 0.2, "rt": 15.0, "alpha": 2.0}, 100),
    ("king", {"rc": 1.1, "rt": 15.0, "alpha": 2.0}, 20),
    ("ferrer", {"rout": 0.7, "alpha": 2.0, "beta": 0.5}, 57),
    ("ferrer", {"rout": 5.0, "alpha": 2.0, "beta": 0.5}, 20),
    ("nuker", {"rb": 0.3, "alpha": 2.0, "beta": 2.0, "gamma": 0.5}, 33),
]


@pytest.mark.parametrize(("name", "numbers", "core"), CORES)
def test_samples_of_the_core(name, numbers, core):
    assert samples(name, numbers)[CENTRE, CENTRE] == core


def test_the_axis_ratio_counts_in_the_core():
    assert samples("sersic", {"re": 1.0, "n": 2.0, "q": 0.25})[CENTRE, CENTRE] == 80
    assert samples("king", {"rc": 1.6, "rt": 15.0, "alpha": 2.0, "q": 0.5})[CENTRE, CENTRE] == 50


def test_nuker_has_its_own_numbers():
    numbers = {"rb": 5.0, "alpha": 2.0, "beta": 2.0, "gamma": 0.5}
    assert row("nuker", numbers)[:8] == [10, 10, 10, 10, 10, 1, 1, 1]


def test_on_a_fine_grid_there_are_fewer():
    assert row("sersic", SERSIC, fine=2)[:11] == [10] * 9 + [1, 1]


@pytest.mark.parametrize("name", ["king", "ferrer"])
def test_pixels_with_their_centre_beyond_the_edge_take_one(name):
    numbers = {"king": {"rc": 2.0, "rt": 6.5, "alpha": 2.0}, "ferrer": {"rout": 6.5, "alpha": 1.0, "beta": 0.0}}
    assert row(name, numbers[name])[:11] == [20, 20, 20, 20, 20, 4, 3, 1, 1, 1, 1]


# --- edge-on disks ---


def edge_on(along, across, height):
    """An upright disk; ``across`` is the coordinate to the right."""
    near = np.minimum(np.abs(along), np.abs(across))
    with np.errstate(divide="ignore"):
        found = np.where(near < 3, 5, np.floor(10 / near + 0.5))
        if height <= 1:
            thin = np.where(near == 0, 1, np.minimum(np.floor(20 / near), 100))
            found = np.where(near < 1, thin, found)
    return np.where((near >= 10) | (across >= 10), 1, found.clip(1))


@pytest.mark.parametrize("height", [0.4, 1.0, 1.1, 3.0])
@pytest.mark.parametrize(("xc", "yc"), [(20.0, 20.0), (19.7, 20.4), (20.05, 19.9)])
def test_samples_of_an_edge_on_disk(height, xc, yc):
    found = samples("edgedisk", {"hs": height, "rs": 5.0}, xc=xc, yc=yc)
    x, y = np.meshgrid(np.arange(SIZE) - xc, np.arange(SIZE) - yc)
    near = np.minimum(abs(x), abs(y)).clip(1e-3)
    clear = (np.abs(10 / near % 1 - 0.5) > 1e-4) & ((near > 1) | (np.abs(20 / near % 1 - 0.5) < 0.4999) | (near < 0.01))
    assert np.array_equal(found[clear], edge_on(y, x, height)[clear])
    assert clear.mean() > 0.6


def test_a_thin_disk_is_sampled_finely_along_its_plane_but_not_beside_its_centre():
    column = samples("edgedisk", {"hs": 0.4, "rs": 5.0}, xc=19.7)[:, CENTRE]
    assert column[CENTRE] == 1
    assert set(np.delete(column, CENTRE)) == {66}


def test_one_side_of_an_edge_on_disk_is_never_sampled_finely():
    found = samples("edgedisk", {"hs": 3.0, "rs": 5.0})
    assert found[CENTRE, CENTRE - 15] == 5
    assert found[CENTRE, CENTRE + 15] == 1


# --- the hard edge of king and ferrer ---


def test_columns_after_one_that_ends_outside_are_left_out():
    outside = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]) > 0  # column by column, upwards
    outside = torch.stack([torch.nn.functional.pad(outside, (0, 1, 0, 0)), torch.ones(4, 4) > 0])
    assert _kept(outside.reshape(-1), 4).reshape(2, 4, 4)[:, :, 0].tolist() == [[True] * 4, [True] + [False] * 3]
    outside[0, 1, 3] = True
    assert _kept(outside.reshape(-1), 4).reshape(2, 4, 4)[0].all(1).tolist() == [True, True, False, False]


ROUT, Q, PA, XC, YC = 7.3, 0.7, 30.0, 17.31, 15.83


def ferrer(x, y):
    """alpha 0.3 and beta 0, bright up to its edge; and the radius."""
    sin, cos = np.sin(np.radians(PA)), np.cos(np.radians(PA))
    dx, dy = x - XC, y - YC
    r = np.hypot(dy * cos - dx * sin, (dx * cos + dy * sin) / Q)
    return (1 - (r / ROUT).clip(max=1) ** 2) ** 0.3, r


def pixel(column, row, ends):
    """Mean of a pixel, its columns of samples from the left, until one ends outside if ``ends``."""
    _, r = ferrer(column, row)
    if r >= ROUT:
        return 0.0
    n = 20 if r <= 4 else int(20 / r + 0.5)
    steps = (np.arange(n) + 0.5) / n - 0.5
    total = 0.0
    for x in column + steps:
        light, radius = ferrer(x, row + steps)
        total += light.sum()
        if ends and radius[-1] >= ROUT:
            break
    return total / n**2


def test_image_of_a_ferrer_with_its_edge():
    made = image(job(component(1, "ferrer", xc=XC, yc=YC, rout=ROUT, alpha=0.3, beta=0.0, q=Q, pa=PA, mu=20.0)))
    expected, full = (
        np.array([[25 * pixel(column + 1, row + 1, ends) for column in range(34)] for row in range(31)])
        for ends in (True, False)
    )
    assert np.allclose(made, expected, atol=25e-6)
    assert (full - expected).max() > 0.3 * full.max()

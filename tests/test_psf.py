"""Moving a PSF by a fraction of a pixel."""

import math

import pytest
import torch

from galfeed.model import psf

WIDTHS = (1.5, 2.0, 2.8, 3.5, 4.5)  # FWHM, pixels: cubic, narrow sinc, wide sinc (twice), cubic


def gaussian(fwhm, height=31, width=31, x=0.0, y=0.0):
    """(1, height, width) centred at (x, y) pixels from the centre pixel n // 2."""
    sigma = fwhm / (2 * math.sqrt(2 * math.log(2)))
    down = torch.arange(height, dtype=torch.float64)[:, None] - height // 2 - y
    across = torch.arange(width, dtype=torch.float64) - width // 2 - x
    return (-(down**2 + across**2) / (2 * sigma**2)).exp()[None]


def shift(value):
    return torch.tensor([value], dtype=torch.float64)


def centred(moved):
    """The moved array shifted by the whole pixel, so that the object's pixel is at n // 2."""
    dx, dy = moved.image.shape[2] // 2 - int(moved.x0), moved.image.shape[1] // 2 - int(moved.y0)
    return moved.image[0].roll((dy, dx), (0, 1))


@pytest.mark.parametrize("shape", [(31, 31), (20, 31), (16, 18)])
def test_the_centre_is_pixel_half_the_size_for_odd_and_even_psfs(shape):
    ready = psf.prepare(gaussian(3.0, *shape), 1)
    assert all(n % 2 == 0 for n in ready.image.shape[1:])
    peak = divmod(int(ready.image[0].argmax()), ready.image.shape[2])
    assert peak == (ready.image.shape[1] // 2, ready.image.shape[2] // 2)
    assert float(ready.image.sum()) == pytest.approx(1)


def test_no_shift_copies_the_psf():
    ready = psf.prepare(gaussian(2.5), 1)
    assert torch.allclose(psf.move(ready, shift(0.0), shift(0.0)).image, ready.image, atol=1e-15)


@pytest.mark.parametrize("fwhm", WIDTHS)
def test_width_of_a_gaussian(fwhm):
    # linear interpolation between pixels biases the width by a few hundredths
    assert float(psf.prepare(gaussian(fwhm), 1).width[0]) == pytest.approx(fwhm, abs=0.12)


@pytest.mark.parametrize("fwhm", [2.8, 3.5, 4.5])
@pytest.mark.parametrize(("sx", "sy"), [(0.25, 0.0), (0.0, 0.75), (0.4, 0.6)])
def test_a_well_sampled_gaussian_moves_to_where_it_should(fwhm, sx, sy):
    moved = centred(psf.move(psf.prepare(gaussian(fwhm), 1), shift(sx), shift(sy)))
    there = psf.prepare(gaussian(fwhm, x=sx, y=sy), 1).image[0]
    assert float((moved - there).abs().max() / there.max()) < 0.03


@pytest.mark.parametrize("fwhm", WIDTHS)
def test_derivatives_are_those_of_the_branch(fwhm):
    ready, step = psf.prepare(gaussian(fwhm), 1), 1e-6
    sx, sy = shift(0.31), shift(0.78)
    moved = psf.move(ready, sx, sy)
    across = (psf.move(ready, sx + step, sy).image - psf.move(ready, sx - step, sy).image) / (2 * step)
    down = (psf.move(ready, sx, sy + step).image - psf.move(ready, sx, sy - step).image) / (2 * step)
    # the sinc region moves with the shift: no pixel crosses its edge within this step
    assert torch.allclose(moved.d_dx, across, atol=1e-9)
    assert torch.allclose(moved.d_dy, down, atol=1e-9)


def test_position_is_that_of_single_precision():
    # 11.7 * 5 is 58.5 in single and 58.499... in double precision; the fraction decides the branch
    pixel, fraction = psf.position(shift(11.7), 5)
    assert (int(pixel), float(fraction)) == (55, 0.5)


def test_place_cuts_at_the_edges():
    array = torch.arange(1.0, 17.0, dtype=torch.float64).reshape(1, 4, 4)
    image = psf.place(array, torch.tensor([-1]), torch.tensor([2]), 5, 6)
    expected = torch.zeros(5, 6, dtype=torch.float64)
    expected[2:5, 0:3] = array[0, :3, 1:]
    assert torch.equal(image[0], expected)


def test_binning_sums_blocks():
    fine = torch.arange(36.0).reshape(1, 6, 6)
    assert torch.equal(
        psf.bin_down(fine, 3)[0],
        torch.stack(
            [torch.stack([fine[0, 3 * j : 3 * j + 3, 3 * i : 3 * i + 3].sum() for i in range(2)]) for j in range(2)]
        ),
    )

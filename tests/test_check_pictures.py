"""What ``galfeed check`` sees in images: each thing in a made-up bad case, and nothing where nothing is wrong."""

import re

import numpy as np
import pytest
from checked import (
    BACKGROUND,
    EXPTIME,
    GALAXY,
    HEIGHT,
    SKY,
    WIDTH,
    galaxy,
    lines,
    observed,
    photons,
    star,
    value_place,
    write,
)

from galfeed.check import noise

LIGHT = SKY + galaxy()
SIGMA = photons(LIGHT)


def only(folder, line, *words):
    """The one finding, a warning at a line of the menu; it must hold some words."""
    (found,) = lines(folder)
    assert found.startswith(f"{value_place(folder, line)}: warning: "), found
    assert all(word in found for word in words), found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("given", [False, True])
def test_nothing_is_said_of_a_good_job(tmp_path, given, seed):
    write(tmp_path, data=observed(LIGHT, SIGMA, seed), sigma=SIGMA if given else None)
    assert lines(tmp_path) == []


# Sigma image


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (SIGMA**2, "looks like the variance: take its square root"),
        (SIGMA**-2.0, "looks like the inverse variance"),
        (1 / SIGMA, "looks like a weight, 1 over sigma"),
        (SIGMA * 10, "0.1 times"),
        (SIGMA / 10, "10 times"),
    ],
)
def test_a_sigma_image_that_does_not_fit_the_noise(tmp_path, image, words):
    write(tmp_path, sigma=image)
    only(tmp_path, "C)", "the noise seen in the data is", "ADU", words)


@pytest.mark.parametrize("factor", [0.6, 1.8])
def test_a_sigma_image_that_fits_the_noise_roughly(tmp_path, factor):
    write(tmp_path, sigma=factor * SIGMA)
    assert lines(tmp_path) == []


def test_correlated_noise_of_a_drizzled_image(tmp_path):
    noise = observed(np.zeros((HEIGHT + 1, WIDTH + 1)), np.ones((HEIGHT + 1, WIDTH + 1)))
    noise = (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 2
    write(tmp_path, data=LIGHT + noise * SIGMA, sigma=SIGMA)
    assert lines(tmp_path) == []


def test_the_cusp_of_a_bright_galaxy_is_no_noise(tmp_path):
    light = SKY + galaxy(flux=1e7)
    write(tmp_path, {**GALAXY, "3": "12.5 1"}, BACKGROUND, light=light, sigma=photons(light))
    assert lines(tmp_path) == []


def test_a_large_region_is_judged_by_bands_of_rows(tmp_path):
    rows = np.arange(1000)[:, None]
    sigma = np.where(rows % (2 * noise.BAND) < noise.BAND, 5.0, 50.0) * np.ones(700)
    write(tmp_path, BACKGROUND, data=observed(SKY, sigma), sigma=sigma / sigma, H="1 700 1 1000", D="none")
    (found,) = (line for line in lines(tmp_path) if "noise seen" in line)
    assert float(re.search(r"is ([\d.]+) ADU", found)[1]) == pytest.approx(5, rel=0.02)


def test_filled_borders_do_not_count_as_noise(tmp_path):
    data = observed(LIGHT, SIGMA)
    data[:, :40] = 0
    write(tmp_path, data=data, sigma=SIGMA)
    assert not [found for found in lines(tmp_path) if "noise seen" in found]


def test_whole_numbers_hide_the_noise(tmp_path):
    sigma = np.full((HEIGHT, WIDTH), 0.2)
    write(tmp_path, data=np.round(observed(LIGHT, sigma)), sigma=10 * sigma)
    assert not [found for found in lines(tmp_path) if "noise seen" in found]


def test_pixels_without_sigma(tmp_path):
    sigma = SIGMA.copy()
    sigma[:5] = 0
    write(tmp_path, sigma=sigma)
    only(tmp_path, "C)", "320 of 3840 good pixels", "mask F)")


@pytest.mark.parametrize("header", [{"GAIN": None}, {"GAIN": 7.0}])
def test_an_image_in_counts_per_second(tmp_path, header):
    rate = 2000.0
    write(
        tmp_path,
        {**GALAXY, "3": "18.5 1"},
        {**BACKGROUND, "1": "0.025 1"},
        data=observed(LIGHT, SIGMA) / rate,
        header={"EXPTIME": EXPTIME / rate, **header},
    )
    missing = " (not in the header)" if header["GAIN"] is None else ""
    only(tmp_path, "A)", "where objects are bright", f"GAIN 7{missing} and NCOMBINE 1", "ADU x GAIN must be electrons")


def test_a_galaxy_that_fills_the_region_spoils_the_estimate_of_the_sky(tmp_path):
    light = SKY + galaxy(flux=2e6, fwhm=45.0)
    write(tmp_path, {**GALAXY, "3": "14.2 1", "4": "22 1"}, {**BACKGROUND, "1": "100 1"}, light=light)
    only(tmp_path, "A)", "sky RMS", "holds light of objects", "-skyrms")


def test_an_empty_image(tmp_path):
    write(tmp_path, data=np.zeros((HEIGHT, WIDTH)))
    only(tmp_path, "A)", "all good pixels", "are 0")


# PSF


def noisy(psf, noise):
    return psf + np.random.default_rng(2).normal(0, noise, psf.shape) * psf.max()


@pytest.mark.parametrize(
    ("psf", "words"),
    [
        (star(dx=1.4, dy=-2.2), "centroid at (14.40, 10.80), (+1.40, -2.20) pixels off pixel (13, 13)"),
        (star(size=24, dx=-0.5, dy=-0.5), "(N/2 + 1 where N is even)"),
        (star() * 0.93, "sums to 0.93, not 1: harmless"),
        (-star(), "upside down"),
        (star(size=7), "is cut off"),
        (star() - 5e-4, "too much background was taken off"),
        (star() + 1e-4, "has a background"),
        (noisy(star(size=31), 0.004), "negative pixels"),
        (star(fwhm=1.6), "FWHM of 1.51"),
    ],
)
def test_a_psf_with_a_flaw(tmp_path, psf, words):
    write(tmp_path, psf=psf)
    only(tmp_path, "D)", "the PSF 'psf.fits' ", words)


@pytest.mark.parametrize(
    "psf", [star(size=24), star() * 2.7e5, star(size=25, dx=0.3), star(fwhm=2.3), noisy(star(), 1e-4)]
)
def test_a_psf_without_a_flaw(tmp_path, psf):
    write(tmp_path, psf=psf)
    assert lines(tmp_path) == []


def test_a_fine_psf_is_judged_by_its_own_pixels(tmp_path):
    write(tmp_path, psf=star(size=61, fwhm=7.0, dx=1.0), E="2")
    only(tmp_path, "D)", "all positions come out (+0.50, +0.00) pixels of the data off")


@pytest.mark.parametrize(
    ("box", "words"), [("0 0", "nothing is convolved"), ("20 40", "smaller than the PSF, 25 x 25")]
)
def test_a_convolution_box_that_does_not_do(tmp_path, box, words):
    write(tmp_path, I=box)
    only(tmp_path, "I)", words)


def test_a_box_counts_in_pixels_of_the_data(tmp_path):
    write(tmp_path, psf=star(size=51, fwhm=6.0), E="2", I="26 26")
    assert lines(tmp_path) == []


def test_a_psf_that_is_much_larger_than_the_region(tmp_path):
    write(tmp_path, psf=star(size=133), I="140 140")
    only(tmp_path, "D)", "133 x 133 pixels of the data, more than twice the fitting region, 64 x 60")


def test_a_psf_that_nothing_needs(tmp_path):
    write(tmp_path, BACKGROUND, psf=star(dx=2.0), I="0 0")
    assert lines(tmp_path) == []


# Mask


def block(*slices, value=1.0):
    mask = np.zeros((HEIGHT, WIDTH))
    mask[slices] = value
    return mask


def test_an_inverted_mask(tmp_path):
    write(tmp_path, mask=1 - block(slice(5), slice(None)))
    only(tmp_path, "F)", "leaves 320 of 3840 pixels", "component 1", "inverted")


def test_a_masked_centre(tmp_path):
    write(tmp_path, mask=block(slice(24, 36), slice(26, 40)))
    only(tmp_path, "1)", "the centre (32.4, 29.7) of component 1, sersic, is masked")


def test_a_mask_of_fractions(tmp_path):
    write(tmp_path, mask=block(slice(4), slice(4), value=0.5))
    only(tmp_path, "F)", "all 16 pixels", "expected 1")


@pytest.mark.parametrize(
    "mask",
    [block(slice(8), slice(None)), block(29, 31), block(slice(0), slice(0)), 1 - block(slice(15, 45), slice(15, 50))],
    ids=["neighbour", "a hot pixel", "nothing to mask", "all but the galaxy"],
)
def test_an_ordinary_mask(tmp_path, mask):
    write(tmp_path, mask=mask)
    assert lines(tmp_path) == []


# Sky and light


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("0 1", "the sky starts at 0 ADU, "),
        ("150 1", "times the noise above the border of the fitting region, at "),
        ("60 0", "the sky is fixed at 60 ADU"),
        ("30 0", "below the border"),
    ],
)
def test_a_sky_far_from_the_border(tmp_path, level, words):
    write(tmp_path, GALAXY, {**BACKGROUND, "1": level})
    (found,) = lines(tmp_path)
    menu = (tmp_path / "galfit.feedme").read_text().splitlines()
    assert found.startswith(f"galfit.feedme:{menu.index('0) sky') + 2}:4: warning: ")
    assert words in found


@pytest.mark.parametrize("level", ["30 1", "70 1", "50 0", "42 0"])
def test_a_sky_near_the_border(tmp_path, level):
    write(tmp_path, GALAXY, {**BACKGROUND, "1": level})
    assert lines(tmp_path) == []


def test_no_sky_where_the_border_is_not_dark(tmp_path):
    write(tmp_path, GALAXY)
    only(tmp_path, "0)", "no sky component", "add a sky")


def test_no_sky_where_it_has_been_subtracted(tmp_path):
    write(tmp_path, GALAXY, data=observed(LIGHT, SIGMA) - SKY, sigma=SIGMA)
    assert lines(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"J": "30"}, "5.2 mag brighter"),
        ({"J": "0"}, "24.8 mag fainter"),
        ({"header": {"EXPTIME": None}}, "4.8 mag fainter than the region, which shows"),
    ],
)
def test_magnitudes_that_the_light_contradicts(tmp_path, changes, words):
    write(tmp_path, **changes)
    (found,) = (line for line in lines(tmp_path) if " mag " in line)
    assert found.startswith(f"{value_place(tmp_path, '3)')}: warning: the components start at 18.30 mag")
    assert words in found and "check the magnitudes, J)" in found and "EXPTIME" in found


def test_counts_per_second_with_an_exposure_time(tmp_path):
    write(tmp_path, GALAXY, {**BACKGROUND, "1": "0.5 1"}, data=observed(LIGHT, SIGMA) / EXPTIME, sigma=SIGMA / EXPTIME)
    only(tmp_path, "3)", "5.2 mag brighter", "counts per second already?")


def test_noise_has_no_magnitude(tmp_path):
    write(tmp_path, {**GALAXY, "3": "25 1"}, BACKGROUND, light=np.full((HEIGHT, WIDTH), SKY))
    assert lines(tmp_path) == []


def test_more_free_parameters_than_pixels(tmp_path):
    write(tmp_path, mask=1 - block(slice(29, 31), slice(30, 33)), sigma=SIGMA)
    found = [line for line in lines(tmp_path) if ": error: " in line]
    assert len(found) == 1
    assert found[0].startswith(value_place(tmp_path, "H)"))
    assert "8 free parameters and only 6 good pixels" in found[0]

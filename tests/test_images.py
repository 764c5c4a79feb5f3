"""What load() makes of a menu's files: pixels, flags, messages, warnings and errors.

Values and messages marked GALFIT were written by GALFIT 3.0.5 for the same input.
"""

import json
import re
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from galfeed import feedme
from galfeed.errors import FeedmeError, GalfeedError, Place
from galfeed.images import load
from galfeed.job import Control, Job

HEADER = {"EXPTIME": 10.0, "GAIN": 2.0, "NCOMBINE": 3.0}
NY, NX = 20, 24

NO_PSF = "-- WARNING: PSF image not found. No convolution performed: "
NO_KERNEL = "-- No CCD charge diffusion kernel found or applied."
NO_MASK = "-- No bad pixel mask image used."
I_1 = ("", "-- WARNING: Convolution PSF kernel exceeds the convolution box size.")
I_2 = ("", "-- WARNING: Fitting box exceeds image boundary; vignetting to fit.")
I_4 = "-- WARNING: Sigma image has zero or negative pixels; set to 1e10. "


def picture():
    """A galaxy on a bumpy sky, without random numbers; (20, 24)."""
    y, x = np.mgrid[1 : NY + 1, 1 : NX + 1]
    bumps = (x * x * 7 + y * 13 + x * y * 5) % 17 - 8
    return (100 + bumps + 400 / (1 + (x - 11) ** 2 + (y - 9) ** 2)).astype(np.float32)


def write(folder, name, data, header=None):
    hdu = fits.PrimaryHDU(np.asarray(data))
    hdu.header.update({k: v for k, v in (header or {}).items() if v is not None})
    hdu.writeto(folder / name, overwrite=True)


def told(exposure):
    """The warnings as they appear on stderr."""
    return tuple(map(str, exposure.warnings))


def job(**control):
    lines = {"A": 3, "C": 5, "D": 6, "E": 7, "F": 8, "H": 10}
    given = {"data": "gal.fits", "region": (1, NX, 1, NY), "conv_box": (20, 20), **control}
    return Job(Control(places={key: Place(line) for key, line in lines.items()}, **given), (), "galfit.feedme")


@pytest.fixture
def folder(tmp_path):
    """A folder with data, sigma image, masks, PSF and kernel that fit each other."""
    write(tmp_path, "gal.fits", picture(), HEADER)
    write(tmp_path, "sigma.fits", np.full((NY, NX), 3.0, np.float32))
    write(tmp_path, "psf.fits", np.arange(1, 36, dtype=np.float32).reshape(5, 7))
    mask = np.zeros((NY, NX), np.int16)
    mask[6:11, 8:14] = 1
    write(tmp_path, "mask.fits", mask)
    (tmp_path / "kernel.txt").write_text("0 .1 0\n.1\t.6 .1\n\n0 .1 0")
    return tmp_path


def test_plain(folder):
    exposure = load(job(), folder)
    np.testing.assert_array_equal(exposure.data, picture())
    assert exposure.data.dtype == exposure.sigma.dtype == np.float64
    assert exposure.good.all() and exposure.good.dtype == bool
    assert (exposure.region, exposure.image_shape) == ((1, NX, 1, NY), (NY, NX))
    assert (exposure.exptime, exposure.gain, exposure.ncombine) == (10.0, 2.0, 3.0)
    assert exposure.psf is exposure.kernel is None
    assert exposure.flags == ("A-2", "A-4", "A-5")
    assert told(exposure) == ()
    assert exposure.messages == (  # GALFIT
        NO_PSF,
        NO_MASK,
        "-- No sigma image.  Creating one using: GAIN=2.00, NCOMBINE=3.0.",
        "",
        "-- Estimating the sky mean and RMS to generate an internal sigma image.  This",
        "   estimate won't work right if the product ADUxGAIN has a unit other than ",
        "   [electrons] (e.g. MJy/sr or e-/sec). To turn off this feature, start by:   ",
        "                 galfit -noskyest <filename>  ",
        "   For other options, do:  ",
        "                 galfit -help  ",
        "",
        "   Est'd sky mean = 106.52, RMS = 6.44 ADUs.  (Are these fairly reasonable?)",
    )
    assert f"{exposure.sky_mean:.2f} {exposure.sky_rms:.2f}" == "106.52 6.44"
    assert exposure.sigma[8, 10] == 7.52330207824707  # GALFIT


def test_everything_given(folder):
    given = job(psf="psf.fits", kernel="kernel.txt", mask="mask.fits", sigma="sigma.fits")
    exposure = load(given, folder)
    assert exposure.flags == exposure.messages == exposure.warnings == ()
    assert exposure.sky_mean is exposure.sky_rms is None
    np.testing.assert_array_equal(exposure.psf, np.arange(1, 36).reshape(5, 7))
    assert exposure.psf.dtype == np.float32
    np.testing.assert_array_equal(exposure.kernel, [[0, 0.1, 0], [0.1, 0.6, 0.1], [0, 0.1, 0]])
    np.testing.assert_array_equal(exposure.sigma, 3.0)
    assert (~exposure.good).sum() == 30 and not exposure.good[6:11, 8:14].any()


def test_names_start_from_the_folder(folder, monkeypatch):
    monkeypatch.chdir("/")
    assert load(job(), folder).data is not None
    assert load(job(data=str(folder / "gal.fits")), Path("/")).data is not None


@pytest.mark.parametrize(
    ("asked", "region", "flag"),
    [
        ((1, 24, 1, 20), (1, 24, 1, 20), False),
        ((3, 10, 5, 7), (3, 10, 5, 7), False),
        ((0, 24, 0, 20), (1, 24, 1, 20), True),
        ((-3, 30, 5, 100), (1, 24, 5, 20), True),
    ],
)
def test_region(folder, asked, region, flag):
    exposure = load(job(region=asked), folder)
    x1, x2, y1, y2 = region
    assert exposure.region == region
    np.testing.assert_array_equal(exposure.data, picture()[y1 - 1 : y2, x1 - 1 : x2])
    assert exposure.sigma.shape == exposure.good.shape == exposure.data.shape
    assert ("I-2" in exposure.flags) == flag
    assert (exposure.messages[2:4] == I_2) == flag


def test_region_of_one_column(folder):
    exposure = load(job(region=(24, 30, 1, 20)), folder)
    assert exposure.data.shape == (20, 1)
    assert exposure.flags == ("A-2", "A-4", "A-5")  # GALFIT: no I-2 here
    assert exposure.messages[2:6] == (
        "",
        "The fitting region has either zero length/width or is outside of image.",
        "Quitting now.",
        "",
    )


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((25, 30, 1, 20), r"galfit.feedme:10: the fitting region \[25:30,1:20\] is outside"),
        ((0, 0, 0, 0), r"galfit.feedme:10: the fitting region \[0:0,0:0\] is outside"),
        ((20, 1, 1, 20), r"galfit.feedme:10: the fitting region \[20:1,1:20\] is reversed"),
        (None, "galfit.feedme:10: no fitting region, expected a line H"),
    ],
)
def test_bad_regions(folder, region, message):
    with pytest.raises(FeedmeError, match=message):
        load(job(region=region), folder)


def test_oversampling_of_zero(folder):
    with pytest.raises(FeedmeError, match="galfit.feedme:7: .*expected the oversampling"):
        load(job(psf_fine=0), folder)


# --- header ---


@pytest.mark.parametrize(
    ("change", "flags", "values"),
    [
        ({}, (), (10.0, 2.0, 3.0)),
        ({"EXPTIME": None}, ("H-1",), (1.0, 2.0, 3.0)),
        ({"EXPTIME": "long"}, ("H-1",), (1.0, 2.0, 3.0)),
        ({"EXPTIME": "20.0"}, (), (20.0, 2.0, 3.0)),
        ({"EXPTIME": 0}, ("H-2",), (1.0, 2.0, 3.0)),
        ({"GAIN": None}, ("H-3",), (10.0, 7.0, 3.0)),
        ({"GAIN": None, "ATODGAIN": 3.0}, (), (10.0, 3.0, 3.0)),
        ({"GAIN": "x", "CCDGAIN": 4.0, "ATODGAIN": 3.0}, (), (10.0, 4.0, 3.0)),
        ({"GAIN": 5.0, "CCDGAIN": 4.0, "ATODGAIN": 3.0}, (), (10.0, 5.0, 3.0)),
        ({"NCOMBINE": None}, ("H-4",), (10.0, 2.0, 1.0)),
        ({"NCOMBINE": None, "GAIN": None, "EXPTIME": None}, ("H-3", "H-4", "H-1"), (1.0, 7.0, 1.0)),
    ],
)
def test_header_values(folder, change, flags, values):
    """GALFIT: order of the flags, where the gain is looked for, and defaults."""
    write(folder, "gal.fits", picture(), {**HEADER, **change})
    exposure = load(job(sigma="sigma.fits"), folder)
    assert exposure.flags == (*flags, "A-2", "A-4")
    assert (exposure.exptime, exposure.gain, exposure.ncombine) == values
    missing = "-- WARNING: The exposure time header is missing.  Default to 1 second."
    zero = "-- WARNING: The exposure time is zero seconds.  Default to 1 second."
    said = (missing, "") if "H-1" in flags else (zero, "") if "H-2" in flags else ()
    assert exposure.messages == (*said, NO_PSF, NO_MASK)
    unreadable = any(isinstance(v, str) and not v[0].isdigit() for v in change.values())
    assert len(exposure.warnings) == unreadable


def test_unreadable_header_value_is_named(folder):
    write(folder, "gal.fits", picture(), {**HEADER, "EXPTIME": "long"})
    assert told(load(job(), folder)) == (
        "galfit.feedme:3: EXPTIME of 'gal.fits' is 'long    ', expected a number: taken as missing",
    )


@pytest.mark.parametrize("keyword", ["GAIN", "NCOMBINE"])
def test_zero_gain_or_ncombine(folder, keyword):
    write(folder, "gal.fits", picture(), {**HEADER, keyword: 0.0})
    with pytest.raises(FeedmeError, match=f"gal.fits: {keyword} is 0, expected"):
        load(job(), folder)
    assert load(job(sigma="sigma.fits"), folder).data is not None


def test_negative_gain_is_warned_of(folder):
    write(folder, "gal.fits", picture(), {**HEADER, "GAIN": -2.0})
    assert told(load(job(), folder)) == ("galfit.feedme:3: GAIN of 'gal.fits' is negative: -2",)


def test_negative_exposure_time(folder):
    write(folder, "gal.fits", picture(), {**HEADER, "EXPTIME": -5.0})
    with pytest.raises(FeedmeError, match="gal.fits: EXPTIME is -5, expected a positive"):
        load(job(), folder)


# --- files that are not there ---


@pytest.mark.parametrize("name", ["none", "None", "NONE", ""])
def test_nothing_wanted_is_not_warned_of(folder, name):
    exposure = load(job(psf=name, mask=name, sigma=name), folder)
    assert exposure.flags == ("A-2", "A-4", "A-5")
    assert told(exposure) == ()


@pytest.mark.parametrize(
    ("control", "flags", "warning"),
    [
        ({"psf": "x.fits"}, ("A-2", "A-4"), "6: PSF 'x.fits' not found: no convolution"),
        ({"psf": "psf.fits[3]"}, ("A-2", "A-4"), "6: PSF 'psf.fits[3]' has no extension [3]: no convolution"),
        ({"psf": "kernel.txt"}, ("A-2", "A-4"), "6: PSF 'kernel.txt' is not a FITS file: no convolution"),
        (
            {"psf": "psf.fits", "kernel": "x"},
            ("A-3", "A-4"),
            "6: diffusion kernel 'x' not found: none applied",
        ),
        (
            {"psf": "psf.fits", "kernel": "psf.fits"},
            ("A-3", "A-4"),
            "6: diffusion kernel 'psf.fits' is not a matrix of numbers: none applied",
        ),
        ({"mask": "x.fits"}, ("A-2", "A-4"), "8: mask 'x.fits' not found: no pixel is masked"),
        ({"sigma": "x.fits"}, ("A-2", "A-4", "A-5"), "5: sigma image 'x.fits' not found: made from the data"),
    ],
)
def test_missing_files(folder, control, flags, warning):
    exposure = load(job(**{"sigma": "sigma.fits", **control}), folder)
    assert exposure.flags == flags
    assert told(exposure) == (f"galfit.feedme:{warning}",)


def test_warnings_without_a_line_number(folder):
    given = job(psf="x.fits")
    given = replace(given, control=replace(given.control, places={}))
    assert told(load(given, folder)) == ("galfit.feedme: PSF 'x.fits' not found: no convolution",)


@pytest.mark.parametrize("name", ["none", "", "nosuch.fits", "kernel.txt"])
def test_no_data_image(folder, name):
    exposure = load(job(data=name, region=(-2, 24, 5, 20)), folder)
    assert exposure.data is exposure.source is exposure.sky_mean is None
    assert exposure.flags == ("A-1", "A-2", "A-4", "I-2", "A-5")
    assert (exposure.region, exposure.image_shape) == ((1, 24, 5, 20), (20, 24))
    assert exposure.good.shape == exposure.sigma.shape == (16, 24)
    assert (exposure.exptime, len(exposure.warnings)) == (1.0, name not in ("none", ""))
    assert exposure.messages[:3] == (  # GALFIT
        "-- WARNING: No input data image found.  Generating a model based",
        "   on input parameters, with exposure time of 1 second.",
        "",
    )
    assert exposure.messages[7] == "-- No sigma image.  Creating one using: GAIN=0.00, NCOMBINE=0.0."
    assert exposure.messages[-1] == "   Est'd sky mean = 0.00, RMS = 0.00 ADUs.  (Are these fairly reasonable?)"


def test_no_data_image_does_not_mind_masks_and_sigma_images(folder):
    write(folder, "small.fits", np.full((3, 3), np.nan, np.float32))
    exposure = load(job(data="none", mask="small.fits", sigma="small.fits"), folder)
    assert exposure.flags == ("A-1", "A-2", "I-5")
    assert exposure.good.all()


def test_data_cut_short(folder):
    whole = (folder / "gal.fits").read_bytes()
    (folder / "gal.fits").write_bytes(whole[:4000])
    with pytest.raises(FeedmeError, match="gal.fits: the file is cut short: 4000 bytes"):
        load(job(), folder)


def test_note_on_the_extension_taken(folder):
    image = fits.ImageHDU(picture())
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(folder / "gal.fits", overwrite=True)
    exposure = load(job(), folder)
    np.testing.assert_array_equal(exposure.data, picture())
    assert told(exposure) == (
        "galfit.feedme:3: data image 'gal.fits': the primary HDU holds no image, extension [1] is used",
    )


# --- pixels that are not numbers ---


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite(folder, value):
    data = picture()
    data[3, 4] = data[6, 9] = value
    write(folder, "gal.fits", data, HEADER)
    exposure = load(job(mask="mask.fits"), folder)
    assert exposure.data[3, 4] == exposure.source.pixels[3, 4] == 0
    assert not exposure.good[3, 4] and exposure.good[3, 5]
    assert exposure.flags == ("A-2", "A-5", "I-3")
    assert exposure.messages[3:6] == (
        "   WARNING: Some pixel values have infinite ADUs. Those values are now ",
        "   set to zero, which may have repercussions.   Please fix the problem. ",
        "",
    )
    assert told(exposure) == ("galfit.feedme:3: 1 pixels of 'gal.fits' are not finite: set to 0 and masked",)
    assert np.isfinite(exposure.sigma).all()
    exposure = load(job(mask="mask.fits", sigma="sigma.fits"), folder)
    assert (exposure.flags, exposure.messages) == (("A-2", "I-3"), (NO_PSF,))


def test_blank_pixels_are_masked(folder):
    data = np.rint(picture()).astype(np.int16)
    data[3, 4] = -32768
    write(folder, "gal.fits", data, {**HEADER, "BLANK": -32768})
    exposure = load(job(), folder)
    assert exposure.data[3, 4] == 0 and not exposure.good[3, 4]
    assert "I-3" in exposure.flags
    assert exposure.source.pixels[3, 4] == -32768


# --- masks ---


@pytest.mark.parametrize(
    ("value", "bad", "in_sky"),
    [(0, 0, 1), (1, 1, 0), (0.5, 0, 0), (0.999, 0, 0), (-1, 0, 0), (2.7, 1, 0), (np.nan, 1, 0), (-np.inf, 0, 0)],
)
def test_mask_values(folder, value, bad, in_sky):
    """GALFIT: above 0 as an integer is bad; the sky is estimated where the mask is exactly 0."""
    mask = np.zeros((NY, NX), np.float32)
    mask[2:8, 3:11] = value
    write(folder, "mask.fits", mask)
    exposure = load(job(mask="mask.fits"), folder)
    assert (~exposure.good).sum() == 48 * bad
    assert (exposure.sky_mean == load(job(), folder).sky_mean) == in_sky


def test_mask_is_cut_to_the_region(folder):
    exposure = load(job(mask="mask.fits", region=(10, 24, 8, 20)), folder)
    assert not exposure.good[:4, :5].any()
    assert (~exposure.good).sum() == 20


LISTS = {
    "3 4\n5 6\n": {(3, 4), (5, 6)},
    "# c\n\n  3\t4  9 # d\r\n5.9 6.9\n3 4": {(3, 4), (5, 6)},
    "1e1 4": {(10, 4)},
    "24 20\n25 20\n24 21\n0 3\n-1 -1\n": {(24, 20)},
    "": set(),
    "1e400 -1e400\n24 20\n25 1\n-1 -1\n0 0": {(24, 20)},
}


@pytest.mark.parametrize("text", LISTS)
def test_mask_lists(folder, text):
    (folder / "mask.txt").write_bytes(text.encode())
    exposure = load(job(mask="mask.txt"), folder)
    assert {(x + 1, y + 1) for y, x in np.argwhere(~exposure.good).tolist()} == LISTS[text]
    assert "A-4" not in exposure.flags
    outside = "galfit.feedme:8: mask 'mask.txt': 4 of 5 pixels lie outside the image"
    assert told(exposure) == ((outside,) if "25" in text else ())


def test_mask_list_in_a_region(folder):
    (folder / "mask.txt").write_text("3 4\n12 9\n")
    exposure = load(job(mask="mask.txt", region=(10, 24, 8, 20)), folder)
    assert np.argwhere(~exposure.good).tolist() == [[1, 2]]
    assert told(exposure) == ()


@pytest.mark.parametrize("line", ["10,10", "(10,10)", "hello world", "3;4", "1d1 4", "7"])
def test_lines_that_are_not_pixels(folder, line):
    (folder / "mask.txt").write_text(f"3 4\n{line}\n")
    exposure = load(job(mask="mask.txt"), folder)
    assert (~exposure.good).sum() == 1
    assert told(exposure) == (
        "galfit.feedme:8: mask 'mask.txt', line 2: expected 'x y'; lines of another form are ignored",
    )


def test_a_long_row_of_digits_is_read_quickly(folder):
    (folder / "mask.txt").write_text(f"3 4\n{30000 * '9'}\n")
    start = time.perf_counter()
    assert (~load(job(mask="mask.txt"), folder).good).sum() == 1
    assert time.perf_counter() - start < 5


def test_mask_that_is_neither(folder):
    (folder / "mask.bin").write_bytes(b"\x00\x01\x02")
    with pytest.raises(FeedmeError, match="mask.bin: the mask is neither FITS nor text"):
        load(job(mask="mask.bin"), folder)


def test_pixels_beyond_single_precision(folder):
    pixels = picture().astype(np.float64)
    pixels[0, 0] = 1e300
    write(folder, "gal.fits", pixels, HEADER)
    assert load(job(sigma="sigma.fits"), folder).data[0, 0] == 1e300
    assert load(job(), folder).sigma[0, 0] == 1e10


def test_a_region_that_no_memory_holds(folder):
    with pytest.raises(FeedmeError, match=r"galfit.feedme:10: the fitting region .* has more than 2147483647 pixels"):
        load(job(data="none", region=(1, 10**6, 1, 10**6)), folder)


@pytest.mark.parametrize("key", ["data", "sigma", "mask", "kernel"])
def test_names_longer_than_any_file(folder, key):
    assert any("not found" in warning for warning in told(load(job(psf="psf.fits", **{key: 300 * "x"}), folder)))


def test_everything_masked(folder):
    write(folder, "mask.fits", np.ones((NY, NX), np.int16))
    with pytest.raises(FeedmeError, match=r"mask.fits: no good pixel in the fitting region \[1:24,1:20\]"):
        load(job(mask="mask.fits"), folder)


def test_no_finite_pixel(folder):
    write(folder, "gal.fits", np.full((NY, NX), np.nan, np.float32), HEADER)
    with pytest.raises(FeedmeError, match="gal.fits: no good pixel"):
        load(job(), folder)


def test_images_of_another_size_are_read_by_their_pixels(folder):
    """GALFIT does so too: with the region inside, its chi^2 is that of the pixels at the same coordinates."""
    ramp = np.arange(30 * 40, dtype=np.float32).reshape(30, 40) + 1
    mask = np.zeros((30, 40), np.int16)
    mask[9, 11] = 1
    write(folder, "sigma.fits", ramp)
    write(folder, "mask.fits", mask)
    exposure = load(job(mask="mask.fits", sigma="sigma.fits", region=(5, 20, 7, 18)), folder)
    np.testing.assert_array_equal(exposure.sigma, ramp[6:18, 4:20])
    assert np.argwhere(~exposure.good).tolist() == [[3, 7]]
    assert exposure.flags == ("A-2", "I-5")
    assert exposure.messages[1:] == ("-- WARNING:  The pixel mask is not the same size as the data.", "")
    assert told(exposure) == (
        "galfit.feedme:8: mask 'mask.fits' is 40 x 30 pixels, the data image 24 x 20",
        "galfit.feedme:5: sigma image 'sigma.fits' is 40 x 30 pixels, the data image 24 x 20",
    )


@pytest.mark.parametrize("shape", [(19, 24), (20, 23), (3, 40), (40, 3)])
def test_images_too_small_for_the_region(folder, shape):
    """GALFIT: what a sigma image does not reach has no weight.  It finds anything beyond a mask; here that is good."""
    covered = tuple(map(slice, shape))
    write(folder, "small.fits", np.full(shape, 3, np.float32))

    exposure = load(job(sigma="small.fits", mask="none"), folder)
    assert (exposure.sigma[covered] == 3).all()
    assert (exposure.sigma == 1e10).sum() == NX * NY - (exposure.sigma == 3).sum() > 0
    assert exposure.flags == ("A-2", "A-4", "I-4")
    assert told(exposure)[0].endswith("the data image 24 x 20: pixels beyond it have no weight")

    exposure = load(job(sigma="none", mask="small.fits"), folder)
    assert not exposure.good[covered].any()
    assert exposure.good.any()
    assert exposure.flags == ("A-2", "I-5", "A-5")
    assert told(exposure)[0].endswith("the data image 24 x 20: pixels beyond it are good")


# --- sigma image ---


@pytest.mark.parametrize(
    ("value", "flagged", "sigma"),
    [(0.0, True, 1e10), (-2.0, True, 1e10), (-np.inf, True, 1e10), (np.inf, False, 1e10), (1e-3, False, 1e-3)],
)
def test_sigma_values(folder, value, flagged, sigma):
    values = np.full((NY, NX), 3.0)
    values[3, 4] = value
    write(folder, "sigma.fits", values)
    exposure = load(job(sigma="sigma.fits"), folder)
    assert exposure.sigma[3, 4] == sigma
    assert exposure.flags == ("A-2", "A-4", *(["I-4"] if flagged else []))
    assert exposure.messages == (NO_PSF, NO_MASK, *([I_4] if flagged else []))
    assert load(job(sigma="sigma.fits", region=(10, 20, 1, 20)), folder).flags == ("A-2", "A-4")


def test_nan_in_the_sigma_image(folder):
    values = np.full((NY, NX), 3.0)
    values[7, 9] = np.nan
    write(folder, "sigma.fits", values)
    with pytest.raises(FeedmeError, match=r"sigma.fits: pixel \(10, 8\) of the sigma image is NaN"):
        load(job(sigma="sigma.fits", region=(3, 24, 2, 20)), folder)
    exposure = load(job(sigma="sigma.fits", mask="mask.fits"), folder)  # the pixel is masked
    assert exposure.sigma[7, 9] == 1e10
    assert exposure.flags == ("A-2",)


def test_zeros_in_the_internal_sigma_image(folder):
    write(folder, "gal.fits", np.zeros((NY, NX), np.float32), HEADER)
    exposure = load(job(), folder)
    assert exposure.flags == ("A-2", "A-4", "A-5", "I-4")
    assert exposure.messages[-1] == I_4
    assert (exposure.sigma == 1e10).all()


def test_internal_sigma_image_without_any_weight(folder):
    write(folder, "gal.fits", np.full((NY, NX), 7, np.float32), HEADER)
    exposure = load(job(), folder)
    assert exposure.flags == ("A-2", "A-4", "A-5")  # GALFIT
    assert [line for line in told(exposure) if "1e10 everywhere" in line]


def test_noskyest(folder):
    exposure = load(job(), folder, noskyest=True)
    assert exposure.messages[4:] == (
        "-- WARNING: Intrinsic sky is not estimated to create the internal sigma image.",
        "            Zero pix values are set to (eff_rdnoise)/(eff_gain) in sigma image.",
    )
    assert exposure.sky_mean is exposure.sky_rms is None
    assert exposure.sigma[8, 10] == 5.738709449768066  # GALFIT
    assert load(job(), folder, noskyest=True, skyrms=2.0).messages == exposure.messages


def test_skyped(folder):
    exposure = load(job(), folder, noskyest=True, skyped=98.0)
    assert exposure.messages[4:] == (
        "-- Using the RMS and user provided sky mean to generate an internal sigma image.  ",
        "   This estimate won't work right if the product ADUxGAIN has a unit other ",
        "   [electrons] (e.g. microjanskies). To turn off this feature, start by:   ",
        "                 galfit -noskyest <filename>  ",
        "",
        "   Est'd sky mean = 98.00, RMS = 13.34 ADUs.  (Are these fairly reasonable?)",
    )
    assert exposure.sigma[8, 10] == 13.944511413574219  # GALFIT
    masked = load(job(mask="mask.fits"), folder, skyped=98.0)
    assert masked.sigma[8, 10] == 12.714531898498535  # GALFIT
    both = load(job(), folder, skyped=98.0, skyrms=2.5)
    assert (both.sky_mean, both.sky_rms) == (98.0, 2.5)


def test_skyrms(folder):
    exposure = load(job(), folder, skyrms=4.0)
    assert exposure.messages[-1].startswith("   Est'd sky mean = 106.74, RMS = 4.00 ADUs.")
    assert exposure.sigma[8, 10] == 5.580543041229248  # GALFIT
    assert load(job(), folder, skyrms=-1.0).sky_rms == load(job(), folder).sky_rms
    with pytest.raises(FeedmeError, match="gal.fits: the sky cannot be estimated"):
        load(job(), folder, skyrms=0.0)


# --- PSF and kernel ---


@pytest.mark.parametrize(
    ("size", "fine", "box", "flag"),
    [
        ((15, 15), 1, (16, 16), False),
        ((15, 15), 1, (15, 16), True),
        ((15, 15), 1, (16, 15), True),
        ((16, 16), 1, (16, 16), False),
        ((15, 9), 1, (10, 16), False),
        ((15, 15), 2, (8, 8), False),
        ((15, 15), 2, (7, 8), True),
        ((16, 16), 3, (5, 5), False),
        ((15, 15), 1, (0, 0), True),
    ],
)
def test_psf_and_box(folder, size, fine, box, flag):
    """GALFIT: an odd PSF counts as one pixel larger; the size is divided by E and cut off."""
    write(folder, "psf.fits", np.ones(size, np.float32))
    exposure = load(job(psf="psf.fits", psf_fine=fine, conv_box=box, region=(0, 24, 1, 20)), folder)
    assert exposure.flags == ("A-3", "A-4", "I-2", *(["I-1"] if flag else []), "A-5")
    assert exposure.messages[:4] == (NO_KERNEL, NO_MASK, *I_2)
    assert (exposure.messages[4:6] == I_1) == flag


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        (np.zeros((5, 5)), "sums to 0"),
        (np.array([[1, -1], [2, -2.0]]), "sums to 0"),
        (np.array([[1, np.nan], [2, 3]]), "not finite"),
        (np.array([[1, np.inf], [2, 3]]), "not finite"),
        (np.array([[1, 1e300], [2, 3]]), "not finite"),
    ],
)
def test_bad_psfs(folder, psf, message):
    write(folder, "psf.fits", psf)
    with pytest.raises(FeedmeError, match=f"psf.fits: the PSF .*{message}"):
        load(job(psf="psf.fits"), folder)


def test_kernel_without_psf_is_not_read(folder):
    exposure = load(job(kernel="nosuch.txt"), folder)
    assert exposure.kernel is None
    assert told(exposure) == ()
    assert exposure.flags == ("A-2", "A-4", "A-5")


@pytest.mark.parametrize("text", ["# c\n0 1\n1 0\n", "0 1\n1 0 2\n", "0,1\n1,0\n", "hello\n", "", "1\n"])
def test_kernels_that_galfit_does_not_see(folder, text):
    (folder / "kernel.txt").write_text(text)
    exposure = load(job(psf="psf.fits", kernel="kernel.txt"), folder)
    assert exposure.kernel is None
    assert exposure.flags == ("A-3", "A-4", "A-5")
    assert exposure.messages[0] == NO_KERNEL
    assert len(exposure.warnings) == 1


@pytest.mark.parametrize("text", ["1 -1\n0 0\n", "1e308 1e308\n1e308 1e308\n"])
def test_kernel_that_cannot_be_normalised(folder, text):
    (folder / "kernel.txt").write_text(text)
    with pytest.raises(FeedmeError, match=r"kernel.txt: the kernel is not finite or sums to 0"):
        load(job(psf="psf.fits", kernel="kernel.txt"), folder)


# --- what the output block takes over ---


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_source_keeps_the_stored_numbers(folder, kind):
    write(folder, "gal.fits", np.rint(picture()).clip(0, 255).astype(kind), HEADER)
    exposure = load(job(region=(3, 10, 5, 9)), folder)
    with fits.open(folder / "gal.fits", do_not_scale_image_data=True) as hdus:
        np.testing.assert_array_equal(exposure.source.pixels, hdus[0].data[4:9, 2:10])
        assert exposure.source.pixels.dtype == hdus[0].data.dtype
        assert exposure.source.bitpix == hdus[0].header["BITPIX"]
        assert len(exposure.source.cards) == len(hdus[0].header.cards)


def test_source_of_a_cube(folder):
    write(folder, "gal.fits", np.stack([picture(), picture() + 1]), HEADER)
    exposure = load(job(region=(3, 10, 5, 9)), folder)
    np.testing.assert_array_equal(exposure.data, picture()[4:9, 2:10])
    assert exposure.source.pixels.shape == (2, 5, 8)
    np.testing.assert_array_equal(exposure.source.pixels[0], picture()[4:9, 2:10])
    assert not exposure.source.pixels[1].any()


def test_arrays_do_not_hold_the_file(folder):
    """The output may replace the input."""
    exposure = load(job(psf="psf.fits", sigma="sigma.fits"), folder)
    for name in ("gal.fits", "psf.fits", "sigma.fits"):
        (folder / name).write_bytes(b"")
    np.testing.assert_array_equal(exposure.data, picture())
    np.testing.assert_array_equal(exposure.source.pixels, picture())


def test_loading_needs_no_astropy():
    import subprocess
    import sys

    script = "import sys, galfeed.images; print('astropy' in sys.modules, 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


# --- against what GALFIT wrote ---

SHARED = Path(__file__).parents[2] / "shared"
ORACLE = SHARED / "oracle"
RULE = "=" * 80
REFUSED = [  # by the language or here, where GALFIT crashes, hangs or fits something else
    f"edge/{name}"
    for name in (
        "binary_feedme empty_feedme fourier_mode_0 gain_zero letters_for_number mask_everything"
        " missing_region misspelt_function ncombine_zero no_components no_free psf_nan psf_zero region_outside"
        " region_reversed sigma_nan trunc_missing trunc_wrong truncated_fits unknown_function"
    ).split()
]


def oracle_cases(refused):
    found = sorted("/".join(path.parts[-3:-1]) for path in ORACLE.glob("*/*/case.json"))
    return [name for name in found if (name in REFUSED) == refused] or [None]


def load_case(name):
    if name is None:
        pytest.skip("no stored GALFIT runs beside the repository")
    folder = ORACLE / name
    arguments = folder / "args.txt"
    words = arguments.read_text().split() if arguments.exists() else []
    options = {w[1:]: float(words[i + 1]) for i, w in enumerate(words) if w in ("-skyped", "-skyrms")}
    given = feedme.load(folder / "galfit.feedme", "galfit.feedme")
    return folder, load(given, folder, noskyest="-noskyest" in words, **options)


@pytest.mark.parametrize("name", oracle_cases(refused=False))
def test_oracle(name):
    """Messages, flags, sigma image and weights of a stored run."""
    folder, exposure = load_case(name)
    no_data = exposure.data is None
    case = json.loads((folder / "case.json").read_text())
    stdout = (folder / "expected/stdout.txt").read_text()
    infinite = name == "edge/inf_pixels"  # GALFIT looks for NaN only

    if stdout.count(RULE) >= 2 and not infinite:
        said = stdout.split(RULE)[2].removeprefix("\n\n\n\n")
        said = said.removeprefix("-- No constraint file found.\n")
        said = said.removeprefix("\n-- WARNING: error parsing the constraint file.\n\n")
        said = said.replace("\n\n-- Creating output image....\n\n\a", "\n")
        if no_data:  # made from uninitialised memory
            said = re.sub("GAIN=.*", "GAIN=0.00, NCOMBINE=0.0.", said).replace(I_4 + "\n", "")
        own_words = "".join(line + "\n" for line in exposure.messages) + "\n"
        if name == "edge/mask_smaller":  # what GALFIT takes for masked beyond it differs from run to run
            own_words, said = (re.sub("mean = .* ADUs", "", text) for text in (own_words, said))
        assert own_words == said

    flags = [[f for f in run if f[0] in "AHI" and f != "A-6" and not (no_data and f == "I-4")] for run in case["flags"]]
    own = [f for f in exposure.flags if not (infinite and f == "I-3")]
    assert not flags or own in flags

    expected = folder / "expected/sigma.fits.gz"
    if expected.exists():
        np.testing.assert_array_equal(exposure.sigma, fits.getdata(expected))
    expected = folder / "expected/weights.fits.gz"
    if expected.exists():
        weights = exposure.good / exposure.sigma**2
        np.testing.assert_allclose(weights, fits.getdata(expected), rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize("name", oracle_cases(refused=True))
def test_oracle_refused(name):
    with pytest.raises(GalfeedError) as error:
        load_case(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", sorted(SHARED.glob("pymorph/*/data/*_stamp.fits")) or [None])
def test_headers_that_break_the_standard(path):
    if path is None:
        pytest.skip("no pymorph stamps beside the repository")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exposure = load(job(data=path.name, region=(1, 500, 1, 500)), path.parent)
    file = path.read_bytes()
    cards = "".join(exposure.source.cards).encode("latin-1")
    assert file.startswith(cards + b"END")
    assert exposure.gain == float(np.float32(re.search(rb"GAIN    = +(\S+)", file)[1]))

"""The internal sigma image and its sky against numbers that GALFIT 3.0.5 wrote to sigma.fits and stdout."""

import numpy as np
import pytest

from galfeed.images.sigma import NO_WEIGHT, RADIUS, estimate_sky, internal_sigma, smooth


def picture(ny=20, nx=24, sky=100.0):
    """A galaxy on a bumpy sky, without random numbers."""
    y, x = np.mgrid[1 : ny + 1, 1 : nx + 1]
    bumps = (x * x * 7 + y * 13 + x * y * 5) % 17 - 8
    return (sky + bumps + 400 / (1 + (x - 11) ** 2 + (y - 9) ** 2)).astype(np.float32)


def everywhere(image):
    return np.ones(image.shape, bool)


PIXELS = ((0, 0), (8, 10), (8, 13), (19, 23), (12, 3))
GAIN, NCOMBINE = 2.0, 3.0
MASKED = np.zeros((20, 24), bool)
MASKED[6:11, 8:14] = True

# options, sky level, mask; then what GALFIT estimates and five pixels of its sigma.fits
CASES = {
    "default": ({}, 100.0, None, "106.52 6.44", (6.43585729598999, 7.52330207824707, 7.004822731018066,
                                                6.43585729598999, 6.451204299926758)),
    "skyped": ({"mean": 98.0}, 100.0, None, "98.00 13.34", (13.362360000610352, 13.944511413574219,
                                                          13.671754837036133, 13.361639976501465, 13.3965425491333)),
    "skyrms": ({"rms": 4.0}, 100.0, None, "106.74 4.00", (4.0, 5.580543041229248, 4.859004497528076, 4.0,
                                                        4.020002365112305)),
    "both": ({"mean": 98.0, "rms": 2.5}, 100.0, None, "98.00 2.50", (2.6367995738983154, 4.780109882354736,
                                                                 3.9136834144592285, 2.6331512928009033,
                                                                 2.8048906326293945)),
    "high sky": ({}, 3000.0, None, "3013.31 9.51", (9.506381034851074, 10.218591690063477, 9.843131065368652,
                                                   9.506381034851074, 9.506381034851074)),
    "mask": ({}, 100.0, MASKED, "106.44 6.34", (6.341541767120361, 7.443673133850098, 6.919229507446289,
                                               6.341541767120361, 6.3581624031066895)),
    "mask, skyped": ({"mean": 98.0}, 100.0, MASKED, "98.00 12.04", (12.073217391967773, 12.714531898498535,
                                                                   12.41478157043457, 12.07242202758789,
                                                                   12.111040115356445)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_as_galfit(case):
    options, level, masked, estimate, values = CASES[case]
    data = picture(sky=level)
    mean, rms = estimate_sky(data, everywhere(data) if masked is None else ~masked, **options)
    assert f"{mean:.2f} {rms:.2f}" == estimate
    sigma = internal_sigma(data, GAIN, NCOMBINE, float(mean), float(rms))
    assert sigma.dtype == np.float32
    assert tuple(float(sigma[p]) for p in PIXELS) == values  # every bit


def test_without_a_sky():
    """-noskyest: pixels below 0 have no weight."""
    sigma = internal_sigma(picture(), GAIN, NCOMBINE)
    expected = (4.127474308013916, 5.738709449768066, 5.039865970611572, 4.125144958496094, 4.236832141876221)
    assert tuple(float(sigma[p]) for p in PIXELS) == expected
    low = internal_sigma(picture(sky=0.0) - np.float32(30), GAIN, NCOMBINE)
    expected = (NO_WEIGHT, 3.3565027713775635, 1.9322487115859985, NO_WEIGHT, NO_WEIGHT)
    assert tuple(float(low[p]) for p in PIXELS) == expected


def test_hole_has_no_weight():
    data = picture()
    data[14:18, 2:7] -= 4000
    mean, rms = estimate_sky(data, everywhere(data))
    sigma = internal_sigma(data, 0.1, 3.0, float(mean), float(rms))
    assert (sigma == NO_WEIGHT).sum() == 67
    assert float(sigma[13, 8]) == 6.805867671966553


@pytest.mark.parametrize(
    ("shape", "estimate"), [((1, 1), "-0.00 -0.00"), ((1, 3), "149.13 61.02"), ((2, 2), "133.96 38.87")]
)
def test_few_pixels(shape, estimate):
    data = picture()[: shape[0], : shape[1]]
    mean, rms = estimate_sky(data, everywhere(data))
    assert f"{mean:.2f} {rms:.2f}" == estimate


def test_constant_image():
    data = np.full((20, 24), 7, np.float32)
    mean, rms = estimate_sky(data, everywhere(data))
    assert f"{mean:.2f} {rms:.2f}" == "7.01 0.00"
    assert (internal_sigma(data, GAIN, NCOMBINE, float(mean), float(rms)) == NO_WEIGHT).all()
    assert not internal_sigma(np.zeros_like(data), GAIN, NCOMBINE).any()


def test_no_estimate_from_a_single_value_within_the_clip():
    mean, _ = estimate_sky(picture(), everywhere(picture()), rms=0.0)
    assert np.isinf(mean)


def direct(image):
    """The smoothing written out pixel by pixel, in double precision."""
    height, width = image.shape
    result = np.empty(image.shape)
    for y in range(height):
        for x in range(width):
            near = [
                (image[v, u], np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8))
                for v in range(height)
                for u in range(width)
                if (u - x) ** 2 + (v - y) ** 2 <= RADIUS**2
            ]
            result[y, x] = sum(i * w for i, w in near) / sum(w for _, w in near)
    return result


@pytest.mark.parametrize("shape", [(20, 24), (11, 12), (7, 20), (1, 9), (1, 1)])
def test_smoothing(shape):
    image = picture(*shape)
    np.testing.assert_allclose(smooth(image), direct(image.astype(float)), rtol=1e-6)

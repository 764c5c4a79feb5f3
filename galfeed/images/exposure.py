"""Everything a fit needs from files: :func:`load` makes an :class:`Exposure` of a menu's images.

Source: galfit-reference.md 1.3, 2.2, 5.5, 7, 11; order and text of the messages probed with GALFIT 3.0.5.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from galfeed.errors import ImageError, Remark
from galfeed.images.fitsfile import FitsImage, number
from galfeed.images.inputs import Field, Inputs, Region, is_none
from galfeed.images.masks import read_mask
from galfeed.images.weights import find_sky, make_sigma, read_sigma, unweighted, usable
from galfeed.job import Job

DEFAULT_GAIN = 7.0
DEFAULT_NCOMBINE = 1.0
LARGEST_REGION = 2**31 - 1
"""Pixels, as GALFIT counts them; 16 GB for each array."""
GAIN_KEYWORDS = ("GAIN", "CCDGAIN", "ATODGAIN")
"""Where the gain is looked for; the first that holds a number is used."""


@dataclass(frozen=True, eq=False)
class Source:
    """What the first image of an output block takes over from the data image.

    Args:
        cards: the header's cards as in the file, 80 columns each, malformed ones included, END left out.  If
            the file name gives a section, NAXISn are still the file's, CRPIXn are moved.
        bitpix: BITPIX of the file.
        pixels: (..., H, W) the region's stored numbers in the file's type, big-endian, before BSCALE and BZERO;
            planes of a cube behind the first are 0, and so are NaN and infinite pixels.
    """

    cards: tuple[str, ...]
    bitpix: int
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class Exposure:
    """The images of one job, cut to the fitting region of H rows and W columns.

    Args:
        data: (H, W) float64, ADU; pixels that are not finite are 0.  None: no data image, only a model is made.
        good: (H, W) bool, False where masked or not finite.
        sigma: (H, W) float64, ADU; 1e10 where a pixel has no weight.
        psf: (h, w) float32 as in the file, not normalised; None without convolution.
        kernel: (kh, kw) float64 charge diffusion kernel as in the file; None without.
        region: (x1, x2, y1, y2), clipped to the image, from 1, ends included.
        image_shape: (ny, nx) of the whole image; without data, of one that ends with the region.
        exptime: seconds; 1 if the header gives none, or 0.
        gain, ncombine: of the header or GALFIT's defaults 7 and 1; 0 without data.
        sky_mean, sky_rms: of the internal sigma image, ADU; None where no sky was estimated.
        flags: GALFIT's FLAGS from A-1 on, in its order.
        messages: what GALFIT prints between the line about the constraints and the blank line that ends the
            messages; one string a line.
        warnings: what to say on stderr.
        source: for the first image of the output block; None without data.
    """

    data: np.ndarray | None
    good: np.ndarray
    sigma: np.ndarray
    psf: np.ndarray | None
    kernel: np.ndarray | None
    region: tuple[int, int, int, int]
    image_shape: tuple[int, int]
    exptime: float = 1.0
    gain: float = 0.0
    ncombine: float = 0.0
    sky_mean: float | None = None
    sky_rms: float | None = None
    flags: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    warnings: tuple[Remark, ...] = ()
    source: Source | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the fitting region."""
        x1, x2, y1, y2 = self.region
        return y2 - y1 + 1, x2 - x1 + 1

    def inside(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of the fitting region where it is in the middle of a region (H, W) that holds it."""
        first = [(whole - own) // 2 for whole, own in zip(shape, self.shape, strict=True)]
        rows, columns = (slice(start, start + own) for start, own in zip(first, self.shape, strict=True))
        return rows, columns


def load(
    job: Job,
    folder: Path,
    noskyest: bool = False,
    skyped: float | None = None,
    skyrms: float | None = None,
) -> Exposure:
    """Read the files a menu names.

    A file that is not there is handled as GALFIT does (a flag, and another way of working), with a warning
    unless the menu says ``none`` or leaves the name blank.

    Args:
        job: the menu.
        folder: where its file names start.
        noskyest: do not estimate the sky for the internal sigma image.
        skyped: the sky's level for the internal sigma image, ADU; overrides ``noskyest``.
        skyrms: the sky's RMS for it, ADU; a negative one counts as not given.

    Raises:
        FeedmeError: ``E)`` below 1; a fitting region that is missing, reversed or outside the image; a file that
            cannot be used: cut short, NaN in the sigma image or the PSF, GAIN or NCOMBINE 0 where needed, a negative
            EXPTIME, no good pixel at all.
    """
    inputs = Inputs(job, folder)
    try:
        return _load(inputs, noskyest, skyped, skyrms)
    except ImageError as error:
        raise inputs.placed(error) from None


def _load(inputs: Inputs, noskyest: bool, skyped: float | None, skyrms: float | None) -> Exposure:
    control = inputs.job.control
    if control.psf_fine < 1:
        raise inputs.error("E", f"E) is {control.psf_fine}, expected the oversampling of the PSF, 1 or more")
    image = inputs.image("A", control.data, "data image", "only a model is made")
    exptime, gain, ncombine = _header(inputs, image)
    field = _field(inputs, image)
    psf = _psf(inputs)
    kernel = None if psf is None else _kernel(inputs)
    mask = read_mask(inputs, field)
    _check_boxes(inputs, field, psf)

    data = np.zeros(field.region.shape) if image is None else image.plane(*field.region.window)
    finite = np.isfinite(data)
    if not finite.all():
        data[~finite] = 0.0
    good = finite & ~mask.bad
    if image is not None and not good.any():
        raise ImageError(
            control.mask if mask.bad.all() else control.data,
            f"no good pixel in the fitting region {field.region}: all are masked or not finite",
        )
    sigma = read_sigma(inputs, field)
    sky = None
    if sigma is None:
        inputs.say("A-5", f"-- No sigma image.  Creating one using: GAIN={gain:.2f}, NCOMBINE={ncombine:.1f}.", "")
    if not finite.all():
        _say_not_finite(inputs, int((~finite & ~mask.bad).sum()), printed=sigma is None)
    if sigma is None:
        sky = find_sky(inputs, data, finite & ~mask.marked, noskyest, skyped, skyrms)
        sigma = unweighted(field) if image is None else make_sigma(inputs, data, gain, ncombine, sky)
    sigma = usable(inputs, field, sigma, good & field.has_data)
    if image is None:
        sky = None
    return Exposure(
        data=None if image is None else data,
        good=good,
        sigma=sigma,
        psf=psf,
        kernel=kernel,
        region=field.region,
        image_shape=field.shape,
        exptime=exptime,
        gain=gain,
        ncombine=ncombine,
        sky_mean=None if sky is None else sky[0],
        sky_rms=None if sky is None else sky[1],
        flags=tuple(inputs.flags),
        messages=tuple(inputs.messages),
        warnings=tuple(inputs.warnings),
        source=None if image is None else _source(image, field.region),
    )


def _header(inputs: Inputs, image: FitsImage | None) -> tuple[float, float, float]:
    """Exposure time, gain and number of exposures; flags A-1 and H-."""
    if image is None:
        inputs.say(
            "A-1",
            "-- WARNING: No input data image found.  Generating a model based",
            "   on input parameters, with exposure time of 1 second.",
            "",
        )
        return 1.0, 0.0, 0.0
    gain = next((g for g in (_number(inputs, image, key) for key in GAIN_KEYWORDS) if g is not None), None)
    if gain is None:
        inputs.say("H-3")
    ncombine = _number(inputs, image, "NCOMBINE")
    if ncombine is None:
        inputs.say("H-4")
    exptime = _number(inputs, image, "EXPTIME")
    if exptime is None:
        inputs.say("H-1", "-- WARNING: The exposure time header is missing.  Default to 1 second.", "")
    elif exptime == 0:
        inputs.say("H-2", "-- WARNING: The exposure time is zero seconds.  Default to 1 second.", "")
    elif not 0 < exptime < math.inf:
        raise ImageError(image.name, f"EXPTIME is {exptime:g}, expected a positive number of seconds")
    with np.errstate(over="ignore"):  # single precision, as GALFIT reads and prints them
        return (
            exptime or 1.0,
            float(np.float32(DEFAULT_GAIN if gain is None else gain)),
            float(np.float32(DEFAULT_NCOMBINE if ncombine is None else ncombine)),
        )


def _number(inputs: Inputs, image: FitsImage, keyword: str) -> float | None:
    """A header value; None, with a warning, where the keyword is there without a number."""
    text = image.values.get(keyword)
    if text is None:
        return None
    value = number(text)
    if value is None:
        found = text.partition("/")[0].strip() or "without a value"
        inputs.warn("A", f"{keyword} of '{image.name}' is {found}, expected a number: taken as missing")
    return value


def _field(inputs: Inputs, image: FitsImage | None) -> Field:
    """The fitting region, clipped to the image."""
    asked = inputs.job.control.region
    if asked is None:
        raise inputs.error("H", "no fitting region, expected a line H) xmin xmax ymin ymax")
    x1, x2, y1, y2 = asked
    if x1 > x2 or y1 > y2:
        raise inputs.error("H", f"the fitting region {Region(*asked)} is reversed, expected xmin xmax ymin ymax")
    ny, nx = image.shape if image is not None else (max(y2, 0), max(x2, 0))
    region = Region(max(x1, 1), min(x2, nx), max(y1, 1), min(y2, ny))
    if 0 in region.shape:
        raise inputs.error(
            "H", f"the fitting region {Region(*asked)} is outside the image, which is {Region(1, nx, 1, ny)}"
        )
    if math.prod(region.shape) > LARGEST_REGION:
        raise inputs.error("H", f"the fitting region {region} has more than {LARGEST_REGION} pixels")
    return Field(region, (ny, nx), image is not None)


def _psf(inputs: Inputs) -> np.ndarray | None:
    """(h, w) float32; flag A-2."""
    name = inputs.job.control.psf
    image = inputs.image("D", name, "PSF", "no convolution")
    if image is None:
        inputs.say("A-2", "-- WARNING: PSF image not found. No convolution performed: ")
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        psf = image.plane().astype(np.float32)
    if not np.isfinite(psf).all():
        raise ImageError(name, "the PSF has pixels that are not finite, expected numbers")
    if psf.sum(dtype=np.float64) == 0:
        raise ImageError(name, "the PSF sums to 0, expected a sum that can be made 1")
    return psf


def _kernel(inputs: Inputs) -> np.ndarray | None:
    """(kh, kw) float64; flag A-3."""
    name = inputs.job.control.kernel
    kernel = None
    if not is_none(name):
        if not os.path.isfile(inputs.path(name)):
            inputs.warn("D", f"diffusion kernel '{name}' not found: none applied")
        else:
            kernel = read_kernel(name, inputs.path(name))
            if kernel is None:
                inputs.warn("D", f"diffusion kernel '{name}' is not a matrix of numbers: none applied")
    if kernel is None:
        inputs.say("A-3", "-- No CCD charge diffusion kernel found or applied.")
    return kernel


def read_kernel(name: str, path: Path) -> np.ndarray | None:
    """Read a charge diffusion kernel: a row a line, numbers separated by blanks or tabs.

    Args:
        name: as the menu has it.
        path: the file.

    Returns:
        (kh, kw) float64, not normalised; None where GALFIT sees no matrix: other text, rows of different
        length, one element only.

    Raises:
        ImageError: a file that cannot be read, or a matrix that cannot be normalised.
    """
    try:
        lines = path.read_text("latin-1").splitlines()
    except OSError as error:
        raise ImageError(name, f"cannot be read: {error.strerror or error}") from None
    try:
        matrix = np.array([line.split() for line in lines if line.strip()], dtype=np.float64)
    except ValueError:
        return None
    if matrix.ndim != 2 or matrix.size < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        total = matrix.sum()
    if not np.isfinite(total) or total == 0:
        raise ImageError(name, "the kernel is not finite or sums to 0, expected a sum that can be made 1")
    return matrix


def _check_boxes(inputs: Inputs, field: Field, psf: np.ndarray | None) -> None:
    """Flags I-2 and I-1."""
    control = inputs.job.control
    if 1 in field.region.shape:
        inputs.messages += (
            "",
            "The fitting region has either zero length/width or is outside of image.",
            "Quitting now.",
            "",
        )
    elif field.region != control.region:
        inputs.say("I-2", "", "-- WARNING: Fitting box exceeds image boundary; vignetting to fit.")
    if psf is None:
        return
    # GALFIT pads a PSF of odd size by one row and column before it compares.
    width, height = ((n + n % 2) // control.psf_fine for n in psf.shape[::-1])
    if width > control.conv_box[0] or height > control.conv_box[1]:
        inputs.say("I-1", "", "-- WARNING: Convolution PSF kernel exceeds the convolution box size.")


def _say_not_finite(inputs: Inputs, unmasked: int, printed: bool) -> None:
    """Flag I-3.  GALFIT looks for NaN only, and only when it makes the sigma image."""
    lines = (
        "   WARNING: Some pixel values have infinite ADUs. Those values are now ",
        "   set to zero, which may have repercussions.   Please fix the problem. ",
        "",
    )
    inputs.say("I-3", *(lines if printed else ()))
    if unmasked:
        name = inputs.job.control.data
        inputs.warn("A", f"{unmasked} pixels of '{name}' are not finite: set to 0 and masked")


def _source(image: FitsImage, region: Region) -> Source:
    pixels = image.stored(*region.window)
    if image.bitpix < 0 and not (finite := np.isfinite(pixels)).all():
        pixels[~finite] = 0
    return Source(image.cards, image.bitpix, pixels)

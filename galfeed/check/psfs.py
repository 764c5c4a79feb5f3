"""Is the PSF image one that the model can be convolved with: centred, complete, clean and well sampled?

GALFIT divides a PSF by its sum and does nothing else to it: it is not centred, no background is taken off, and what
lies beyond its border is lost.  Its centre is pixel N/2 + 1 of an even number of pixels, (N + 1)/2 of an odd one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from galfeed.errors import Remark
from galfeed.images.exposure import Exposure
from galfeed.job import Job

OFF_CENTRE = 0.4
"""PSF pixels between centroid and centre.  A half is that of an even image centred by eye; what is less is common in
cut-out stars, and smaller than the doubt about their centroids."""

CUT_OFF = 0.03
"""Share of the light that all pixels would hold if they were as bright as the border.  About as much lies beyond the
border, because wings fall with some third power of the radius."""

BACKGROUND = 0.01
"""The same where corners are as bright as the sides: no light of a star, and each per cent of it makes every
component that much fainter inside and gives it a plateau as large as the PSF image."""

FLAT = 0.6
"""Brightness of the corners over that of the middle of the sides; wings that fall with the square of the radius have
a half there, steeper ones less."""

NEGATIVE = 0.03
"""Share of the light in negative pixels.  Resampling rings leave less than a hundredth."""

SURE = 3.0
"""Errors of the mean above which a border is not empty."""

FEWEST_PIXELS = 2.0
"""FWHM in PSF pixels below which the PSF cannot be moved by fractions of a pixel without changing its shape."""

NORMALISED = 0.01
"""Difference from 1 of a sum that is meant to be 1."""

MEANT = 2.0
"""Sums within this factor of 1 are meant to be 1; others are stars in counts."""

WINDOW = 1.5
"""Radius in FWHM of the pixels whose centroid counts."""


def look(job: Job, exposure: Exposure) -> Iterator[Remark]:
    """What to say of the PSF image, if something is to be convolved with it or drawn from it.

    Of its border, its sum and its negative pixels only the first thing found is said, as it mostly explains the others.

    Args:
        job: the menu.
        exposure: its images.
    """
    psf = exposure.psf
    kinds = {component.kind for component in job.components if not component.is_truncation}
    if psf is None or not kinds - {"sky"}:
        return
    place = job.control.place("D")
    # Infinite sums and the like are refused when the image is read.
    image = psf.astype(np.float64)
    for message in (*(tuple(_border(image)) or _sums(image)), *_shape(image, job.control.psf_fine)):
        yield Remark(job.path, place, f"the PSF '{job.control.psf}' {message}")
    if kinds - {"sky", "psf"}:
        yield from _box(job, image.shape)
    yield from _extent(job, exposure, image.shape)


def _sums(psf: np.ndarray) -> Iterator[str]:
    total, negative = float(psf.sum()), float(-psf[psf < 0].sum())
    if total < 0:
        yield f"sums to {total:.3g}, and GALFIT divides by the sum, so it is upside down; expected a positive star"
        return
    if negative > NEGATIVE * total:
        yield (
            f"has negative pixels with {negative / total:.1%} of its light, noise most likely, which makes models "
            "noisy; set wings without signal to 0, or use a model of the PSF"
        )
    elif 1 / MEANT < total < MEANT and abs(total - 1) > NORMALISED:
        yield f"sums to {total:.4g}, not 1: harmless by itself, it is divided by its sum; was it cut or resampled?"


def _shape(psf: np.ndarray, fine: int) -> Iterator[str]:
    """Its centre and width; nothing where the image shows no star."""
    top = tuple(int(i) for i in np.unravel_index(psf.argmax(), psf.shape))
    fwhm = _fwhm(psf, top)
    if not math.isfinite(fwhm):
        return
    y, x = _centroid(psf, top, max(WINDOW * fwhm, 2.0))
    centre = psf.shape[0] // 2, psf.shape[1] // 2
    dx, dy = x - centre[1], y - centre[0]
    if max(abs(dx), abs(dy)) > OFF_CENTRE:
        even = " (N/2 + 1 where N is even)" if 0 in (psf.shape[0] % 2, psf.shape[1] % 2) else ""
        off = "so far" if fine == 1 else f"({dx / fine:+.2f}, {dy / fine:+.2f}) pixels of the data"
        yield (
            f"has its centroid at ({x + 1:.2f}, {y + 1:.2f}), ({dx:+.2f}, {dy:+.2f}) pixels off pixel "
            f"({centre[1] + 1}, {centre[0] + 1}){even} that GALFIT takes as its centre: all positions come out {off} "
            "off; centre it"
        )
    if fwhm < FEWEST_PIXELS:
        yield (
            f"has a FWHM of {fwhm:.2f} of its pixels, less than {FEWEST_PIXELS:g}: it is undersampled, cores and "
            "point sources depend on where they fall in a pixel; use a finer PSF with a larger E)"
        )


def _fwhm(psf: np.ndarray, top: tuple[int, ...]) -> float:
    """GALFIT's: mean of the full widths of the row and the column through the brightest pixel; NaN if it has none."""
    row, column = psf[top[0]], psf[:, top[1]]
    arms = (row[top[1] :], row[top[1] :: -1], column[top[0] :], column[top[0] :: -1])
    return sum(map(_half_width, arms)) / 2


def _half_width(arm: np.ndarray) -> float:
    """Distance from the first value to half of it, linear between pixels."""
    half = arm[0] / 2
    below = np.flatnonzero(arm <= half)
    if half <= 0 or not below.size:
        return math.nan
    first = int(below[0])
    return float(first - 1 + (arm[first - 1] - half) / (arm[first - 1] - arm[first]))


def _centroid(psf: np.ndarray, top: tuple[int, ...], radius: float) -> tuple[float, float]:
    """(y, x) from 0 of the light around the peak, within a radius that moves with it."""
    rows, columns = np.indices(psf.shape)
    light = np.clip(psf - np.median(_sides(psf)), 0, None)
    y, x = map(float, top)
    for _ in range(5):
        near = light * (np.hypot(rows - y, columns - x) <= radius)
        if near.sum() <= 0:
            break
        y, x = float((rows * near).sum() / near.sum()), float((columns * near).sum() / near.sum())
    return y, x


def _sides(psf: np.ndarray) -> np.ndarray:
    """The pixels of the border."""
    inner = np.zeros(psf.shape, bool)
    inner[1:-1, 1:-1] = True
    return psf[~inner]


def _border(psf: np.ndarray) -> Iterator[str]:
    """What its border says of light beyond it, and of a background below it."""
    height, width = psf.shape
    total, sides = float(psf.sum()), _sides(psf)
    if min(height, width) < 5 or total <= 0:
        return
    level, error = float(sides.mean()), float(sides.std() / math.sqrt(sides.size))
    share = level * psf.size / total
    if abs(level) <= SURE * error:
        return
    size = f"{width} x {height}"
    if share < -BACKGROUND:
        yield (
            f"is negative at its border, {level / psf.max():.2g} of its peak, {share:.1%} of its light if it is so "
            "everywhere: too much background was taken off; add it again"
        )
    elif share > BACKGROUND and _corners(psf) > FLAT * _middles(psf):
        yield (
            f"has a background of {level / psf.max():.2g} of its peak, {share:.1%} of its light over all {size} "
            "pixels; subtract it"
        )
    elif share > CUT_OFF:
        yield (
            f"is cut off: its border has {level / psf.max():.2g} of its peak, so that some {share:.0%} of its light "
            f"lie beyond {size} pixels; make it larger"
        )


def _corners(psf: np.ndarray) -> float:
    """Mean of the four corners, a twelfth of the sides long."""
    dy, dx = (max(n // 12, 1) for n in psf.shape)
    parts = [psf[rows, columns] for rows in (slice(dy), slice(-dy, None)) for columns in (slice(dx), slice(-dx, None))]
    return float(np.mean(parts))


def _middles(psf: np.ndarray) -> float:
    """Mean of the border near the middle of each side, a sixth of it long."""
    (height, width), (dy, dx) = psf.shape, (max(n // 12, 1) for n in psf.shape)
    rows = slice(height // 2 - dy, height // 2 + dy + 1)
    columns = slice(width // 2 - dx, width // 2 + dx + 1)
    return float(np.mean(np.concatenate([psf[0, columns], psf[-1, columns], psf[rows, 0], psf[rows, -1]])))


def _box(job: Job, shape: tuple[int, ...]) -> Iterator[Remark]:
    control = job.control
    place = control.place("I") if "I" in control.places else control.place("D")
    box = control.conv_box
    if min(box) <= 0:
        what = f"the convolution box I) is {box[0]} {box[1]}, so nothing is convolved with the PSF '{control.psf}'"
        yield Remark(job.path, place, f"{what}; expected at least the size of the PSF, or D) none")
        return
    height, width = (math.ceil(n / control.psf_fine) for n in shape)
    if width > box[0] or height > box[1]:
        what = f"the convolution box I) {box[0]} {box[1]} is smaller than the PSF, {width} x {height} data pixels"
        yield Remark(job.path, place, f"{what}: models have a step at its edge; expected at least the size of the PSF")


def _extent(job: Job, exposure: Exposure, shape: tuple[int, ...]) -> Iterator[Remark]:
    fine = job.control.psf_fine
    x1, x2, y1, y2 = exposure.region
    (height, width), (rows, columns) = shape, (y2 - y1 + 1, x2 - x1 + 1)
    if width > 2 * columns * fine and height > 2 * rows * fine:
        what = f"the PSF '{job.control.psf}' is {width / fine:g} x {height / fine:g} pixels of the data"
        yield Remark(
            job.path,
            job.control.place("D"),
            f"{what}, more than twice the fitting region, {columns} x {rows}: its wings cost time and cannot show; "
            "cut it, or check E)",
        )

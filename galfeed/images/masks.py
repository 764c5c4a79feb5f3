"""Masks of bad pixels: a FITS image or a list of pixels.

Source: galfit-reference.md 7 and the corpus README's "ASCII mask"; probed with GALFIT 3.0.5.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import numpy as np

from galfeed.errors import ImageError
from galfeed.images.fitsfile import may_be_fits
from galfeed.images.inputs import Field, Inputs, beside, is_none

_NUMBER = r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
_PIXEL = re.compile(rf"{_NUMBER}\s+{_NUMBER}")
OUTSIDE = 1e9
"""A coordinate outside any image."""


class Mask(NamedTuple):
    """What a mask says of the fitting region.

    Args:
        bad: (H, W) bool, pixels that do not count in the fit.
        marked: (H, W) bool, pixels that do not enter the estimate of the sky: all but 0.
    """

    bad: np.ndarray
    marked: np.ndarray


def read_mask(inputs: Inputs, field: Field) -> Mask:
    """Read the mask of the menu; flags A-4 and I-5.

    In a FITS mask a pixel is bad if it is above 0 after truncation to an integer, or NaN; values between 0 and 1
    and negative ones keep it out of the estimate of the sky only.  A file of another kind is a list, see
    :func:`read_list`.

    Raises:
        ImageError: a file that cannot be used.
    """
    name = inputs.job.control.mask
    if not is_none(name) and os.path.isfile(inputs.path(name)):
        try:
            text = None if may_be_fits(inputs.path(name)) else inputs.path(name).read_bytes()
        except OSError as error:
            raise ImageError(name, f"cannot be read: {error.strerror or error}") from None
        if text is not None:
            bad = _listed(inputs, field, text)
            return Mask(bad, bad)
    image = inputs.image("F", name, "mask", "no pixel is masked")
    if image is None:
        inputs.say("A-4", "-- No bad pixel mask image used.")
        return _nothing(field)
    if image.shape != field.shape:
        inputs.say("I-5", "-- WARNING:  The pixel mask is not the same size as the data.", "")
        if not field.has_data:
            return _nothing(field)
    values = beside(inputs, "F", "mask", image, field, "are good", undefined=None)
    return Mask(bad=~(values < 1), marked=values != 0)


def _nothing(field: Field) -> Mask:
    none = np.zeros(field.region.shape, bool)
    return Mask(none, none)


def read_list(text: str) -> tuple[list[tuple[int, int]], int]:
    """Read a mask list: a pixel ``x y`` a line, from 1, decimals cut off; what follows on the line is ignored.

    Blank lines and lines that start with # are skipped, and so are lines of another form, as GALFIT does.

    Returns:
        The pixels, and the number of the first line of another form, or 0.
    """
    pixels = []
    unread = 0
    for count, line in enumerate(text.splitlines(), 1):
        pixel = _PIXEL.match(line.strip())
        if pixel:
            x, y = (min(max(float(word), -OUTSIDE), OUTSIDE) for word in pixel.groups())
            pixels.append((int(x), int(y)))
        elif line.strip() and not line.strip().startswith("#"):
            unread = unread or count
    return pixels, unread


def _listed(inputs: Inputs, field: Field, text: bytes) -> np.ndarray:
    name = inputs.job.control.mask
    if b"\0" in text:
        raise ImageError(name, "the mask is neither FITS nor text, expected an image or a list of 'x y'")
    pixels, unread = read_list(text.decode("latin-1"))
    if unread:
        inputs.warn("F", f"mask '{name}', line {unread}: expected 'x y'; lines of another form are ignored")
    bad = np.zeros(field.region.shape, bool)
    x1, x2, y1, y2 = field.region
    outside = 0
    for x, y in pixels:
        if x1 <= x <= x2 and y1 <= y <= y2:
            bad[y - y1, x - x1] = True
        outside += not (1 <= x <= field.shape[1] and 1 <= y <= field.shape[0])
    if outside:
        inputs.warn("F", f"mask '{name}': {outside} of {len(pixels)} pixels lie outside the image")
    return bad

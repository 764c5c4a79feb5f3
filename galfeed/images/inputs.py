"""The files of one job on their way in: where they are, what is said about them, and the pixels that are fitted.

Pixels are counted from 1: the centre of the image's first pixel is (1, 1), x runs along FITS axis 1, and a
region (x1, x2, y1, y2) includes both ends.  Arrays are indexed [y, x], so pixel (x, y) of the image is element
[y - y1, x - x1] of an array of the region.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from galfeed.errors import FeedmeError, ImageError, Remark
from galfeed.images.fitsfile import Absent, FitsImage, read
from galfeed.job import Job


class Region(NamedTuple):
    """Pixels from (x1, y1) to (x2, y2), ends included."""

    x1: int
    x2: int
    y1: int
    y2: int

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)"""
        return max(self.y2 - self.y1 + 1, 0), max(self.x2 - self.x1 + 1, 0)

    @property
    def window(self) -> tuple[slice, slice]:
        """The region's rows and columns in an array of the whole image."""
        return slice(self.y1 - 1, self.y2), slice(self.x1 - 1, self.x2)

    def within(self, shape: tuple[int, int]) -> bool:
        """Whether an image of (ny, nx) pixels holds the region."""
        return self.x1 >= 1 and self.y1 >= 1 and self.x2 <= shape[1] and self.y2 <= shape[0]

    def __str__(self) -> str:
        return f"[{self.x1}:{self.x2},{self.y1}:{self.y2}]"


@dataclass(frozen=True)
class Field:
    """What is fitted.

    Args:
        region: within the image.
        shape: (ny, nx) of the data image; without one, of an image that ends with the region.
        has_data: False when only a model is made.
    """

    region: Region
    shape: tuple[int, int]
    has_data: bool


@dataclass
class Inputs:
    """A job, the folder its file names start from, and what is to be said about its files, in GALFIT's order.

    Args:
        flags: codes for FLAGS.
        messages: lines for stdout, verbatim.
        warnings: what to say on stderr.
    """

    job: Job
    folder: Path
    flags: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)

    def say(self, flag: str, *lines: str) -> None:
        self.flags.append(flag)
        self.messages += lines

    def warn(self, key: str, text: str) -> None:
        """Note something about the file named on a control line."""
        self.warnings.append(Remark(self.job.path, self.job.control.place(key), text))

    def error(self, key: str, text: str) -> FeedmeError:
        return FeedmeError(self.job.path, self.job.control.place(key), text)

    def placed(self, error: ImageError) -> FeedmeError:
        """The same error, at the line of the menu that names the file."""
        control = self.job.control
        names = {"A": control.data, "C": control.sigma, "D": control.psf, "F": control.mask}
        key = next((key for key, name in names.items() if name == error.path), "D")  # D has the kernel as well
        return self.error(key, str(error))

    def path(self, name: str) -> Path:
        return self.folder / os.path.expanduser(name)

    def image(self, key: str, name: str, what: str, otherwise: str) -> FitsImage | None:
        """The image named on a control line; None if there is none, with a warning that says what happens then.

        Raises:
            ImageError: a file that cannot be used.
        """
        if is_none(name):
            return None
        try:
            image = read(name, self.folder)
        except Absent as reason:
            self.warn(key, f"{what} '{name}' {reason}: {otherwise}")
            return None
        if image.note:
            self.warn(key, f"{what} '{name}': {image.note}")
        return image


def beside(
    inputs: Inputs,
    key: str,
    what: str,
    image: FitsImage,
    field: Field,
    otherwise: str,
    undefined: float | None = np.nan,
) -> np.ndarray:
    """The fitting region of an image that goes with the data.  (H, W) float64

    An image of another size is read by its own pixel coordinates, with a warning.

    Args:
        inputs: the warning is added to it.
        key, what: the control line that names the image, and what it is.
        image: the whole of it.
        field: the region.
        otherwise: what pixels are that the image does not reach, for the warning; they are 0.
        undefined: the value of pixels marked by BLANK; None: as stored.
    """
    region, (ny, nx) = field.region, image.shape
    if image.shape != field.shape:
        beyond = "" if region.within(image.shape) else f": pixels beyond it {otherwise}"
        sizes = f"is {size(image.shape)} pixels, the data image {size(field.shape)}"
        inputs.warn(key, f"{what} '{image.name}' {sizes}{beyond}")
    if region.within(image.shape):
        return image.plane(*region.window, undefined)
    inside = Region(region.x1, min(region.x2, nx), region.y1, min(region.y2, ny))
    found = np.zeros(region.shape)
    height, width = inside.shape
    found[:height, :width] = image.plane(*inside.window, undefined)
    return found


def is_none(name: str) -> bool:
    """Whether a name of the menu says that there is no file."""
    return name.lower() in ("", "none")


def size(shape: tuple[int, int]) -> str:
    """(ny, nx) as the user writes it: columns first."""
    return f"{shape[1]} x {shape[0]}"

"""Where a batch of images is drawn, what is to be drawn of a component, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from galfeed.model import convolve, host, psf, spline
from galfeed.model.light import Accuracy, Light
from galfeed.model.psf import Moved, Psf


@dataclass(frozen=True)
class Frame:
    """Where and how a batch of B images is rendered.

    Args:
        shape: (H, W) of the region that is drawn, the same for all: the fitting region, or one around it.
        x0, y0: (B,) its first pixel in the coordinates of the whole image, from 1.
        middle_x, middle_y: (B,) centre of the fitting region in its pixels, from 0.
        zeropoint, exptime, pixel_area: (B,) mag, seconds, arcsec^2.
        box: (width, height) of the convolution box.
        psf: PSFs, or None: no convolution.
        kernel: (B, h, w) charge diffusion kernels, or None.
        accuracy: whose numbers.
        partials: precision of the partial images of plain ellipses.
    """

    shape: tuple[int, int]
    x0: Tensor
    y0: Tensor
    middle_x: Tensor
    middle_y: Tensor
    zeropoint: Tensor
    exptime: Tensor
    pixel_area: Tensor
    box: tuple[int, int]
    psf: Psf | None
    kernel: Tensor | None
    accuracy: Accuracy = "galfit"
    partials: torch.dtype = torch.float64

    @property
    def fine(self) -> int:
        return self.psf.fine if self.psf else 1

    def position(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Fine pixel (B,) and fraction of a coordinate, see ``psf.position``."""
        return psf.position(x, self.fine, single=self.accuracy == "galfit")

    def moved(self, sx: Tensor, sy: Tensor, *, partials: bool) -> Moved:
        """The PSFs moved by fractions of a pixel (B,): as GALFIT does, or smoothly and with all of their light."""
        assert self.psf is not None
        return (psf.move if self.accuracy == "galfit" else spline.move)(self.psf, sx, sy, partials=partials)

    @property
    def scale(self) -> dict[str, Tensor]:
        """What turns magnitudes into counts."""
        return {name: getattr(self, name) for name in ("zeropoint", "exptime", "pixel_area")}

    def take(self, index: Tensor) -> Frame:
        """The same for some of the images, index (b,)."""
        numbers = ("x0", "y0", "middle_x", "middle_y", "zeropoint", "exptime", "pixel_area")
        chosen = {name: getattr(self, name)[index] for name in numbers}
        return replace(
            self,
            **chosen,
            psf=self.psf.take(index) if self.psf else None,
            kernel=None if self.kernel is None else self.kernel[index],
        )

    def extended(self, margin: int) -> Frame:
        """Region and box with a margin on each side, without diffusion."""
        (height, width), (across, along) = self.shape, self.box
        return replace(
            self,
            shape=(height + 2 * margin, width + 2 * margin),
            x0=self.x0 - margin,
            y0=self.y0 - margin,
            middle_x=self.middle_x + margin,
            middle_y=self.middle_y + margin,
            box=(across + 2 * margin, along + 2 * margin),
            kernel=None,
        )

    def in_box(self, xc: Tensor, yc: Tensor) -> tuple[Tensor, Tensor]:
        """Whether columns (B, W) and rows (B, H) of the region are inside the convolution box of an object."""
        inside = []
        for centre, first, size, length in (
            (xc, self.x0, self.box[0], self.shape[1]),
            (yc, self.y0, self.box[1], self.shape[0]),
        ):
            start = (centre - size / 2 + 0.5).floor() - first
            pixel = torch.arange(length, dtype=xc.dtype, device=xc.device) - start[:, None]
            inside.append((pixel >= 0) & (pixel < size))
        return inside[0], inside[1]


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn of a component.

    Args:
        light: the component.
        values: (B,) its numbers in the units of the menu.
        wanted: names to differentiate with respect to.
        roughly: the image of plain ellipses may be as inaccurate as partial images, and all is drawn at once.
    """

    light: Light
    values: Mapping[str, Tensor]
    wanted: tuple[str, ...]
    roughly: bool = False

    def take(self, rows: Tensor) -> Drawing:
        """The same for some of the images."""
        return replace(self, values={name: value[rows] for name, value in self.values.items()})


Drawn = TypeVar("Drawn")

Planes = Sequence[Tensor]
"""Images (b, H, W) of the same kind."""


class Partials(NamedTuple):
    """Partial images of b images: sums of K planes.

    Args:
        slopes: (b, K, P) how much of each plane is in each of the P partial images.
        planes: the K planes, some of the images at a time, as many as :func:`steps` says; their precision may be
            single.
        true: (b, K, P) the same for the true derivatives, where these are made of the same planes and were asked for;
            some nan for images where they are not, None if that is so for all.
    """

    slopes: Tensor
    planes: Iterator[Planes]
    true: Tensor | None = None

    def images(self) -> Tensor:
        """The partial images themselves, (P, b, H, W)."""
        pieces = []
        for planes, some in zip(self.planes, steps(self.slopes), strict=True):
            stack = torch.stack([plane.to(self.slopes.dtype) for plane in planes])
            pieces.append(torch.einsum("bkp,kbhw->pbhw", self.slopes[some], stack))
        return torch.cat(pieces, 1)


@dataclass(frozen=True)
class Picture:
    """One component in each of B images.

    Args:
        image: (B, H, W) in ADU.
        partials: makes its partial images, for some of the images (b,) or all of them; where possible, those of the
            true derivatives too.
    """

    image: Tensor
    partials: Callable[[Tensor | None, bool], Partials]

    @classmethod
    def drawn(cls, planes: Iterable[Tensor], *, true: bool) -> Picture:
        """Of planes that are there: the image and its partials, and whether these are the true ones."""
        image, *partials = planes

        def chosen(rows: Tensor | None, both: bool) -> Partials:
            own = partials if rows is None else [plane[rows] for plane in partials]
            batch = image if rows is None else rows
            same = torch.eye(len(own), dtype=image.dtype, device=image.device).expand(len(batch), -1, -1)
            return Partials(same, ([plane[some] for plane in own] for some in steps(batch)), same if true else None)

        return cls(image, chosen)


@dataclass(frozen=True)
class Sketch(Generic[Drawn]):
    """What is ready to be drawn as soon as the host knows how much of it there is.

    Args:
        asks: (B, K) whole numbers that it must know.
        draw: draws, given these numbers.
    """

    asks: Tensor
    draw: Callable[[np.ndarray], Drawn]

    @classmethod
    def simple(cls, batch: Tensor, draw: Callable[[], Drawn]) -> Sketch[Drawn]:
        """Of what does not ask."""
        return cls(batch.new_zeros(len(batch), 0, dtype=torch.long), lambda _: draw())

    def drawn(self) -> Drawn:
        """Wait and draw."""
        return self.draw(*host.known([self.asks]))


def steps(batch: Tensor) -> Iterator[slice]:
    """The images of a batch that are drawn together: on a CPU a few, which stay in the core's cache."""
    size = host.together(batch, 4)
    return (slice(start, start + size) for start in range(0, len(batch), size))


@dataclass(frozen=True)
class Placed:
    """Where components are drawn that a moved PSF is to be convolved with.

    Args:
        ix, iy, sx, sy: (B,) fine pixel of the centre, and the fraction.
        window: (height, width) of the part of the region that box and region can share.
        start_x, start_y: (B,) its first pixel.
    """

    ix: Tensor
    iy: Tensor
    sx: Tensor
    sy: Tensor
    window: tuple[int, int]
    start_x: Tensor
    start_y: Tensor

    @classmethod
    def of(cls, drawing: Drawing, frame: Frame) -> Placed:
        xc, yc = drawing.values["xc"], drawing.values["yc"]
        (ix, sx), (iy, sy) = frame.position(xc), frame.position(yc)
        window = (min(frame.box[1], frame.shape[0]), min(frame.box[0], frame.shape[1]))
        start_x = _window_start(xc, frame.x0, frame.box[0], frame.shape[1])
        start_y = _window_start(yc, frame.y0, frame.box[1], frame.shape[0])
        return cls(ix, iy, sx, sy, window, start_x, start_y)

    def take(self, rows: Tensor) -> Placed:
        """Some of them."""
        numbers = (self.ix, self.iy, self.sx, self.sy, self.start_x, self.start_y)
        ix, iy, sx, sy, start_x, start_y = (number[rows] for number in numbers)
        return Placed(ix, iy, sx, sy, self.window, start_x, start_y)

    def centre(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Column and row (B,) of the window that the objects are on, with the fine sampling of the data."""
        return self.ix - (frame.x0.long() - 1 + self.start_x), self.iy - (frame.y0.long() - 1 + self.start_y)

    def grid(self, frame: Frame, moved: Moved) -> tuple[Tensor, Tensor]:
        """(B, W), (B, H) fine pixels from the centre of the canvas around the window, as far as the PSF reaches."""
        reach_y, reach_x = convolve.margin(moved.image.shape)

        def offsets(start: Tensor, first: Tensor, length: int, reach: int, pixel: Tensor) -> Tensor:
            begin = (first.long() - 1 + start) * frame.fine - reach - pixel
            places = torch.arange(length * frame.fine + 2 * reach, device=begin.device)
            return (begin[:, None] + places).to(first.dtype)

        return (
            offsets(self.start_x, frame.x0, self.window[1], reach_x, self.ix),
            offsets(self.start_y, frame.y0, self.window[0], reach_y, self.iy),
        )

    def embedded(self, planes: Tensor, frame: Frame, some: slice = slice(None)) -> Tensor:
        """Planes (K, b, H, W) of the region with those of the window (K, b, h, w) in their place, 0 around them."""
        if self.window == frame.shape:
            return planes
        region = planes.new_zeros(*planes.shape[:2], *frame.shape)
        image = torch.arange(planes.shape[1], device=planes.device)[:, None, None]
        lines = self.start_y[some, None, None] + torch.arange(self.window[0], device=planes.device)[:, None]
        columns = self.start_x[some, None, None] + torch.arange(self.window[1], device=planes.device)
        region[:, image, lines, columns] = planes
        return region


def _window_start(centre: Tensor, first: Tensor, box: int, length: int) -> Tensor:
    """First column (B,) of a window of min(box, length) columns that holds what the box and the region share."""
    start = (centre - box / 2 + 0.5).floor() - first
    return start.nan_to_num().clamp(0, max(length - box, 0)).long()

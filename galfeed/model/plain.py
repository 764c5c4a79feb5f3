"""Images of plain ellipses under a convolution: planes drawn on the centre of a pixel, convolved with the moved PSF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from galfeed.model import convolve, host
from galfeed.model.ellipse import ODD, Ellipse, applies, combination, points
from galfeed.model.frame import Drawing, Frame, Partials, Picture, Placed, Planes, steps
from galfeed.model.near import Samples, patch, places, samples
from galfeed.profiles import IMAGE

OFF_CENTRE = 4  # pixels that an object may be off the middle of its window in planes of the usual size
LEAST_REACH = 3  # pixels that partial images in single precision hold beyond the window, or the width of the PSF
LONGEST = 2**20  # of the transforms

BY_PSF = {"xc": 1, "yc": 2}
"""Parameters whose true derivatives are those of the moved PSF, and the kernels that make them."""


def possible(drawing: Drawing, frame: Frame) -> bool:
    """Whether there may be such images among those of a component."""
    light = drawing.light
    return applies(light, frame.fine) and min(frame.box) / 2 > light.profile.sampling.limit + 1


@dataclass(frozen=True)
class Sizes:
    """Sizes (H, W), even, of the planes for the images and for their partials."""

    image: tuple[int, int]
    partials: tuple[int, int]


@dataclass(frozen=True)
class Objects:
    """The objects of a batch, one an image, and how they lie.

    Args:
        drawing, frame: what and where.
        at: their places.
        column, row: (B,) their pixels in the window.
        ellipse: their light.
        sampled: the pixels near their centres.
    """

    drawing: Drawing
    frame: Frame
    at: Placed
    column: Tensor
    row: Tensor
    ellipse: Ellipse
    sampled: Samples

    @classmethod
    def of(cls, drawing: Drawing, frame: Frame) -> Objects:
        at, ellipse = Placed.of(drawing, frame), Ellipse.of(drawing.light, drawing.values, frame.scale)
        return cls(drawing, frame, at, *at.centre(frame), ellipse, samples(ellipse))

    def take(self, rows: Tensor) -> Objects:
        """Some of them."""
        drawing, frame, at = self.drawing.take(rows), self.frame.take(rows), self.at.take(rows)
        column, row = self.column[rows], self.row[rows]
        return Objects(drawing, frame, at, column, row, self.ellipse.take(rows), self.sampled.take(rows))

    def asks(self) -> Tensor:
        """(B, 8) what the host must know: :meth:`sizes`, ``Samples.tally`` and pixels beyond the convolution box."""
        across, along = self.in_box()
        beyond = across.shape[1] * along.shape[1] - across.sum(1, keepdim=True) * along.sum(1, keepdim=True)
        return torch.cat([self.sizes(), self.sampled.tally(self.ellipse), beyond], 1)

    def in_box(self) -> tuple[Tensor, Tensor]:
        """Columns (B, W) and rows (B, H) of the region inside the convolution box."""
        return self.frame.in_box(self.drawing.values["xc"], self.drawing.values["yc"])

    def sizes(self) -> Tensor:
        """(B, 4) size of the planes for each image and its partials, see :class:`Sizes`; all 0 where there are none.

        There are none for what is too small or flat, and for what is too far from the window: the object is in the
        middle of a plane, so that opposite pixels are like each other.  In most images it is near the middle of the
        window too, and one size does for them.

        Partial images in single precision need not hold all that the wings of the PSF bring in from beyond the window.
        """
        frame = self.frame
        assert frame.psf is not None
        reaches, lengths = convolve.margin(frame.psf.image.shape), []
        width = frame.psf.width.nan_to_num(0.0, 0.0, 0.0).long()
        for centre, window, reach in zip((self.row, self.column), self.at.window, reaches, strict=True):
            off = centre.maximum(window - 1 - centre) + 1
            found = _from_ladder(2 * (off + reach), window + 2 * reach + 2 * OFF_CENTRE)
            lengths.append(found)
            if frame.partials == torch.float64:
                lengths.append(found)
                continue
            near = width.clamp(LEAST_REACH, max(reach, LEAST_REACH))
            # as far off as the size of the image allows, so that there are few sizes; a kernel must find room
            needed = (found - 2 * (reach - near)).clamp(min=2 * reach + 2)
            lengths.append(_from_ladder(needed, 0).minimum(found))
        rows, partial_rows, columns, partial_columns = lengths
        some = (rows > 0) & (columns > 0) & self.sampled.possible
        return torch.stack([rows, columns, partial_rows, partial_columns], 1) * some[:, None]


def _from_ladder(needed: Tensor, usual: int) -> Tensor:
    """Length (B,) of a fast transform that is not below the needed one: one of few; 0 where it is too large.

    Args:
        usual: the least, and half of the largest; 0: any.
    """
    lengths = _ladder(usual, needed.device)
    place = torch.searchsorted(lengths, needed)
    return torch.where(place < len(lengths), lengths[place.clamp(max=len(lengths) - 1)], 0)


@cache
def _ladder(usual: int, device: torch.device) -> Tensor:
    """Lengths of transforms from a usual one to twice that, or all even products of 2, 3, 5 and 7."""
    lengths = [convolve.fast_length(usual)] if usual else [2]
    while usual and lengths[-1] < 2 * usual:
        lengths.append(convolve.fast_length(int(1.2 * lengths[-1])))
    for prime in () if usual else (2, 3, 5, 7):
        for length in sorted(lengths):
            while (length := length * prime) <= LONGEST:
                lengths.append(length)
    return torch.tensor(sorted(lengths), device=device)


def picture(objects: Objects, told: np.ndarray) -> Picture:
    """Plain ellipses convolved on planes of one size; beyond the convolution box they have one sample a pixel.

    Args:
        told: ``objects.asks``, known to the host.
    """
    stage = _Stage.of(objects, told)
    if objects.drawing.roughly:
        return stage.at_once()
    image = stage.image()

    def partials(rows: Tensor | None, both: bool) -> Partials:
        return stage.partials(image, both) if rows is None else stage.take(rows).partials(image[rows], both)

    return Picture(image, partials)


@dataclass(frozen=True)
class _Stage:
    """All that is the same for the image and its partials.

    Args:
        objects: what is drawn.
        told: (B, 8) what the host knows of it.
        size: of the planes.
        kernel: (1, B, h, w) the moved PSFs.
        beyond: the convolution box.
    """

    objects: Objects
    told: np.ndarray
    size: Sizes
    kernel: Tensor
    beyond: _Beyond

    @classmethod
    def of(cls, objects: Objects, told: np.ndarray) -> _Stage:
        height, width, *partials = told[0, :4].tolist()
        size = Sizes((height, width), (partials[0], partials[1]))
        kernel = convolve.padded(objects.frame.moved(objects.at.sx, objects.at.sy, partials=False), False)
        return cls(objects, told, size, kernel, _Beyond.of(objects, told[:, -1]))

    def take(self, rows: Tensor) -> _Stage:
        """Of some of the images."""
        objects, told = self.objects.take(rows), self.told[rows.cpu().numpy()]
        return _Stage(objects, told, self.size, self.kernel[:, rows], _Beyond.of(objects, told[:, -1]))

    def image(self) -> Tensor:
        """(B, H, W) in the precision of the frame."""
        own = self.objects
        light = self.beyond.light(own.ellipse, (IMAGE,))
        pairs = [(0, 0)]
        image = own.ellipse.table.new_empty(len(own.row), *own.frame.shape)
        pieces = self._convolved((IMAGE,), self.kernel, pairs, self.size.image, own.ellipse.dtype, light)
        for planes, some in zip(pieces, steps(image), strict=True):
            image[some] = planes[0]
        return image

    def at_once(self) -> Picture:
        """The image as accurate as its partial images, and these, or those by GALFIT's derivatives."""
        own = self.objects
        light, wanted = replace(own.drawing.light, derivatives="galfit"), own.drawing.wanted
        made = combination(light, own.drawing.values, wanted, own.frame.scale)
        names = (*(name for name in made.planes if name in ODD), *(name for name in made.planes if name not in ODD))
        precision, pairs = own.frame.partials, [(place, 0) for place in range(len(names))]
        outer = self.beyond.light(made.ellipse, names)
        pieces = [*self._convolved(names, self.kernel, pairs, self.size.partials, precision, outer)]
        slopes = _chosen(made.slopes, [made.planes.index(name) for name in names])

        def partials(rows: Tensor | None, both: bool) -> Partials:
            if rows is None:
                return Partials(slopes, (planes.unbind() for planes in pieces))
            chosen = torch.cat(pieces, 1)[:, rows]
            return Partials(slopes[rows], (chosen[:, some].unbind() for some in steps(rows)))

        image = torch.cat([planes[names.index(IMAGE)] for planes in pieces])
        return Picture(image.to(own.ellipse.dtype), partials)

    def partials(self, image: Tensor, both: bool) -> Partials:
        """By the parameters wanted, of which the images are known."""
        own = self.objects
        light, wanted = own.drawing.light, own.drawing.wanted
        made = combination(light, own.drawing.values, wanted, own.frame.scale)
        true = light.derivatives == "true"
        moves = tuple(name for name in BY_PSF if name in wanted) if true or both else ()
        drawn = tuple(name for name in made.planes[1:] if not (true and name in ODD))
        places = [0, *(made.planes.index(name) for name in drawn)]
        outer = self.beyond.light(made.ellipse, drawn)
        none = made.slopes.new_zeros(len(image), len(moves), len(wanted))
        slopes = torch.cat([_chosen(made.slopes, places), none], 1)
        by_psf = slopes.clone()
        kernels = self.kernel
        if moves:
            kernels = convolve.padded(own.frame.moved(own.at.sx, own.at.sy, partials=True), True)
            turning = tuple(name for name in made.planes if name in ODD)
            turned = self.beyond.light(made.ellipse, turning)
            for place, name in enumerate(moves, start=len(places)):
                column = wanted.index(name)
                by_psf[:, :, column] = 0.0
                by_psf[:, place, column] = 1.0
                amounts = _chosen(made.slopes, [made.planes.index(plane) for plane in turning])[:, :, column]
                outer = torch.cat([outer, (turned * amounts[self.beyond.image].mT).sum(0, keepdim=True)])
        names = (*drawn, *((IMAGE,) if moves else ()))
        pairs = [(place, 0) for place in range(len(drawn))] + [(len(drawn), BY_PSF[name]) for name in moves]
        precision = own.frame.partials
        pieces = self._convolved(names, kernels, pairs, self.size.partials, precision, outer) if pairs else None

        def planes() -> Iterator[Planes]:
            for some in steps(image):
                yield [image[some], *(next(pieces) if pieces else ())]

        if true:
            return Partials(by_psf, planes(), by_psf)
        return Partials(slopes, planes(), by_psf if both else None)

    def _convolved(
        self,
        names: tuple[str, ...],
        kernels: Tensor,
        pairs: list[tuple[int, int]],
        size: tuple[int, int],
        precision: torch.dtype,
        outer: Tensor,
    ) -> Iterator[Tensor]:
        """Planes (pairs, b, H, W), some images at a time; ``pairs`` are places in ``names`` and of kernels."""
        own = self.objects
        # in full precision: with all of the light in one pixel, what changes with size cancels there
        near = patch(own.ellipse, own.sampled, self.told[:, 4:7], names).to(precision)
        cast, kernels = own.ellipse.to(precision), kernels.to(precision)
        odd = sum(name in ODD for name in names)
        for some in steps(own.row):
            canvases = drawn(cast.take(some), near[:, some], size, names)
            at = own.column[some], own.row[some]
            images = convolve.centred(canvases, odd, kernels[:, some], pairs, at, size, own.at.window)
            images = own.at.embedded(images, own.frame, some)
            self.beyond.put(images, outer, some)
            yield images


def drawn(ellipse: Ellipse, near: Tensor, size: tuple[int, int], planes: tuple[str, ...]) -> Tensor:
    """Means of planes over pixels, (planes, B, H / 2 + 1, W).

    What is below the centre is opposite to what is above it and is left out.  The lines run from the right to the left:
    the first column is that of the centre, those to its right are the last ones.

    Args:
        near: :func:`near.patch` of it.
        size: (H, W) even.
    """
    x, y = _grid(size, ellipse.dtype, near.device)
    canvases = ellipse.table.new_empty(len(planes), near.shape[1], y.shape[1], x.shape[2])
    ellipse.evaluate(x, y, _spread, planes, canvases)
    place = places(ellipse.light.profile.sampling, size[1], near.device)
    canvases.flatten(2)[:, :, place] = near
    return canvases


@cache
def _grid(size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """x (1, 1, W) and y (1, H / 2 + 1, 1) of the pixels of :func:`drawn`."""
    column, half = torch.arange(size[1], device=device), size[1] // 2
    x = -torch.where(column < half, column, column - size[1])
    return x.to(dtype)[None, None, :], torch.arange(size[0] // 2 + 1, dtype=dtype, device=device)[None, :, None]


def _spread(table: Tensor) -> Tensor:
    return table[:, :, None, None]


def _chosen(slopes: Tensor, planes: Sequence[int]) -> Tensor:
    """Slopes (B, planes, P) of some of the planes."""
    return slopes.index_select(1, host.indices(planes, slopes))


@dataclass(frozen=True)
class _Beyond:
    """Points beyond the convolution box, where a pixel has one sample.

    Args:
        image, row, column: (S,) which image, in order, and which pixel of the region.
        dx, dy: (S,) from the object.
        ends: of the samples of each image, and 0 before them, known to the host.
    """

    image: Tensor
    row: Tensor
    column: Tensor
    dx: Tensor
    dy: Tensor
    ends: list[int]

    @classmethod
    def of(cls, objects: Objects, counts: np.ndarray) -> _Beyond:
        """Of some objects, with so many points in each image."""
        frame, values, ends = objects.frame, objects.drawing.values, [0, *counts.cumsum().tolist()]
        if not ends[-1]:
            nowhere, no_pixel = frame.x0[:0], frame.x0[:0].long()
            return cls(no_pixel, no_pixel, no_pixel, nowhere, nowhere, ends)
        across, along = objects.in_box()
        image, row, column = host.where_true(~(along[:, :, None] & across[:, None, :]), ends[-1])
        dx = frame.x0[image] + column - values["xc"][image]
        dy = frame.y0[image] + row - values["yc"][image]
        return cls(image, row, column, dx, dy, ends)

    def light(self, ellipse: Ellipse, planes: tuple[str, ...]) -> Tensor:
        """(planes, S) there."""
        return points(ellipse, self.image, self.dx, self.dy, planes) if planes else self.dx.new_empty(0, len(self.dx))

    def put(self, planes: Tensor, light: Tensor, some: slice) -> None:
        """Light (K, S) into planes (K, b, H, W) of some of the images."""
        own = slice(self.ends[some.start], self.ends[min(some.stop, len(self.ends) - 1)])
        if own.start < own.stop:
            planes[:, self.image[own] - some.start, self.row[own], self.column[own]] = light[:, own].to(planes.dtype)

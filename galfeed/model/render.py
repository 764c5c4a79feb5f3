"""Images of one component and its partial derivatives, for a batch of galaxies.

What GALFIT 3.0.5 does, probed: inside the convolution box the object is drawn centred on the pixel floor(xc), floor(yc)
and the PSF is moved by the fraction; outside, the unconvolved model at the true centre.  The box has a hard edge.  With
an oversampled PSF the same happens on the fine grid, which is then summed into pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from galfeed.model import centred, convolve, exact, psf, spline
from galfeed.model.light import BRIGHTNESS, MAGNITUDE_SLOPE, Accuracy, Light, counts
from galfeed.model.pixels import Source, integrate
from galfeed.model.psf import Moved, Psf
from galfeed.model.shape import Derivatives
from galfeed.profiles import Profile

OFF_CENTRE = 4  # pixels that an object may be off the middle of its window in planes of the usual size
POINT_STEP = 0.2  # pixels; GALFIT differentiates a point source by a central difference of this step


@dataclass(frozen=True)
class Frame:
    """Where and how a batch of B images is rendered.

    Args:
        shape: (H, W) of the fitting region, the same for all.
        x0, y0: (B,) first pixel of the region in the coordinates of the whole image, from 1.
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
        chosen = {n: getattr(self, n)[index] for n in ("x0", "y0", "zeropoint", "exptime", "pixel_area")}
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


Planes = Sequence[Tensor]
"""Images (b, H, W) of the same kind."""


@dataclass(frozen=True)
class Picture:
    """One component in each of B images.

    Args:
        image: (B, H, W) in ADU.
        partials: makes its partial images, for some of the images (b,) or all of them, ``step`` images at a time.
    """

    image: Tensor
    partials: Callable[[Tensor | None], Iterator[Planes]]

    @classmethod
    def drawn(cls, planes: Iterable[Tensor]) -> Picture:
        """Of planes that are there: the image and its partials."""
        image, *partials = planes

        def pieces(rows: Tensor | None) -> Iterator[Planes]:
            chosen = partials if rows is None else [plane[rows] for plane in partials]
            return ([plane[some] for plane in chosen] for some in steps(image if rows is None else rows))

        return cls(image, pieces)


def steps(batch: Tensor) -> Iterator[slice]:
    """The images of a batch that are drawn together: on a CPU one, which stays in the core's cache."""
    size = 4 if batch.device.type == "cpu" else max(len(batch), 1)
    return (slice(start, start + size) for start in range(0, len(batch), size))


def background(profile: Profile, values: Mapping[str, Tensor], wanted: tuple[str, ...], frame: Frame) -> list[Tensor]:
    """Sky, 1 + wanted planes (B, H, W): a plane around the centre of the region; hidden parameters do nothing to it."""
    height, width = frame.shape
    zero = frame.x0
    dx = torch.arange(width, dtype=zero.dtype, device=zero.device) - (width - 1) / 2
    dy = torch.arange(height, dtype=zero.dtype, device=zero.device) - (height - 1) / 2
    own = {spec.name for spec in profile.params}
    leaves = {name: value[:, None, None] for name, value in values.items() if name in own}
    assert profile.intensity is not None
    image = profile.intensity(dx[None, None, :], dy[None, :, None], **leaves).expand(len(zero), height, width)
    # linear in its parameters: a partial is the image of a unit value
    units = [
        profile.intensity(
            dx[None, None, :],
            dy[None, :, None],
            **{n: torch.full_like(v, float(n == w)) for n, v in leaves.items()},
        )
        for w in wanted
    ]
    return [image, *(u.expand_as(image) for u in units)]


def point(values: Mapping[str, Tensor], wanted: tuple[str, ...], frame: Frame, derivatives: Derivatives) -> Tensor:
    """Point source (1 + wanted, B, H, W): the moved PSF times the flux, not renormalised after the shift.

    Without a PSF nothing.
    """
    xc, yc = values["xc"], values["yc"]
    if frame.psf is None:
        return xc.new_zeros(1 + len(wanted), len(xc), *frame.shape)
    if frame.kernel is not None:
        return _diffused(lambda own: point(values, wanted, own, derivatives), xc, yc, frame)
    stars, fine = frame.psf, frame.fine
    height, width = frame.shape

    (ix, sx), (iy, sy) = frame.position(xc), frame.position(yc)
    moved = frame.moved(sx, sy, partials=bool(wanted) and derivatives == "true")
    first_x = ix - moved.x0 - fine * (frame.x0.long() - 1)
    first_y = iy - moved.y0 - fine * (frame.y0.long() - 1)

    def put(image: Tensor, first_x: Tensor, first_y: Tensor) -> Tensor:
        return psf.bin_down(psf.place(image, first_x, first_y, height * fine, width * fine), fine)

    light = counts(values["mag"], frame.scale)[:, None, None]
    image = light * put(moved.image, first_x, first_y)
    planes = [image]
    for name in wanted:
        if name == "mag":
            planes.append(MAGNITUDE_SLOPE * image)
        elif derivatives == "true":
            planes.append(light * fine * put(moved.d_dx if name == "xc" else moved.d_dy, first_x, first_y))
        else:
            planes.append(light / (2 * POINT_STEP) * put(*_difference(stars, xc, yc, name, frame)))
    return torch.stack(planes)


def _difference(stars: Psf, xc: Tensor, yc: Tensor, name: str, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
    """GALFIT's central difference of the PSFs along "xc" or "yc", and the pixel (B,) (B,) of its first element.

    Both are displaced from the pixel nearest to the source, along the other axis not at all.
    """
    my, mx = stars.image.shape[-2:]
    (ix, sx), (iy, sy) = psf.position(xc, stars.fine), psf.position(yc, stars.fine)
    (jx, tx), (jy, ty) = psf.nearest(sx), psf.nearest(sy)
    step, zero = POINT_STEP * stars.fine, torch.zeros_like(tx)
    ahead, behind = (
        psf.displaced(stars, *((tx + away, zero) if name == "xc" else (zero, ty + away)))[0] for away in (step, -step)
    )
    first_x = ix + jx - mx // 2 - stars.fine * (frame.x0.long() - 1)
    first_y = iy + jy - my // 2 - stars.fine * (frame.y0.long() - 1)
    return ahead - behind, first_x, first_y


def _diffused(draw: Callable[[Frame], Tensor], xc: Tensor, yc: Tensor, frame: Frame) -> Tensor:
    """What ``draw`` draws, with charge diffusion inside the box; in GALFIT the charge around the box is forgotten."""
    assert frame.kernel is not None
    across, along = frame.in_box(xc, yc)
    inside = along[:, :, None] & across[:, None, :]
    plain = replace(frame, kernel=None)
    if frame.accuracy == "galfit":
        return convolve.diffuse(draw(plain), frame.kernel, inside)
    margin = max(frame.kernel.shape[-2:])
    height, width = frame.shape
    planes = draw(frame.extended(margin))
    spread = convolve.diffuse(planes, frame.kernel, torch.ones_like(planes[0], dtype=torch.bool))
    spread = spread[..., margin : margin + height, margin : margin + width]
    return spread if bool(inside.all()) else torch.where(inside, spread, draw(plain))


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn of a component.

    Args:
        light: the component.
        values: (B,) its numbers in the units of the menu.
        wanted: names to differentiate with respect to.
    """

    light: Light
    values: Mapping[str, Tensor]
    wanted: tuple[str, ...]

    def take(self, rows: Tensor) -> Drawing:
        """The same for some of the images."""
        return replace(self, values={name: value[rows] for name, value in self.values.items()})


def shaped(drawing: Drawing, frame: Frame) -> Picture:
    """A component whose light has a shape."""
    xc, yc, light = drawing.values["xc"], drawing.values["yc"], drawing.light
    if frame.psf is None or min(frame.box) <= 0:
        return _each(_unconvolved, drawing, frame)
    if frame.kernel is not None:
        return Picture.drawn(_diffused(lambda own: _stacked(shaped(drawing, own)), xc, yc, frame))
    if not (centred.applies(light, frame.fine) and min(frame.box) / 2 > light.profile.sampling.limit + 1):
        return _each(_boxed, drawing, frame)
    kinds = torch.where(centred.covers(light, drawing.values)[:, None], _sizes(drawing, frame), 0)
    if bool((kinds == kinds[:1]).all()):
        return _shaped_alike(drawing, frame, kinds[0])
    alike, which = kinds.unique(dim=0, return_inverse=True)
    rows = [torch.nonzero(which == kind)[:, 0] for kind in range(len(alike))]
    some = zip(rows, alike, strict=True)
    return _together(rows, [_shaped_alike(drawing.take(own), frame.take(own), size) for own, size in some])


def _each(draw: Callable[[Drawing, Frame], Tensor], drawing: Drawing, frame: Frame) -> Picture:
    """What ``draw`` draws, on a CPU an image at a time.

    That stays in the core's cache; and powers are rounded otherwise at the end of a list of numbers than within it, so
    that the last bit would depend on what else is in the batch.
    """
    if frame.x0.device.type != "cpu" or len(frame.x0) == 1:
        return Picture.drawn(draw(drawing, frame))
    rows = torch.arange(len(frame.x0), device=frame.x0.device).split(1)
    return _together(rows, [Picture.drawn(draw(drawing.take(row), frame.take(row))) for row in rows])


def _shaped_alike(drawing: Drawing, frame: Frame, size: Tensor) -> Picture:
    """Images that are convolved with planes of one size (H, W), or 0: on the general path."""
    height, width = size.tolist()
    return _plain(drawing, frame, (height, width)) if height and width else _each(_boxed, drawing, frame)


def _sizes(drawing: Drawing, frame: Frame) -> Tensor:
    """(B, 2) size of the planes that plain ellipses are convolved on, 0 where an object is too far from the window.

    The object is in the middle of the plane, so that opposite pixels are like each other.  In most images it is near
    the middle of the window too, and one size does for them.
    """
    assert frame.psf is not None
    at, reaches, lengths = _Placed.of(drawing, frame), convolve.margin(frame.psf.image.shape), []
    for centre, window, reach in zip(at.centre(frame)[::-1], at.window, reaches, strict=True):
        needed = 2 * (centre.maximum(window - 1 - centre) + reach + 1)
        usual = window + 2 * reach + 2 * OFF_CENTRE
        possible = torch.tensor(_ladder(usual), device=centre.device)
        place = torch.searchsorted(possible, needed)
        lengths.append(torch.where(place < len(possible), possible[place.clamp(max=len(possible) - 1)], 0))
    return torch.stack(lengths, 1)


@cache
def _ladder(usual: int) -> tuple[int, ...]:
    """Lengths of transforms from a usual one to twice that."""
    lengths = [convolve.fast_length(usual)]
    while lengths[-1] < 2 * usual:
        lengths.append(convolve.fast_length(int(1.2 * lengths[-1])))
    return tuple(lengths)


def _together(parts: Sequence[Tensor], pictures: Sequence[Picture]) -> Picture:
    """Pictures of different images of one batch, each on its own path whatever shares the batch with it."""
    images = tuple(picture.image for picture in pictures)
    order = torch.cat(tuple(parts)).argsort()

    def partials(rows: Tensor | None) -> Iterator[Planes]:
        asked = torch.ones_like(order) if rows is None else torch.zeros_like(order).index_fill_(0, rows, 1)
        local = [torch.nonzero(asked[part])[:, 0] for part in parts]
        place = torch.cat([part[own] for part, own in zip(parts, local, strict=True)]).argsort()
        kind = torch.cat([torch.full_like(own, i) for i, own in enumerate(local)])[place]
        single = [_one_by_one(picture.partials(own), own) for picture, own in zip(pictures, local, strict=True)]
        for some in steps(kind):
            found = [next(single[which]) for which in kind[some].tolist()]
            yield [torch.cat([p.to(images[0].dtype) for p in planes]) for planes in zip(*found, strict=True)]

    return Picture(torch.cat(images)[order], partials)


def _one_by_one(pieces: Iterator[Planes], batch: Tensor) -> Iterator[Planes]:
    for planes, some in zip(pieces, steps(batch), strict=True):
        yield from ([plane[row : row + 1] for plane in planes] for row in range(len(batch[some])))


def _stacked(picture: Picture) -> Tensor:
    pieces = [
        torch.stack([plane.to(picture.image.dtype) for plane in planes]) for planes in picture.partials(None) if planes
    ]
    return torch.cat([picture.image[None], *([torch.cat(pieces, 1)] if pieces else [])])


def _boxed(drawing: Drawing, frame: Frame) -> Tensor:
    """Convolved inside the box, and not beyond it."""
    across, along = frame.in_box(drawing.values["xc"], drawing.values["yc"])
    planes = _convolved(drawing, frame)
    if bool(across.all() and along.all()):
        return planes
    return torch.where(along[:, :, None] & across[:, None, :], planes, _unconvolved(drawing, frame))


def _plain(drawing: Drawing, frame: Frame, size: tuple[int, int]) -> Picture:
    """The same of plain ellipses, on planes (H, W); beyond the box they have one sample a pixel."""
    stage = _Stage.of(drawing, frame, size)
    image = torch.cat([planes[centred.IMAGE] for planes in stage.planes((centred.IMAGE,))])

    def partials(rows: Tensor | None) -> Iterator[Planes]:
        own, seen = (stage, image) if rows is None else (stage.take(rows), image[rows])
        names = tuple(name for name in drawing.wanted if name not in BRIGHTNESS)
        pieces = own.planes(names) if names else ({} for _ in steps(seen))
        for planes, at in zip(pieces, steps(seen), strict=True):
            yield [seen[at] * MAGNITUDE_SLOPE if name in BRIGHTNESS else planes[name] for name in drawing.wanted]

    return Picture(image, partials)


@dataclass(frozen=True)
class _Stage:
    """All that is the same for the image and its partials.

    Args:
        drawing, frame: what and where.
        size: of the planes.
        at: the places of the objects.
        kernels: (1 or 3, B, h, w) the moved PSFs and their derivatives.
        column, row: (B,) the objects' pixels in the window.
        sampled: the pixels near the centres.
        outside: (B, H, W) of the region, the convolution box.
    """

    drawing: Drawing
    frame: Frame
    size: tuple[int, int]
    at: _Placed
    kernels: Tensor
    column: Tensor
    row: Tensor
    sampled: centred.Samples
    outside: Tensor

    @classmethod
    def of(cls, drawing: Drawing, frame: Frame, size: tuple[int, int]) -> _Stage:
        at, moves = _Placed.of(drawing, frame), bool(_by_psf(drawing, drawing.wanted))
        kernels = convolve.padded(frame.moved(at.sx, at.sy, partials=moves), moves)
        sampled = centred.samples(centred.Ellipse.of(drawing.light, drawing.values, (), frame.scale))
        across, along = frame.in_box(drawing.values["xc"], drawing.values["yc"])
        outside = ~(along[:, :, None] & across[:, None, :])
        return cls(drawing, frame, size, at, kernels, *at.centre(frame), sampled, outside)

    def take(self, rows: Tensor) -> _Stage:
        """Of some of the images."""
        return _Stage(
            self.drawing.take(rows),
            self.frame.take(rows),
            self.size,
            self.at.take(rows),
            self.kernels[:, rows],
            self.column[rows],
            self.row[rows],
            centred.Samples(self.sampled.counts[rows], self.sampled.core[rows]),
            self.outside[rows],
        )

    def planes(self, names: tuple[str, ...]) -> Iterator[dict[str, Tensor]]:
        """By name, some images at a time: the image in the precision of the frame, or partials in their own."""
        frame, size = self.frame, self.size
        moves = _by_psf(self.drawing, names)
        even = tuple(n for n in names if n not in (*moves, *centred.ODD))
        odd = tuple(n for n in names if n not in moves and n in centred.ODD)
        seen = (*even, *odd, *moves)
        ellipse = centred.Ellipse.of(self.drawing.light, self.drawing.values, names, frame.scale)
        precision = ellipse.dtype if centred.IMAGE in names else frame.partials
        light = (centred.IMAGE,) if moves else ()  # of which the moved PSF makes a derivative
        drawn = (*even, *odd, *light)
        # in full precision: with all of the light in one pixel, what changes with size cancels there
        near = centred.patch(ellipse.drawing(drawn, ellipse.dtype), self.sampled).to(precision)
        cast, kernels = ellipse.drawing(drawn, precision), self.kernels.to(precision)
        changes = [name in odd for name in cast.names]
        pairs = [(place, 0) for place in range(len(even) + len(odd))]
        pairs += [(len(cast.names) - 1, 1 if name == "xc" else 2) for name in moves]
        beyond = _Beyond.of(ellipse.drawing(seen, ellipse.dtype), self.drawing.values, frame, self.outside)
        for some in steps(self.row):
            canvases = centred.integrate(cast.take(some), near[:, some], size)
            at = self.column[some], self.row[some]
            images = convolve.centred(canvases, changes, kernels[:, some], pairs, at, size, self.at.window)
            images = self.at.embedded(images, frame, some)
            beyond.put(images, some)
            yield dict(zip(seen, images, strict=True))


def _by_psf(drawing: Drawing, names: Sequence[str]) -> tuple[str, ...]:
    """Those of some names whose partials are made of the moved PSF's derivatives."""
    return tuple(name for name in names if name in ("xc", "yc")) if drawing.light.derivatives == "true" else ()


@dataclass(frozen=True)
class _Beyond:
    """Light beyond the convolution box, where a pixel has one sample.

    Args:
        image, pixel: (S,) which image, in order, and which pixel of the flattened region.
        light: (K, S) planes there.
        ends: of the samples of each image, and 0 before them.
    """

    image: Tensor
    pixel: Tensor
    light: Tensor
    ends: list[int]

    @classmethod
    def of(cls, ellipse: centred.Ellipse, values: Mapping[str, Tensor], frame: Frame, outside: Tensor) -> _Beyond:
        image, row, column = torch.nonzero(outside, as_tuple=True)
        dx = frame.x0[image] + column - values["xc"][image]
        dy = frame.y0[image] + row - values["yc"][image]
        counts = torch.bincount(image, minlength=len(frame.x0)).cumsum(0)
        light = centred.points(ellipse, image, dx, dy)
        return cls(image, row * frame.shape[1] + column, light, [0, *counts.tolist()])

    def put(self, planes: Tensor, some: slice) -> None:
        """Into planes (K, b, H, W) of some of the images."""
        own = slice(self.ends[some.start], self.ends[min(some.stop, len(self.ends) - 1)])
        planes.flatten(2)[:, self.image[own] - some.start, self.pixel[own]] = self.light[:, own].to(planes.dtype)


@dataclass(frozen=True)
class _Placed:
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
    def of(cls, drawing: Drawing, frame: Frame) -> _Placed:
        xc, yc = drawing.values["xc"], drawing.values["yc"]
        (ix, sx), (iy, sy) = frame.position(xc), frame.position(yc)
        window = (min(frame.box[1], frame.shape[0]), min(frame.box[0], frame.shape[1]))
        start_x = _window_start(xc, frame.x0, frame.box[0], frame.shape[1])
        start_y = _window_start(yc, frame.y0, frame.box[1], frame.shape[0])
        return cls(ix, iy, sx, sy, window, start_x, start_y)

    def take(self, rows: Tensor) -> _Placed:
        """Some of them."""
        numbers = (self.ix, self.iy, self.sx, self.sy, self.start_x, self.start_y)
        ix, iy, sx, sy, start_x, start_y = (number[rows] for number in numbers)
        return _Placed(ix, iy, sx, sy, self.window, start_x, start_y)

    def centre(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Column and row (B,) of the window that the objects are on, with the fine sampling of the data."""
        return self.ix - (frame.x0.long() - 1 + self.start_x), self.iy - (frame.y0.long() - 1 + self.start_y)

    def grid(self, frame: Frame, moved: Moved) -> tuple[Tensor, Tensor]:
        """(B, W), (B, H) fine pixels from the centre of the canvas around the window, as far as the PSF reaches."""
        reach_y, reach_x = convolve.margin(moved.image.shape)

        def offsets(start: Tensor, first: Tensor, length: int, reach: int, pixel: Tensor) -> Tensor:
            begin = (first.long() - 1 + start) * frame.fine - reach - pixel
            steps = torch.arange(length * frame.fine + 2 * reach, device=begin.device)
            return (begin[:, None] + steps).to(first.dtype)

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


def _unconvolved(drawing: Drawing, frame: Frame) -> Tensor:
    height, width = frame.shape
    pixel = torch.arange(max(height, width), dtype=frame.x0.dtype, device=frame.x0.device)
    x, y = frame.x0[:, None] + pixel[:width], frame.y0[:, None] + pixel[:height]
    return _drawn(drawing, frame, x, y, fine=1)


def _convolved(drawing: Drawing, frame: Frame) -> Tensor:
    """The image inside the box; what it holds outside is not meant to be used.

    The object is drawn on the centre of a pixel and the PSF is moved by the fraction, so that what is sharper than a
    pixel keeps its place.
    """
    assert frame.psf is not None
    fine, values, centres = frame.fine, drawing.values, drawing.light.centres
    at = _Placed.of(drawing, frame)
    # The true derivatives by x and y are those of the moved PSF, as the object stays on its pixel; the centres of
    # truncations, which keep their distance from it, move the other way.
    moves = tuple(w for w in drawing.wanted if w in ("xc", "yc")) if drawing.light.derivatives == "true" else ()
    against = tuple(name for name, axis in centres.items() if axis in moves and name not in drawing.wanted)
    relative = {name: values[name] - values[axis] for name, axis in centres.items()}
    nowhere = torch.zeros_like(at.sx)
    on_pixel = replace(
        drawing,
        values={**values, "xc": nowhere, "yc": nowhere, **relative},
        wanted=tuple(w for w in drawing.wanted if w not in moves) + against,
    )
    moved = frame.moved(at.sx, at.sy, partials=bool(moves))
    x, y = at.grid(frame, moved)
    planes = _drawn(on_pixel, frame, x, y, fine)
    size = (convolve.fast_length(planes.shape[-2]), convolve.fast_length(planes.shape[-1]))
    window_fine = (at.window[0] * fine, at.window[1] * fine)
    kernels = convolve.kernel_transforms(moved, size, partials=bool(moves))
    # the magnitude's partial is the image itself, up to a factor: it is not convolved twice
    rows = {name: row for row, name in enumerate((*drawing.wanted, *against), start=1)}
    canvas = {name: row for row, name in enumerate(on_pixel.wanted, start=1)}
    pairs: list[tuple[int, int] | None] = [(0, 0)]
    for name in rows:
        moved_by = {"xc": 1, "yc": 2}[name] if name in moves else 0
        pairs.append(None if name in BRIGHTNESS else (0, moved_by) if moved_by else (canvas[name], 0))
    out = convolve.convolve(planes, kernels, size, convolve.margin(moved.image.shape), window_fine, pairs)
    for name, row in rows.items():
        if name in BRIGHTNESS:
            torch.mul(out[0], MAGNITUDE_SLOPE, out=out[row])
    for axis in moves:
        out[rows[axis]] *= fine
        for name, other in centres.items():
            if other == axis:
                out[rows[axis]] -= out[rows[name]]
    return at.embedded(psf.bin_down(out[: len(out) - len(against)], fine), frame)


def _window_start(centre: Tensor, first: Tensor, box: int, length: int) -> Tensor:
    """First column (B,) of a window of min(box, length) columns that holds what the box and the region share."""
    start = (centre - box / 2 + 0.5).floor() - first
    return start.nan_to_num().clamp(0, max(length - box, 0)).long()


def _drawn(drawing: Drawing, frame: Frame, x: Tensor, y: Tensor, fine: int) -> Tensor:
    """Image and partials (1 + wanted, B, H, W) in ADU on a grid of ``fine`` pixels a data pixel.

    The light depends on numbers that are made of the parameters, an image at a time; its partials by those numbers are
    put together by the chain rule.

    Args:
        x: (B, W), y: (B, H) coordinates of the grid in its own pixels, like "xc" and "yc" of the drawing.
    """
    light, wanted = drawing.light, drawing.wanted
    own = {name: value.detach().clone() for name, value in drawing.values.items()}
    parameters = [own[name].requires_grad_() for name in wanted]
    with torch.enable_grad():
        values = light.scaled(own, fine)
        numbers = values | light.derived(values)
        factor = light.amplitude(own, values | light.derived(values), frame.scale, fine)
    numbers = {name: number for name, number in numbers.items() if name not in BRIGHTNESS}
    source = Source(light, {name: number.detach() for name, number in numbers.items()}, (), fine)
    moving = source.taken(tuple(name for name, number in numbers.items() if number.requires_grad))
    source = replace(source, wanted=moving)
    planes = list(exact.integrate(source, x, y)) if frame.accuracy == "exact" else integrate(source, x, y)

    out = planes[0].new_empty(1 + len(wanted), *planes[0].shape)
    torch.mul(factor.detach()[:, None, None], planes[0], out=out[0])
    begun: set[int] = set()
    for plane, number in zip(planes, (factor, *(numbers[name] for name in moving)), strict=True):
        if not (wanted and number.requires_grad):
            continue
        scale = 1.0 if number is factor else factor.detach()
        slopes = torch.autograd.grad(number.sum(), parameters, allow_unused=True, retain_graph=True)
        for row, slope in enumerate(slopes, start=1):
            if slope is None:
                continue
            weight = (scale * slope)[:, None, None]
            if row in begun:
                out[row].addcmul_(weight, plane)
            else:
                torch.mul(weight, plane, out=out[row])
                begun.add(row)
    for row in set(range(1, len(out))) - begun:
        out[row].zero_()
    return out

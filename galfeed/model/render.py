"""Images of one component and its partial derivatives, for a batch of galaxies.

What GALFIT 3.0.5 does, probed: inside the convolution box the object is drawn centred on the pixel floor(xc), floor(yc)
and the PSF is moved by the fraction; outside, the unconvolved model at the true centre.  The box has a hard edge.  With
an oversampled PSF the same happens on the fine grid, which is then summed into pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from galfeed.model import centred, convolve, exact, psf, spline
from galfeed.model.light import BRIGHTNESS, MAGNITUDE_SLOPE, Accuracy, Light, counts
from galfeed.model.pixels import Source, integrate
from galfeed.model.psf import Moved, Psf
from galfeed.model.shape import Derivatives
from galfeed.profiles import Profile

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

    @property
    def fine(self) -> int:
        return self.psf.fine if self.psf else 1

    def position(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Fine pixel (B,) and fraction of a coordinate, see ``psf.position``."""
        return psf.position(x, self.fine, single=self.accuracy == "galfit")

    def moved(self, sx: Tensor, sy: Tensor) -> Moved:
        """The PSFs moved by fractions of a pixel (B,): as GALFIT does, or smoothly and with all of their light."""
        assert self.psf is not None
        return (psf.move if self.accuracy == "galfit" else spline.move)(self.psf, sx, sy)

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


def background(profile: Profile, values: Mapping[str, Tensor], wanted: tuple[str, ...], frame: Frame) -> Tensor:
    """Sky (1 + wanted, B, H, W): a plane around the centre of the region; a hidden parameter does nothing to it."""
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
    return torch.stack([image, *(u.expand_as(image) for u in units)])


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
    moved = frame.moved(sx, sy)
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


def shaped(drawing: Drawing, frame: Frame) -> Tensor:
    """A component whose light has a shape, (1 + wanted, B, H, W)."""
    xc, yc = drawing.values["xc"], drawing.values["yc"]
    if frame.psf is None or min(frame.box) <= 0:
        return _unconvolved(drawing, frame)
    if frame.kernel is not None:
        return _diffused(lambda own: shaped(drawing, own), xc, yc, frame)
    across, along = frame.in_box(xc, yc)
    planes = _convolved(drawing, frame)
    if bool(across.all() and along.all()):
        return planes
    inside = along[:, :, None] & across[:, None, :]
    if centred.applies(drawing.light, frame.fine) and min(frame.box) / 2 > drawing.light.profile.sampling.limit + 1:
        _fill(planes, ~inside, drawing, frame)
        return planes
    return torch.where(inside, planes, _unconvolved(drawing, frame))


def _fill(planes: Tensor, outside: Tensor, drawing: Drawing, frame: Frame) -> None:
    """Draw a plain ellipse where (B, H, W) nothing is convolved and a pixel has one sample; in place."""
    image, row, column = torch.nonzero(outside, as_tuple=True)
    ellipse = centred.Ellipse.of(drawing.light, drawing.values, drawing.wanted, frame.scale)
    dx = frame.x0[image] + column - drawing.values["xc"][image]
    dy = frame.y0[image] + row - drawing.values["yc"][image]
    planes[:, image, row, column] = centred.points(ellipse, image, dx, dy)


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
    (ix, sx), (iy, sy) = (frame.position(values[axis]) for axis in ("xc", "yc"))
    moved = frame.moved(sx, sy)
    reach_y, reach_x = reach = convolve.margin(moved.image.shape)
    window = (min(frame.box[1], frame.shape[0]), min(frame.box[0], frame.shape[1]))
    start_x = _window_start(values["xc"], frame.x0, frame.box[0], frame.shape[1])
    start_y = _window_start(values["yc"], frame.y0, frame.box[1], frame.shape[0])

    def offsets(start: Tensor, first: Tensor, length: int, reach: int, pixel: Tensor) -> Tensor:
        begin = (first.long() - 1 + start) * fine - reach - pixel
        steps = torch.arange(length * fine + 2 * reach, device=begin.device)
        return (begin[:, None] + steps).to(first.dtype)

    # The true derivatives by x and y are those of the moved PSF, as the object stays on its pixel; the centres of
    # truncations, which keep their distance from it, move the other way.
    moves = tuple(w for w in drawing.wanted if w in ("xc", "yc")) if drawing.light.derivatives == "true" else ()
    against = tuple(name for name, axis in centres.items() if axis in moves and name not in drawing.wanted)
    relative = {name: values[name] - values[axis] for name, axis in centres.items()}
    nowhere = torch.zeros_like(sx)
    on_pixel = replace(
        drawing,
        values={**values, "xc": nowhere, "yc": nowhere, **relative},
        wanted=tuple(w for w in drawing.wanted if w not in moves) + against,
    )
    x = offsets(start_x, frame.x0, window[1], reach_x, ix)
    y = offsets(start_y, frame.y0, window[0], reach_y, iy)
    planes = _drawn(on_pixel, frame, x, y, fine)
    size = (convolve.fast_length(planes.shape[-2]), convolve.fast_length(planes.shape[-1]))
    window_fine = (window[0] * fine, window[1] * fine)
    kernels = convolve.kernel_transforms(moved, size, partials=bool(moves))
    # the magnitude's partial is the image itself, up to a factor: it is not convolved twice
    rows = {name: row for row, name in enumerate((*drawing.wanted, *against), start=1)}
    canvas = {name: row for row, name in enumerate(on_pixel.wanted, start=1)}
    pairs: list[tuple[int, int] | None] = [(0, 0)]
    for name in rows:
        moved_by = {"xc": 1, "yc": 2}[name] if name in moves else 0
        pairs.append(None if name in BRIGHTNESS else (0, moved_by) if moved_by else (canvas[name], 0))
    out = convolve.convolve(planes, kernels, size, reach, window_fine, pairs)
    for name, row in rows.items():
        if name in BRIGHTNESS:
            torch.mul(out[0], MAGNITUDE_SLOPE, out=out[row])
    for axis in moves:
        out[rows[axis]] *= fine
        for name, other in centres.items():
            if other == axis:
                out[rows[axis]] -= out[rows[name]]
    out = psf.bin_down(out[: len(out) - len(against)], fine)
    if window != frame.shape:
        region = out.new_zeros(len(out), len(ix), *frame.shape)
        image = torch.arange(len(ix), device=out.device)[:, None, None]
        lines = start_y[:, None, None] + torch.arange(window[0], device=out.device)[:, None]
        columns = start_x[:, None, None] + torch.arange(window[1], device=out.device)
        region[:, image, lines, columns] = out
        out = region
    return out


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
    if centred.applies(light, fine):
        plain = centred.covers(light, drawing.values)
        if bool(plain.all()):
            return centred.integrate(centred.Ellipse.of(light, drawing.values, wanted, frame.scale), x, y)
        if bool(plain.any()):  # each on its own path, whatever it shares the batch with
            out = x.new_empty(1 + len(wanted), len(x), y.shape[1], x.shape[1])
            for rows in (torch.nonzero(plain)[:, 0], torch.nonzero(~plain)[:, 0]):
                some = replace(drawing, values={name: value[rows] for name, value in drawing.values.items()})
                out[:, rows] = _drawn(some, frame.take(rows), x[rows], y[rows], fine)
            return out
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

"""Images of one component and its partial derivatives, for a batch of galaxies.

What GALFIT 3.0.5 does, probed: inside the convolution box the object is drawn centred on the pixel floor(xc), floor(yc)
and the PSF is moved by the fraction; outside, the unconvolved model at the true centre.  The box has a hard edge.  With
an oversampled PSF the same happens on the fine grid, which is then summed into pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from galfeed.model import convolve, exact, host, plain, psf
from galfeed.model.frame import Drawing, Frame, Partials, Picture, Placed, Planes, Sketch, steps
from galfeed.model.light import BRIGHTNESS, MAGNITUDE_SLOPE, counts
from galfeed.model.pixels import Source, integrate
from galfeed.model.psf import Psf
from galfeed.model.shape import Derivatives
from galfeed.profiles import Profile

POINT_STEP = 0.2  # pixels; GALFIT differentiates a point source by a central difference of this step


def background(profile: Profile, values: Mapping[str, Tensor], wanted: tuple[str, ...], frame: Frame) -> list[Tensor]:
    """Sky, 1 + wanted planes (B, H, W): a plane around the centre of the fitting region.

    Hidden parameters do nothing to it.
    """
    height, width = frame.shape
    zero = frame.x0
    dx = torch.arange(width, dtype=zero.dtype, device=zero.device) - frame.middle_x[:, None]
    dy = torch.arange(height, dtype=zero.dtype, device=zero.device) - frame.middle_y[:, None]
    dx, dy = dx[:, None, :], dy[:, :, None]
    own = {spec.name for spec in profile.params}
    leaves = {name: value[:, None, None] for name, value in values.items() if name in own}
    assert profile.intensity is not None
    image = profile.intensity(dx, dy, **leaves).expand(len(zero), height, width)
    # linear in its parameters: a partial is the image of a unit value
    units = [
        profile.intensity(dx, dy, **{n: torch.full_like(v, float(n == w)) for n, v in leaves.items()}) for w in wanted
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


def shaped(drawing: Drawing, frame: Frame) -> Sketch[Picture]:
    """A component whose light has a shape."""
    if frame.psf is not None and min(frame.box) > 0 and frame.kernel is None and plain.possible(drawing, frame):
        objects = plain.Objects.of(drawing, frame)
        return Sketch(objects.asks(), lambda told: _of_all_sizes(objects, told))
    return Sketch.simple(frame.x0, lambda: _shaped(drawing, frame))


def _shaped(drawing: Drawing, frame: Frame) -> Picture:
    """On the general path."""
    xc, yc = drawing.values["xc"], drawing.values["yc"]
    if frame.psf is None or min(frame.box) <= 0:
        return _each(_unconvolved, drawing, frame)
    if frame.kernel is not None:
        true = drawing.light.derivatives == "true"
        return Picture.drawn(_diffused(lambda own: _stacked(shaped(drawing, own).drawn()), xc, yc, frame), true=true)
    return _each(_boxed, drawing, frame)


def _of_all_sizes(objects: plain.Objects, told: np.ndarray) -> Picture:
    """Images that are convolved on planes of one size together, or, where that is 0, on the general path.

    Args:
        told: ``objects.asks``, known to the host.
    """
    sizes = told[:, :4]
    if (sizes == sizes[:1]).all():
        return _of_one_size(objects, told)
    kinds, which = np.unique(sizes, axis=0, return_inverse=True)
    parts = [np.flatnonzero(which.ravel() == kind) for kind in range(len(kinds))]
    rows = [host.given(part, objects.row) for part in parts]
    return _together(rows, [_of_one_size(objects.take(row), told[p]) for row, p in zip(rows, parts, strict=True)])


def _of_one_size(objects: plain.Objects, told: np.ndarray) -> Picture:
    return plain.picture(objects, told) if told[0, 0] else _each(_boxed, objects.drawing, objects.frame)


def _each(draw: Callable[[Drawing, Frame], Tensor], drawing: Drawing, frame: Frame) -> Picture:
    """What ``draw`` draws, on a CPU an image at a time.

    That stays in the core's cache; and powers are rounded otherwise at the end of a list of numbers than within it, so
    that the last bit would depend on what else is in the batch.
    """
    true = drawing.light.derivatives == "true"
    if not host.is_cpu(frame.x0) or len(frame.x0) == 1:
        return Picture.drawn(draw(drawing, frame), true=true)
    rows = torch.arange(len(frame.x0), device=frame.x0.device).split(1)
    return _together(rows, [Picture.drawn(draw(drawing.take(row), frame.take(row)), true=true) for row in rows])


def _together(parts: Sequence[Tensor], pictures: Sequence[Picture]) -> Picture:
    """Pictures of different images of one batch, each on its own path whatever shares the batch with it."""
    images = tuple(picture.image for picture in pictures)
    order = torch.cat(tuple(parts)).argsort()

    def partials(rows: Tensor | None, both: bool) -> Partials:
        local, place = [torch.arange(len(part), device=part.device) for part in parts], order
        if rows is not None:
            asked = torch.zeros_like(order).index_fill_(0, rows, 1)
            local = [torch.nonzero(asked[part])[:, 0] for part in parts]
            place = torch.cat([part[own] for part, own in zip(parts, local, strict=True)]).argsort()
        found = [
            picture.partials(None if rows is None else own, both) for picture, own in zip(pictures, local, strict=True)
        ]
        count = max(own.slopes.shape[1] for own in found)
        true = [torch.full_like(own.slopes, torch.nan) if own.true is None else own.true for own in found]
        return Partials(
            _padded([own.slopes for own in found], count)[place],
            _mixed(found, local, place, count, images[0].dtype),
            None if all(own.true is None for own in found) else _padded(true, count)[place],
        )

    return Picture(torch.cat(images)[order], partials)


def _padded(slopes: Sequence[Tensor], count: int) -> Tensor:
    """Slopes (b, K, P) one after the other, with the same number K of planes."""
    padded = slopes[0].new_zeros(sum(map(len, slopes)), count, slopes[0].shape[2])
    for own, rows in zip(slopes, padded.split([len(own) for own in slopes]), strict=True):
        rows[:, : own.shape[1]] = own
    return padded


def _mixed(
    found: Sequence[Partials], local: Sequence[Tensor], place: Tensor, count: int, dtype: torch.dtype
) -> Iterator[Planes]:
    """Planes of images of several kinds; where there are fewer of them, the others are 0.

    Args:
        local: the images of each kind.
        place: where each image of the batch is among those of all kinds, one kind behind the other.
        count: of planes.
        dtype: of all of them.
    """
    if not host.is_cpu(place):
        every = [next(own.planes) for own in found]
        first = next(plane for planes in every for plane in planes)
        filled = [
            [*planes, *[first.new_zeros(1).expand(len(rows), *first.shape[1:])] * (count - len(planes))]
            for planes, rows in zip(every, local, strict=True)
        ]
        yield [torch.cat([plane.to(dtype) for plane in planes])[place] for planes in zip(*filled, strict=True)]
        return
    kind = torch.cat([torch.full_like(own, i) for i, own in enumerate(local)])[place]
    single = [_one_by_one(own.planes, rows) for own, rows in zip(found, local, strict=True)]
    for some in steps(kind):
        pieces = [next(single[which]) for which in kind[some].tolist()]
        nothing = torch.zeros_like(pieces[0][0]) if pieces and pieces[0] else None
        full = [[*piece, *[nothing] * (count - len(piece))] for piece in pieces]
        yield [torch.cat([p.to(dtype) for p in planes if p is not None]) for planes in zip(*full, strict=True)]


def _one_by_one(pieces: Iterator[Planes], batch: Tensor) -> Iterator[Planes]:
    for planes, some in zip(pieces, steps(batch), strict=True):
        yield from ([plane[row : row + 1] for plane in planes] for row in range(len(batch[some])))


def _stacked(picture: Picture) -> Tensor:
    partials = picture.partials(None, False)
    return torch.cat([picture.image[None], *([partials.images()] if partials.slopes.shape[2] else [])])


def _boxed(drawing: Drawing, frame: Frame) -> Tensor:
    """Convolved inside the box, and not beyond it."""
    across, along = frame.in_box(drawing.values["xc"], drawing.values["yc"])
    planes = _convolved(drawing, frame)
    if bool(across.all() and along.all()):
        return planes
    return torch.where(along[:, :, None] & across[:, None, :], planes, _unconvolved(drawing, frame))


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
    at = Placed.of(drawing, frame)
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

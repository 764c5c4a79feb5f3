"""Images of one component and its partial derivatives, for a batch of galaxies.

What GALFIT 3.0.5 does, probed: inside the convolution box the object is drawn centred on the pixel floor(xc), floor(yc)
and the PSF is moved by the fraction; outside, the unconvolved model at the true centre.  The box has a hard edge.  With
an oversampled PSF the same happens on the fine grid, which is then summed into pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from galfeed import convolve, psf, shape
from galfeed.pixels import Source, integrate
from galfeed.profiles import Profile
from galfeed.psf import Psf

Derivatives = Literal["true", "galfit"]
"""How to differentiate: the final image, or as GALFIT does (probed).

GALFIT takes the derivatives by x and y from the unconvolved image centred on a pixel and then convolves them, those of
point sources from a central difference, and holds a few derived numbers constant.  Its fits end where these vanish, and
its error bars are made of them.
"""

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

    @property
    def fine(self) -> int:
        return self.psf.fine if self.psf else 1

    def take(self, index: Tensor) -> Frame:
        """The same for some of the images, index (b,)."""
        chosen = {n: getattr(self, n)[index] for n in ("x0", "y0", "zeropoint", "exptime", "pixel_area")}
        return replace(
            self,
            **chosen,
            psf=self.psf.take(index) if self.psf else None,
            kernel=None if self.kernel is None else self.kernel[index],
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
    """Sky (1 + wanted, B, H, W): a plane around the centre of the region."""
    height, width = frame.shape
    zero = frame.x0
    dx = torch.arange(width, dtype=zero.dtype, device=zero.device) - (width - 1) / 2
    dy = torch.arange(height, dtype=zero.dtype, device=zero.device) - (height - 1) / 2
    leaves = {name: value[:, None, None] for name, value in values.items()}
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


def flux(values: Mapping[str, Tensor], frame: Frame) -> Tensor:
    """(B,) counts of a magnitude ``mag``: exptime 10^(-0.4 (mag - zeropoint))."""
    return frame.exptime * (-0.4 * math.log(10) * (values["mag"] - frame.zeropoint)).exp()


def point(values: Mapping[str, Tensor], wanted: tuple[str, ...], frame: Frame, derivatives: Derivatives) -> Tensor:
    """Point source (1 + wanted, B, H, W): the moved PSF times the flux, not renormalised after the shift."""
    assert frame.psf is not None
    stars, fine = frame.psf, frame.fine
    height, width = frame.shape
    xc, yc = values["xc"], values["yc"]

    def move(x: Tensor, y: Tensor) -> tuple[psf.Moved, Tensor, Tensor]:
        (ix, sx), (iy, sy) = psf.position(x, fine), psf.position(y, fine)
        moved = psf.move(stars, sx, sy)
        first_x = ix - moved.x0 - fine * (frame.x0.long() - 1)
        first_y = iy - moved.y0 - fine * (frame.y0.long() - 1)
        return moved, first_x, first_y

    def put(image: Tensor, first_x: Tensor, first_y: Tensor) -> Tensor:
        return psf.bin_down(psf.place(image, first_x, first_y, height * fine, width * fine), fine)

    def at(x: Tensor, y: Tensor) -> Tensor:
        moved, first_x, first_y = move(x, y)
        return put(moved.image, first_x, first_y)

    moved, first_x, first_y = move(xc, yc)
    light = flux(values, frame)[:, None, None]
    image = light * put(moved.image, first_x, first_y)
    planes = [image]
    for name in wanted:
        if name == "mag":
            planes.append(-0.4 * math.log(10) * image)
        elif derivatives == "true":
            planes.append(light * fine * put(moved.d_dx if name == "xc" else moved.d_dy, first_x, first_y))
        elif name == "xc":
            step = at(xc + POINT_STEP, yc.round()) - at(xc - POINT_STEP, yc.round())
            planes.append(light * step / (2 * POINT_STEP))
        else:
            step = at(xc.round(), yc + POINT_STEP) - at(xc.round(), yc - POINT_STEP)
            planes.append(light * step / (2 * POINT_STEP))
    stacked = torch.stack(planes)
    return stacked if frame.kernel is None else _diffused(stacked, xc, yc, frame)


def _diffused(planes: Tensor, xc: Tensor, yc: Tensor, frame: Frame) -> Tensor:
    assert frame.kernel is not None
    across, along = frame.in_box(xc, yc)
    return convolve.diffuse(planes, frame.kernel, along[:, :, None] & across[:, None, :])


def radial(
    profile: Profile,
    variant: int,
    values: Mapping[str, Tensor],
    wanted: tuple[str, ...],
    frame: Frame,
    derivatives: Derivatives,
) -> Tensor:
    """A component whose light depends on the elliptical radius alone, (1 + wanted, B, H, W).

    Args:
        values: (B,) each, by the names of the profile's table, and "c0" where given.
        wanted: names to differentiate with respect to.
    """
    xc, yc = values["xc"], values["yc"]
    if frame.psf is None or min(frame.box) <= 0:
        return _unconvolved(profile, variant, values, wanted, frame, derivatives)
    across, along = frame.in_box(xc, yc)
    planes = _convolved(profile, variant, values, wanted, frame, derivatives)
    if not bool(across.all() and along.all()):
        outside = _unconvolved(profile, variant, values, wanted, frame, derivatives)
        planes = torch.where(along[:, :, None] & across[:, None, :], planes, outside)
    return planes if frame.kernel is None else _diffused(planes, xc, yc, frame)


def _unconvolved(
    profile: Profile,
    variant: int,
    values: Mapping[str, Tensor],
    wanted: tuple[str, ...],
    frame: Frame,
    derivatives: Derivatives,
) -> Tensor:
    height, width = frame.shape
    pixel = torch.arange(max(height, width), dtype=frame.x0.dtype, device=frame.x0.device)
    source = _source(profile, dict(values), wanted, 1, derivatives)
    planes = integrate(source, frame.x0[:, None] + pixel[:width], frame.y0[:, None] + pixel[:height])
    return _scaled(planes, source.wanted, profile, variant, values, wanted, frame, 1, derivatives)


def _convolved(
    profile: Profile,
    variant: int,
    values: Mapping[str, Tensor],
    wanted: tuple[str, ...],
    frame: Frame,
    derivatives: Derivatives,
) -> Tensor:
    """The image inside the box; what it holds outside is not meant to be used."""
    assert frame.psf is not None
    fine = frame.fine
    (ix, sx), (iy, sy) = psf.position(values["xc"], fine), psf.position(values["yc"], fine)
    moved = psf.move(frame.psf, sx, sy)
    reach_y, reach_x = reach = convolve.margin(moved.image.shape)
    window = (min(frame.box[1], frame.shape[0]), min(frame.box[0], frame.shape[1]))
    start_x = _window_start(values["xc"], frame.x0, frame.box[0], frame.shape[1])
    start_y = _window_start(values["yc"], frame.y0, frame.box[1], frame.shape[0])

    def offsets(start: Tensor, first: Tensor, length: int, reach: int, pixel: Tensor) -> Tensor:
        begin = (first.long() - 1 + start) * fine - reach - pixel
        steps = torch.arange(length * fine + 2 * reach, device=begin.device)
        return (begin[:, None] + steps).to(first.dtype)

    centred = {**values, "xc": torch.zeros_like(sx), "yc": torch.zeros_like(sy)}
    shift = derivatives == "true"  # x and y then come from the derivative of the moved PSF
    drawn = tuple(w for w in wanted if not (shift and w in ("xc", "yc")))
    source = _source(profile, centred, drawn, fine, derivatives)
    planes = integrate(
        source,
        offsets(start_x, frame.x0, window[1], reach_x, ix),
        offsets(start_y, frame.y0, window[0], reach_y, iy),
    )
    planes = _scaled(planes, source.wanted, profile, variant, values, drawn, frame, fine, derivatives)
    size = (convolve.fast_length(planes.shape[-2]), convolve.fast_length(planes.shape[-1]))
    window_fine = (window[0] * fine, window[1] * fine)
    need_shift = shift and ("xc" in wanted or "yc" in wanted)
    kernels = convolve.kernel_transforms(moved, size, need_shift)
    # the magnitude's partial is the image itself, up to a factor: it is not convolved twice
    own = [0, *(i + 1 for i, w in enumerate(drawn) if w not in ("mag", "mu"))]
    transforms = torch.fft.rfft2(planes[own], s=size)
    parts = convolve.convolve(transforms, kernels[0], size, reach, window_fine)
    by_name = {w: parts[i] for i, w in enumerate([w for w in drawn if w not in ("mag", "mu")], start=1)}
    for name in ("mag", "mu"):
        by_name[name] = -0.4 * math.log(10) * parts[0]
    if need_shift:
        by_name["xc"], by_name["yc"] = fine * convolve.convolve(transforms[:1], kernels[1:], size, reach, window_fine)
    out = psf.bin_down(torch.stack([parts[0], *(by_name[w] for w in wanted)]), fine)
    if window == frame.shape:
        return out
    region = out.new_zeros(len(out), len(ix), *frame.shape)
    image = torch.arange(len(ix), device=out.device)[:, None, None]
    rows = start_y[:, None, None] + torch.arange(window[0], device=out.device)[:, None]
    columns = start_x[:, None, None] + torch.arange(window[1], device=out.device)
    region[:, image, rows, columns] = out
    return region


def _window_start(centre: Tensor, first: Tensor, box: int, length: int) -> Tensor:
    """First column (B,) of a window of min(box, length) columns that holds what the box and the region share."""
    start = (centre - box / 2 + 0.5).floor() - first
    return start.clamp(0, max(length - box, 0)).long()


def _source(
    profile: Profile, values: dict[str, Tensor], wanted: tuple[str, ...], fine: int, derivatives: Derivatives
) -> Source:
    """The light of a radial profile on a grid of ``fine`` pixels a data pixel."""
    lengths = {s.name for s in profile.params if s.unit == "pix" and s.name not in ("xc", "yc")}
    own = {n: v * fine if n in lengths else v for n, v in values.items() if n not in ("mag", "mu")}
    shape_names = tuple(n for n in own if n not in ("xc", "yc", "q", "pa", "c0"))

    def derived(p: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**shape.derived(p["pa"]), **_profile_numbers(profile, p, derivatives)}

    def radius(x: Tensor, y: Tensor, **p: Tensor) -> Tensor:
        return shape.radius(x - p["xc"], y - p["yc"], p["q"], p["sin_pa"], p["cos_pa"], p.get("c0"))

    made = _profile_numbers(profile, own, derivatives)
    names = (*shape_names, *made)

    def intensity(r: Tensor, **p: Tensor) -> Tensor:
        assert profile.intensity is not None
        return profile.intensity(r, **{n: p[n] for n in names})

    rule = profile.sampling
    core_size = {**own, **made}[rule.core_size] * own["q"] if rule.core_size else None
    return Source(
        own,
        derived,
        radius,
        intensity,
        tuple(w for w in wanted if w in own),
        rule,
        core_size,
        profile.cusp,
        fine,
        derivatives == "galfit",
    )


def _shape_numbers(profile: Profile, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {s.name: values[s.name] for s in profile.params if s.key not in ("1", "2", "3", "9", "10")}


def _profile_numbers(profile: Profile, values: Mapping[str, Tensor], derivatives: Derivatives) -> dict[str, Tensor]:
    """The profile's derived numbers; their dependence on what the profile holds is cut where GALFIT cuts it."""
    if profile.derived is None:
        return {}
    numbers = _shape_numbers(profile, values)
    held = profile.held if derivatives == "galfit" else ()
    return profile.derived(**{n: v.detach() if n in held else v for n, v in numbers.items()})


def amplitude(
    profile: Profile,
    variant: int,
    values: Mapping[str, Tensor],
    frame: Frame,
    fine: int = 1,
    derivatives: Derivatives = "true",
) -> Tensor:
    """(B,) factor of the intensity: from the magnitude, or from the surface brightness at the variant's anchor."""
    lengths = {s.name for s in profile.params if s.unit == "pix"}
    own = {n: v * fine if n in lengths else v for n, v in values.items()}
    numbers = _shape_numbers(profile, own) | _profile_numbers(profile, own, derivatives)
    if "mag" in values:
        assert profile.total is not None
        return flux(values, frame) * shape.area(values.get("c0")) / (values["q"] * profile.total(**numbers))
    assert profile.intensity is not None
    anchor = profile.anchors[variant]
    level = (-0.4 * math.log(10) * (values["mu"] - frame.zeropoint)).exp() * frame.exptime * frame.pixel_area
    at = numbers[anchor] if anchor else torch.zeros_like(level)  # a fine pixel has 1/fine^2 of the area
    return level / (fine**2 * profile.intensity(at, **numbers))


def _scaled(
    planes: Tensor,
    drawn: tuple[str, ...],
    profile: Profile,
    variant: int,
    values: Mapping[str, Tensor],
    wanted: tuple[str, ...],
    frame: Frame,
    fine: int,
    derivatives: Derivatives,
) -> Tensor:
    """Multiply unit-amplitude planes (1 + drawn) by the amplitude: image and partials (1 + wanted) in ADU."""
    own = {name: value.detach().clone().requires_grad_() for name, value in values.items()}
    with torch.enable_grad():
        factor = amplitude(profile, variant, own, frame, fine, derivatives)
    leaves = [own[w] for w in wanted]
    slopes = torch.autograd.grad(factor.sum(), leaves, allow_unused=True) if wanted else ()
    factor = factor.detach()[:, None, None]
    lengths = {s.name for s in profile.params if s.unit == "pix"}
    out = [factor * planes[0]]
    for name, slope in zip(wanted, slopes, strict=True):
        plane = torch.zeros_like(out[0])
        if name in drawn:
            stretch = fine if name in lengths else 1
            plane = plane + stretch * factor * planes[1 + drawn.index(name)]
        if slope is not None:
            plane = plane + slope[:, None, None] * planes[0]
        out.append(plane)
    return torch.stack(out)

"""What the pixels of the fitting region show of the mask, the sky and the magnitudes that the menu starts from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from galfeed.check.noise import spread
from galfeed.errors import Remark
from galfeed.images.exposure import Exposure
from galfeed.images.inputs import Field, Inputs, Region, is_none
from galfeed.images.masks import read_mask
from galfeed.images.sigma import NO_WEIGHT
from galfeed.job import Component, Job, ParamRef
from galfeed.profiles import PROFILES

INVERTED = 0.5
"""Share of the region that an ordinary mask leaves."""

BORDER = 20
"""The border is a ring of one such part of the region's shorter side, at least ``THINNEST`` pixels."""

THINNEST = 2

FEWEST = 20
"""Good pixels of the border needed to know its level."""

FAR = 10.0
"""Noise of a pixel between a free sky and the border: farther, and the first steps of the fit are lost."""

ABOVE = 1.0
"""Noise of a pixel that a fixed sky may lie above the border; light of objects can only raise the border."""

BELOW = 3.0
"""Noise of a pixel that a fixed sky may lie below the border, where wings of objects may be what raises it."""

MAGNITUDES = 3.0
"""Between the light seen and that of the start; steep profiles and wings beyond the region account for one or two."""

RATE = 1.5
"""Magnitudes within which the exposure time explains that a start is too bright."""

SURE = 5.0
"""Errors of the light seen above which there is light."""


@dataclass(frozen=True)
class Border:
    """The ring along the border of the fitting region.

    Args:
        level: median of its good pixels, ADU.
        noise: robust standard deviation of a pixel of it, structure included, ADU.
        sigma: median of the sigma image there, ADU.
        pixels: their number.
    """

    level: float
    noise: float
    sigma: float
    pixels: int


def look(job: Job, exposure: Exposure, folder: Path) -> Iterator[Remark]:
    """What to say of the mask, the sky and the magnitudes of a fit.

    Args:
        job: the menu.
        exposure: its images.
        folder: where its file names start.
    """
    if exposure.data is None:
        return
    yield from _mask(job, exposure, folder)
    border = _border(exposure)
    if border is not None and border.noise > 0:
        yield from _sky(job, border)
        yield from _light(job, exposure, border)


def too_few_pixels(job: Job, exposure: Exposure, free: tuple[ParamRef, ...]) -> Remark | None:
    """The error that more numbers are free than pixels can tell.

    Args:
        job: the menu.
        exposure: its images.
        free: the free parameters that no constraint ties to another.
    """
    good = int(exposure.good.sum())
    if exposure.data is None or good >= len(free):
        return None
    what = f"{len(free)} free parameters and only {good} good pixels in the fitting region"
    return Remark(job.path, job.control.place("H"), f"{what}; fix some, or fit a larger region")


# Mask


def _mask(job: Job, exposure: Exposure, folder: Path) -> Iterator[Remark]:
    name, place = job.control.mask, job.control.place("F")
    if is_none(name) or "A-4" in exposure.flags:
        return
    good = exposure.good
    masked = good.size - int(good.sum())
    if masked == 0:
        region = Region(*exposure.region)
        marked = read_mask(Inputs(job, folder), Field(region, exposure.image_shape, True)).marked
        if marked.any():  # a mask of zeros is what a pipeline makes where there is nothing to mask
            what = f"all {int(marked.sum())} pixels of the mask '{name}' that are not 0 are below 1 and mask nothing"
            yield Remark(job.path, place, f"{what}; expected 1 for bad pixels")
        return
    inside = [c for c in job.components if _centre(c, exposure) is not None]
    hidden = [c for c in inside if _hidden(c, exposure)]
    if masked > INVERTED * good.size and hidden and 2 * len(hidden) >= len(inside):
        what = f"the mask '{name}' leaves {good.size - masked} of {good.size} pixels and hides the centre of component"
        numbers = ", ".join(str(c.number) for c in hidden)
        cure = "it looks inverted or like a segmentation map, expected 1 for bad pixels and 0 for those to fit"
        yield Remark(job.path, place, f"{what} {numbers}; {cure}")
        return
    for component in hidden:
        x, y = (component.parameter(key).value for key in "12")
        what = f"the centre ({x:g}, {y:g}) of component {component.number}, {component.kind}, is masked by '{name}'"
        cure = "its core counts for nothing; expected a mask that spares the objects to fit"
        yield Remark(job.path, component.place("1"), f"{what}; {cure}")


def _centre(component: Component, exposure: Exposure) -> tuple[int, int] | None:
    """(row, column) of the pixel that a light starts on; None outside the region."""
    if component.is_truncation or component.kind == "sky":
        return None
    x, y = (component.parameter(key).value for key in "12")
    x1, x2, y1, y2 = exposure.region
    if not (x1 - 0.5 <= x < x2 + 0.5 and y1 - 0.5 <= y < y2 + 0.5):
        return None
    return math.floor(y + 0.5) - y1, math.floor(x + 0.5) - x1


def _hidden(component: Component, exposure: Exposure) -> bool:
    """Whether most of the 3 x 3 pixels around its centre are masked; a single bad pixel hides nothing."""
    row, column = _centre(component, exposure) or (0, 0)
    around = exposure.good[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    return 2 * int(around.sum()) < around.size


# Sky and light


def _border(exposure: Exposure) -> Border | None:
    assert exposure.data is not None
    shape = exposure.data.shape
    width = max(min(shape) // BORDER, THINNEST)
    ring = np.ones(shape, bool)
    ring[width:-width, width:-width] = False
    ring &= exposure.good
    values = exposure.data[ring]
    if values.size < FEWEST:
        return None
    sigma = float(np.median(exposure.sigma[ring]))
    return Border(float(np.median(values)), spread(values), sigma, int(values.size))


def _sky(job: Job, border: Border) -> Iterator[Remark]:
    skies = [c for c in job.components if c.kind == "sky"]
    seen = f"the border of the fitting region, at {border.level:.4g} ADU with a noise of {border.noise:.2g} ADU a pixel"
    if not skies:
        if not -ABOVE * border.noise <= border.level <= BELOW * border.noise:
            what = f"no sky component, but {seen}, is not at 0; add a sky, or subtract it from the image"
            yield Remark(job.path, job.components[0].place(), what)
        return
    level = sum(c.parameter("1").value for c in skies)
    off, noise = level - border.level, border.noise
    free = any(c.parameter("1").free for c in skies)
    if free and abs(off) > FAR * noise:
        what = f"the sky starts at {level:.4g} ADU, {abs(off) / noise:.3g} times the noise {_side(off)} {seen}"
        yield Remark(job.path, skies[0].place("1"), f"{what}; start from there")
    elif not free and not -BELOW * noise <= off <= ABOVE * noise:
        sigmas = f" ({abs(off) / border.sigma:.2g} sigma)" if border.sigma < NO_WEIGHT else ""
        far = f"{abs(off) / noise:.2g} times the noise{sigmas} {_side(off)} {seen}"
        what = f"the sky is fixed at {level:.4g} ADU, {far}; free it, or fix it at the level of the sky"
        yield Remark(job.path, skies[0].place("1"), what)


def _side(off: float) -> str:
    return "above" if off > 0 else "below"


def _light(job: Job, exposure: Exposure, border: Border) -> Iterator[Remark]:
    assert exposure.data is not None
    lights = [c for c in job.components if not c.is_truncation and c.kind != "sky"]
    inside = [c for c in lights if _centre(c, exposure) is not None and not _hidden(c, exposure)]
    if not inside or not all(_has_magnitude(c) for c in lights):
        return
    zeropoint, exptime = job.control.zeropoint, exposure.exptime
    brightest = min(inside, key=lambda c: c.parameter("3").value)
    with np.errstate(all="ignore"):
        start = float(exptime * np.sum(10 ** (-0.4 * (np.array([c.parameter("3").value for c in inside]) - zeropoint))))
        good = exposure.data[exposure.good]
        seen = float((good - border.level).sum())
        # the scatter of the sum, and the doubt about the median that is subtracted from each pixel
        error = border.noise * math.hypot(math.sqrt(good.size), 1.25 * good.size / math.sqrt(border.pixels))
    if not (math.isfinite(start) and math.isfinite(seen)) or start <= 0:
        return
    factor = 10 ** (0.4 * MAGNITUDES)
    if seen > max(SURE * error, factor * start):
        what = f"{_magnitude(seen, exptime, zeropoint):.2f} mag of light ({seen:.3g} ADU)"
        off = 2.5 * math.log10(seen / start)
        side = "fainter"
    elif start > factor * (max(seen, 0.0) + SURE * error):
        most = seen if seen > SURE * error else max(seen, 0.0) + SURE * error
        limit = "" if most == seen else "no more than "
        what = f"{limit}{_magnitude(most, exptime, zeropoint):.2f} mag of light ({most:.3g} ADU)"
        off = 2.5 * math.log10(start / most)
        side = "brighter"
    else:
        return
    total = _magnitude(start, exptime, zeropoint)
    rate = side == "brighter" and abs(off - 2.5 * math.log10(exptime)) < RATE
    seconds = f"EXPTIME ({exptime:g} s{', not in the header' if {'H-1', 'H-2'} & {*exposure.flags} else ''})"
    yield Remark(
        job.path,
        brightest.place("3"),
        f"the components start at {total:.2f} mag together, {off:.1f} mag {side} than the region, which shows {what} "
        f"above its border; check the magnitudes, J) {zeropoint:g} and {seconds}"
        + (": is the image in counts per second already?" if rate else ""),
    )


def _has_magnitude(component: Component) -> bool:
    profile = PROFILES[component.kind]
    spec = profile.spec("3", profile.meaning(component))
    return spec is not None and spec.name == "mag"


def _magnitude(light: float, exptime: float, zeropoint: float) -> float:
    """Of light in ADU."""
    return zeropoint - 2.5 * math.log10(light / exptime)

"""Jobs, exposures and scenes for the tests, made in memory."""

import math
from dataclasses import replace

import numpy as np
import torch

from galfeed.images import Exposure
from galfeed.job import BendingMode, Component, Control, FourierMode, Job, Parameter, Rotation
from galfeed.model import scene, shape
from galfeed.model import truncation as truncations
from galfeed.profiles import PROFILES

TYPICAL = {  # a value of each parameter that no sampling limit or half pixel is near to
    "xc": 17.3125, "yc": 15.78125, "mag": 18.0, "mu": 20.0, "re": 4.3, "rs": 3.1, "fwhm": 5.2, "n": 2.3, "q": 0.63,
    "pa": 27.0, "c0": 0.35, "sky": 12.0, "dsdx": 0.02, "dsdy": -0.03,
    "rb": 4.1, "gamma": 0.4, "rc": 2.2, "rt": 11.3, "rout": 12.1, "hs": 1.9,
    "alpha": 4.2,
}  # fmt: skip


HIDDEN = {
    "b1": 0.4, "b2": -0.7, "b3": 0.3, "f1_amp": 0.12, "f1_phase": 35.0, "f3_amp": -0.08, "f3_phase": 10.0,
    "f4_amp": 0.05, "f4_phase": -20.0, "wind_in": 2.5, "wind_out": 14.0, "wind_angle": 110.0, "wind_alpha": 0.6,
    "wind_scale": 3.2, "incl": 40.0, "spa": -25.0, "rbrk": 8.3, "dsft": 3.1, "rsft": 5.4,
}  # fmt: skip


def typical(spec):
    """A value of a parameter, also of one that the tables above do not know."""
    return (TYPICAL | HIDDEN).get(spec.name, 3.7 if spec.unit == "pix" else 1.7)


def component(number, name, free=True, c0=False, skip=0, inner=(), outer=(), hidden=None, **values):
    """A component of typical values, some given by name; ``free`` is True, False or the names of the free ones.

    ``hidden`` holds "bending", "fourier" (orders) and "rotation" ("power" or "log").
    """
    kind = name.rstrip("123")
    slots = [Parameter(0.0)] * 10
    slots[8] = Parameter(1.0)
    variant = int(name[len(kind) :] or 0) or (3 if inner else 1 if outer else 0)
    for spec in PROFILES[kind].specs(variant):
        slots[int(spec.key) - 1] = Parameter(float(values.get(spec.name, typical(spec))), _toggle(spec, free))
    own = Component(number, name, tuple(slots), skip=skip, inner=tuple(inner), outer=tuple(outer))
    return _with_hidden(own, free, values, c0=c0, **(hidden or {}))


def truncation(number, name, free=True, centre=False, ellipse=False, hidden=None, **values):
    """A truncation block of typical values."""
    slots = [None] * 10
    for spec in truncations.specs(name):
        if (centre or spec.key not in "12") and (ellipse or spec.key not in ("9", "10")):
            slots[int(spec.key) - 1] = Parameter(float(values.get(spec.name, typical(spec))), _toggle(spec, free))
    return _with_hidden(Component(number, name, tuple(slots)), free, values, **(hidden or {}))


def _with_hidden(own, free, values, c0=False, bending=(), fourier=(), rotation=""):
    def number(spec):
        return Parameter(float(values.get(spec.name, typical(spec))), _toggle(spec, free))

    rotated = None
    if rotation:
        slots = [Parameter(0.0)] * 10
        for spec in shape.rotation(rotation):
            slots[int(spec.key[1:]) - 1] = number(spec)
        rotated = Rotation(rotation, tuple(slots))
    return replace(
        own,
        c0=number(shape.C0) if c0 else None,
        bending=tuple(BendingMode(n, number(shape.bending(n))) for n in bending),
        fourier=tuple(FourierMode(n, *map(number, shape.fourier(n))) for n in fourier),
        rotation=rotated,
    )


def _toggle(spec, free):
    return int(free if isinstance(free, bool) else spec.name in free)


def job(*components, width=34, height=31, box=(100, 100), fine=1, zeropoint=25.0):
    return Job(
        Control(
            data="data.fits",
            output="out.fits",
            region=(1, width, 1, height),
            conv_box=box,
            psf_fine=fine,
            zeropoint=zeropoint,
            plate_scale=(0.5, 0.5),
        ),
        components,
        path="galfit.feedme",
    )


def star(fwhm=2.6, height=15, width=15):
    """A slightly elliptical, off-centre PSF image, float32, not normalised."""
    y, x = np.mgrid[:height, :width].astype(float)
    dx, dy = x - width // 2 - 0.2, y - height // 2 + 0.1
    sigma = fwhm / (2 * math.sqrt(2 * math.log(2)))
    return (7 * np.exp(-(dx**2 + (dy / 0.9) ** 2 + 0.1 * dx * dy) / (2 * sigma**2))).astype(np.float32)


def exposure(own, psf=None, kernel=None, data=None, sigma=1.0, good=None, exptime=1.0):
    """The images of a job in memory."""
    x1, x2, y1, y2 = own.control.region
    shape = (y2 - y1 + 1, x2 - x1 + 1)
    return Exposure(
        data=data,
        good=np.ones(shape, bool) if good is None else good,
        sigma=np.broadcast_to(np.asarray(sigma, float), shape).copy(),
        psf=psf,
        kernel=kernel,
        region=own.control.region,
        image_shape=(y2, x2),
        exptime=exptime,
        gain=1.0,
        ncombine=1.0,
    )


def image(own, **images):
    """(H, W) model image of a job at the numbers of its menu."""
    made = scene.build([own], [exposure(own, **images)])
    return made.render(made.start)[0][0].numpy()


def partial_images(made, columns):
    """(B, columns, H, W) of a scene at its start."""
    return made.render(made.start, columns).partials(None, False).images().transpose(0, 1)


def noisy(own, noise=1.0, seed=1, **images):
    """An exposure of a job: its model image plus Gaussian noise of that sigma."""
    truth = image(own, **images)
    data = truth + np.random.default_rng(seed).normal(0, noise, truth.shape)
    return exposure(own, data=data, sigma=noise, **images)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)

"""Jobs, exposures and scenes for the tests, made in memory."""

import math

import numpy as np
import torch

from galfeed.images import Exposure
from galfeed.job import Component, Control, Job, Parameter
from galfeed.model import scene
from galfeed.profiles import PROFILES

TYPICAL = {  # a value of each parameter that no sampling limit or half pixel is near to
    "xc": 17.3125, "yc": 15.78125, "mag": 18.0, "mu": 20.0, "re": 4.3, "rs": 3.1, "fwhm": 5.2, "n": 2.3, "q": 0.63,
    "pa": 27.0, "c0": 0.35, "sky": 12.0, "dsdx": 0.02, "dsdy": -0.03,
}  # fmt: skip


def typical(spec):
    """A value of a parameter, also of one that the table above does not know."""
    return TYPICAL.get(spec.name, 3.7 if spec.unit == "pix" else 1.7)


def component(number, name, free=True, c0=False, skip=0, **values):
    """A component of typical values, some given by name; ``free`` is True, False or the names of the free ones."""
    kind = name.rstrip("123")
    slots = [Parameter(0.0)] * 10
    slots[8] = Parameter(1.0)
    for spec in PROFILES[kind].specs(int(name[len(kind) :] or 0)):
        toggle = int(free if isinstance(free, bool) else spec.name in free)
        slots[int(spec.key) - 1] = Parameter(float(values.get(spec.name, typical(spec))), toggle)
    boxy = Parameter(values.get("c0", TYPICAL["c0"]), int(free is True)) if c0 else None
    return Component(number, name, tuple(slots), c0=boxy, skip=skip)


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


def noisy(own, noise=1.0, seed=1, **images):
    """An exposure of a job: its model image plus Gaussian noise of that sigma."""
    truth = image(own, **images)
    data = truth + np.random.default_rng(seed).normal(0, noise, truth.shape)
    return exposure(own, data=data, sigma=noise, **images)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)

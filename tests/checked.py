"""Jobs on disk for the tests of ``galfeed check``: a galaxy that nothing is wrong with, and changes to it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from astropy.io import fits

from galfeed.check import Finding, check
from galfeed.options import parse

MENU = "galfit.feedme"
WIDTH, HEIGHT = 64, 60
SKY, GAIN, EXPTIME, ZEROPOINT = 50.0, 2.0, 100.0, 25.0
X, Y, MAGNITUDE = 32.4, 29.7, 18.5
CONTROL = {
    "A": "image.fits",
    "B": "out.fits",
    "C": "none",
    "D": "psf.fits",
    "E": "1",
    "F": "none",
    "G": "none",
    "H": f"1 {WIDTH} 1 {HEIGHT}",
    "I": "40 40",
    "J": f"{ZEROPOINT}",
    "K": "0.5 0.5",
    "O": "regular",
    "P": "0",
}
GALAXY = {"0": "sersic", "1": f"{X} {Y} 1 1", "3": "18.3 1", "4": "4.2 1", "5": "1.4 1", "9": "0.7 1", "10": "30 1"}
BACKGROUND = {"0": "sky", "1": "50.5 1", "2": "0 0", "3": "0 0"}


def star(size: int = 25, fwhm: float = 3.0, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    """A PSF of sum 1, centred as GALFIT wants it but for dx, dy [pixel]."""
    y, x = np.mgrid[:size, :size] - size // 2
    light = np.exp(-4 * math.log(2) * ((x - dx) ** 2 + (y - dy) ** 2) / fwhm**2)
    return light / light.sum()


def galaxy(flux: float = EXPTIME * 10 ** (-0.4 * (MAGNITUDE - ZEROPOINT)), fwhm: float = 9.0) -> np.ndarray:
    """Light of a round galaxy, ADU."""
    y, x = np.mgrid[1 : HEIGHT + 1, 1 : WIDTH + 1]
    light = np.exp(-4 * math.log(2) * ((x - X) ** 2 + (y - Y) ** 2) / fwhm**2)
    return flux * light / light.sum()


def photons(light: np.ndarray, gain: float = GAIN) -> np.ndarray:
    """Standard deviation of pixels, ADU."""
    return np.sqrt(light / gain)


def observed(light: np.ndarray | float, sigma: np.ndarray, seed: int = 1) -> np.ndarray:
    return light + np.random.default_rng(seed).normal(0, 1, sigma.shape) * sigma


def text(*components: dict[str, str], **control: str) -> str:
    """A menu."""
    blocks = ["\n".join(f"{key}) {value}" for key, value in block.items()) for block in components]
    return "\n\n".join(["\n".join(f"{key}) {value}" for key, value in (CONTROL | control).items()), *blocks]) + "\n"


def write(
    folder: Path,
    *components: dict[str, str],
    light: np.ndarray | None = None,
    data: np.ndarray | None = None,
    psf: np.ndarray | None = None,
    sigma: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    constraints: str = "",
    header: dict[str, float | None] | None = None,
    **control: str,
) -> None:
    """A job: the galaxy and its sky, unless other components, images or lines are given; a value None drops a word."""
    light = SKY + galaxy() if light is None else light
    images = {
        "image": observed(light, photons(light)) if data is None else data,
        "psf": star() if psf is None else psf,
        "sigma": sigma,
        "mask": mask,
    }
    words = {"EXPTIME": EXPTIME, "GAIN": GAIN, "NCOMBINE": 1.0} | (header or {})
    for name, image in images.items():
        if image is not None:
            own = fits.Header({key: value for key, value in words.items() if value is not None})
            fits.PrimaryHDU(np.asarray(image, np.float32), own).writeto(folder / f"{name}.fits")
    if sigma is not None:
        control = {"C": "sigma.fits"} | control
    if mask is not None:
        control = {"F": "mask.fits"} | control
    if constraints:
        control = {"G": "limits.txt"} | control
        (folder / "limits.txt").write_text(constraints)
    (folder / MENU).write_text(text(*(components or (GALAXY, BACKGROUND)), **control))


def findings(folder: Path, *options: str) -> tuple[Finding, ...]:
    return check(folder / MENU, MENU, folder, parse([*options, MENU]))


def lines(folder: Path, *options: str) -> list[str]:
    return [str(finding) for finding in findings(folder, *options)]


def value_place(folder: Path, line: str) -> str:
    """``file:line:column`` of the first value of the menu's line that begins so."""
    rows = (folder / MENU).read_text().splitlines()
    number = next(i for i, row in enumerate(rows) if row.startswith(line))
    return f"{MENU}:{number + 1}:{len(line) + 2}"

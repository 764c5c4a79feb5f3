"""Draw galaxies of known parameters as GALFIT jobs: one folder each with image, sigma image, PSF and menu.

    python benchmarks/simulate.py OUT --number 200 --seed 1

Each galaxy is one Sersic profile on a flat sky, 128x128 pixels, PSF of 41x41.  S/N is 20 to 1000 (of the
whole image, perfectly weighted), n is 0.5 to 8.  The menu starts with the size wrong by a factor of two and
the magnitude by 0.5.  ``truth.json`` holds the parameters.

The renderer shares nothing with galfeed's or GALFIT's.  No image is convolved: the galaxy is an accurate
quadrature in polar coordinates, and each of its points lights the pixels through the PSF, two Gaussians that
integrate over pixels in closed form.  The PSF image holds the Gaussians at the centres of its pixels.
"""

from __future__ import annotations

import argparse
import json
from math import lgamma, sqrt
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits

SIZE = 128
ZEROPOINT = 25.0
MAG = 12.5
FLUX = 10 ** (-0.4 * (MAG - ZEROPOINT))  # 1e5 ADU
SKY = 50.0  # ADU
PSF_SIZE = 41
PSF = ((0.8, 1.3), (0.2, 2.6))  # Gaussians: share of the light, sigma in pixels

FEEDME = """\
A) image.fits
B) imgblock.fits
C) sigma.fits
D) psf.fits
E) 1
F) none
G) none
H) 1 {size} 1 {size}
I) {size} {size}
J) {zeropoint}
K) 1 1
O) regular
P) 0

 0) sersic
 1) {x:.2f} {y:.2f} 1 1
 3) {mag:.3f} 1
 4) {re:.3f} 1
 5) {n:.2f} 1
 9) {q:.2f} 1
10) {pa:.1f} 1
 Z) 0

 0) sky
 1) {sky:.2f} 1
 2) 0 0
 3) 0 0
 Z) 0
"""


def inside(n: float, x: float) -> float:
    """Share of a Sersic profile's light inside r, for x = kappa (r / re)^(1/n)."""
    a, x = torch.tensor([2 * n, x], dtype=torch.float64)
    return float(torch.special.gammainc(a, x))


def half_light(n: float) -> float:
    """kappa(n), where half of the light is inside re."""
    low, high = 0.0, 2 * n + 1
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if inside(n, middle) > 0.5 else (middle, high)
    return low


def rings(n: float, re: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Radii and light of thin rings that stand for a round Sersic profile of unit light, out to ``reach``."""
    core = 1e-4  # pixels; its light counts as one point
    edges = np.concatenate([np.geomspace(core, 1, 28), np.arange(3, reach + 3, 3)])
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges)[:, None] / 2
    r = (edges[:-1, None] + half * (1 + nodes)).ravel()
    kappa = half_light(n)
    x = kappa * (r / re) ** (1 / n)
    light = (half * weights).ravel() * np.exp(2 * n * np.log(x) - x - lgamma(2 * n)) / (n * r)
    return np.append(0.0, r), np.append(inside(n, kappa * (core / re) ** (1 / n)), light)


def on_pixels(centres: np.ndarray, sigma: float) -> np.ndarray:
    """(SIZE, points) share of a Gaussian's light in each pixel of a row."""
    edges = np.arange(SIZE + 1)[:, None] + 0.5
    return np.diff(torch.erf(torch.from_numpy((edges - centres) / (sqrt(2) * sigma))).numpy(), axis=0) / 2


def galaxy(x: float, y: float, re: float, n: float, q: float, pa: float) -> np.ndarray:
    """Image (SIZE, SIZE) of a Sersic profile of unit light seen through the PSF; x, y, pa as in GALFIT."""
    angle = np.deg2rad(pa)
    reach = SIZE / 2 + 6 * max(sigma for _, sigma in PSF)  # light from farther out, in x or y, is not seen
    points = []
    for r, light in zip(*rings(n, re, 1.5 * reach / q), strict=True):
        count = int(2 * np.pi * r) + 16
        theta = 2 * np.pi * (np.arange(count) + 0.5) / count
        major, minor = r * np.cos(theta), q * r * np.sin(theta)
        dx = -major * np.sin(angle) - minor * np.cos(angle)
        dy = major * np.cos(angle) - minor * np.sin(angle)
        seen = np.maximum(np.abs(dx), np.abs(dy)) < reach
        points.append((x + dx[seen], y + dy[seen], np.full(seen.sum(), light / count)))
    px, py, light = np.concatenate(points, axis=1)
    image = np.zeros((SIZE, SIZE))
    for part in np.array_split(np.arange(px.size), px.size // 5000 + 1):
        for share, sigma in PSF:
            image += share * (on_pixels(py[part], sigma) * light[part]) @ on_pixels(px[part], sigma).T
    return image


def psf_image() -> np.ndarray:
    """(PSF_SIZE, PSF_SIZE) the PSF at the centres of its pixels, sum 1."""
    y, x = np.mgrid[:PSF_SIZE, :PSF_SIZE] - PSF_SIZE // 2
    psf = sum(share / sigma**2 * np.exp(-(x**2 + y**2) / (2 * sigma**2)) for share, sigma in PSF)
    return psf / psf.sum()


def noise(image: np.ndarray, snr: float) -> np.ndarray:
    """(SIZE, SIZE) sigma: photon noise that alone would allow sqrt(10) times the S/N, and sky noise."""
    gain = 10 * snr**2 / image.sum()
    low, high = 0.0, image.sum()
    for _ in range(200):
        sky = (low + high) / 2
        sigma = np.sqrt(sky**2 + np.maximum(image, 0) / gain)
        low, high = (sky, high) if np.sum((image / sigma) ** 2) > snr**2 else (low, sky)
    return sigma


def draw(rng: np.random.Generator) -> dict[str, float]:
    """Parameters of one galaxy."""
    return {
        "x": SIZE / 2 + rng.uniform(-2, 2),
        "y": SIZE / 2 + rng.uniform(-2, 2),
        "mag": MAG,
        "re": np.exp(rng.uniform(np.log(2), np.log(12))),
        "n": np.exp(rng.uniform(np.log(0.5), np.log(8))),
        "q": rng.uniform(0.2, 0.95),
        "pa": rng.uniform(-90, 90),
        "sky": SKY,
        "snr": np.exp(rng.uniform(np.log(20), np.log(1000))),
    }


def start(truth: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Starting values: rough, as a detection program gives them."""
    return {
        "x": round(truth["x"]),
        "y": round(truth["y"]),
        "mag": truth["mag"] + rng.choice([-0.5, 0.5]),
        "re": truth["re"] * rng.choice([0.5, 2.0]),
        "n": 2.5,
        "q": 0.7,
        "pa": truth["pa"] + rng.uniform(-30, 30),
        "sky": SKY,
    }


def write(folder: Path, seed: int) -> None:
    """One job: image, sigma image, PSF, menu and truth."""
    rng = np.random.default_rng(seed)
    truth = draw(rng)
    image = FLUX * galaxy(**{name: truth[name] for name in ("x", "y", "re", "n", "q", "pa")})
    sigma = noise(image, truth["snr"])
    folder.mkdir(parents=True)
    data = image + SKY + sigma * rng.normal(size=image.shape)
    header = fits.Header({"EXPTIME": 1.0, "GAIN": 1.0, "NCOMBINE": 1})
    fits.writeto(folder / "image.fits", data.astype(np.float32), header)
    fits.writeto(folder / "sigma.fits", sigma.astype(np.float32))
    fits.writeto(folder / "psf.fits", psf_image().astype(np.float32))
    (folder / "galfit.feedme").write_text(FEEDME.format(size=SIZE, zeropoint=ZEROPOINT, **start(truth, rng)))
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for k in range(options.number):
        write(options.out / f"{k:04d}", options.seed * 100_000 + k)


if __name__ == "__main__":
    main()

"""Draw a set of galaxies like those of an SDSS r-band survey, as GALFIT jobs: images, sigma images, PSFs and menus.

    python benchmarks/make_set.py OUT --number 256 --kind sersic|bulgedisk [--size 128] [--psf 41] [--seed 1] [--flat]

One folder a job, ``OUT/000000/galfit.feedme``; with ``--flat`` all jobs lie in OUT (``000000.feedme``).  A few tens of
PSFs of 2.5 to 4 pixels lie in ``OUT/psf`` and are shared.  ``OUT/truth.csv`` has a row a job, with columns named as
GALFIT's header words.  A job depends on nothing but the seed and its number.

Magnitudes are 15 to 17.8, half-light radii 1.5 to 15 pixels, n 0.5 to 6, axis ratios 0.2 to 0.95, and bulges have a
share of 0.1 to 0.7 of the light.  Menus start with what a detection program would say.

The renderer shares nothing with galfeed's or GALFIT's.  A Sersic profile, exp(-(r/h)^(1/n)) with n >= 0.5, is a mixture
of Gaussians whose widths are distributed as a positive stable variable (Kanter 1975, Ann. Probab. 3, 697), so that its
Fourier transform is a mixture of Gaussians, too.  Galaxy, pixel and PSF are multiplied there, at all frequencies at
which the PSF passes more than 1e-7.  The PSF is two Gaussians; its image holds them at the centres of its pixels.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

ZEROPOINT = 28.25  # mag of 1 ADU, SDSS's calibrated frames at 0.005 nanomaggies an ADU
GAIN = 4.7  # electrons an ADU
READ = 1.2  # ADU^2 a pixel: variance of the camera
SCALE = 0.396  # arcsec a pixel
PSFS = 32
PERIOD = 3  # of the Fourier series, in sizes of the image: light beyond comes back in at less than 1e-4 of the peak
PASSED = 1e-7  # by the PSF, at the highest frequency kept
SMALLEST, LARGEST = 0.003, 150.0  # k re of the tabled transform
DEGREE = 89  # of the polynomial that stands for it

FEEDME = """\
A) {image}
B) {output}
C) {sigma}
D) {psf}
E) 1
F) none
G) none
H) {region}
I) {size} {size}
J) {zeropoint}
K) {scale} {scale}
O) regular
P) 0
"""
SERSIC = """
 0) sersic
 1) {XC:.3f} {YC:.3f} 1 1
 3) {MAG:.3f} 1
 4) {RE:.3f} 1
 5) {N:.2f} 1
 9) {AR:.3f} 1
10) {PA:.2f} 1
 Z) 0
"""
EXPDISK = """
 0) expdisk
 1) {XC:.3f} {YC:.3f} 1 1
 3) {MAG:.3f} 1
 4) {RS:.3f} 1
 9) {AR:.3f} 1
10) {PA:.2f} 1
 Z) 0
"""
SKY = """
 0) sky
 1) {SKY:.3f} 1
 2) 0 0
 3) 0 0
 Z) 0
"""
DISK_SIZE = 1.67835  # half-light radius of an exponential disk in scale lengths

Values = dict[str, float]  # of a component, by GALFIT's header words without their number


@dataclass(frozen=True)
class Set:
    """What all jobs of a set have in common; ``spread``: their regions are up to so many pixels smaller than images."""

    out: Path
    kind: str
    size: int
    psf_size: int
    seed: int
    flat: bool
    spread: int = 0


@lru_cache(maxsize=256)
def transform(n: float) -> np.ndarray:
    """Fourier transform of a round Sersic profile of unit light: Chebyshev coefficients in log(k re)."""
    power = 1 / (2 * n)
    nodes, shares = np.polynomial.legendre.leggauss(48)
    u = np.pi * (nodes + 1) / 2
    x = np.linspace(math.log(1e-8), math.log(200), 320)
    spread = (np.sin(u) ** (1 / power) / np.sin(power * u))[:, None]
    if power < 1:
        spread = spread * (np.exp(x) / np.sin((1 - power) * u)[:, None]) ** ((1 - power) / power)
    width = np.broadcast_to(spread, (u.size, x.size)).ravel()  # of the Gaussians exp(-r^2 / width)
    light = ((shares / 2)[:, None] * np.exp(x - np.exp(x)) * spread).ravel()
    light /= light.sum()
    width, light = width[light > 1e-13], light[light > 1e-13]
    low, high = -20.0, 40.0  # log of the half-light radius
    for _ in range(60):
        middle = (low + high) / 2
        inside = light @ -np.expm1(-np.exp(2 * middle) / width)
        low, high = (low, middle) if inside > 0.5 else (middle, high)
    z = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    k = _tabled(z) / math.exp(low)
    values = [light @ np.exp(-(each**2) * width / 4) for each in k]
    return np.polynomial.chebyshev.chebfit(z, values, DEGREE)


def _tabled(z: np.ndarray) -> np.ndarray:
    """k re for z from -1 to 1."""
    return SMALLEST * (LARGEST / SMALLEST) ** ((z + 1) / 2)


@dataclass(frozen=True)
class Psf:
    """Two Gaussians of one shape, the wider with a tenth of the light.

    Args:
        sigma: of the narrow one, in pixels, along its major axis.  q, pa: axis ratio and GALFIT's angle of both.
        parts: share of the light, sigma in that of the narrow one.
    """

    sigma: float
    q: float
    pa: float
    parts: tuple[tuple[float, float], ...] = ((0.9, 1.0), (0.1, 2.6))

    @property
    def fwhm(self) -> float:
        """Of the narrow Gaussian, mean of the axes [pixels]."""
        return self.sigma * math.sqrt(self.q) * math.sqrt(8 * math.log(2))

    def image(self, size: int) -> np.ndarray:
        """(size, size), sum 1."""
        y, x = np.mgrid[:size, :size] - size // 2
        square = _radius(x, y, 1 / self.q, self.pa) ** 2
        image = sum(share / s**2 * np.exp(-square / (2 * (s * self.sigma) ** 2)) for share, s in self.parts)
        return image / image.sum()

    def transform(self, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
        square = (self.sigma * _radius(kx, ky, self.q, self.pa)) ** 2
        return sum(share * np.exp(-square * s**2 / 2) for share, s in self.parts)


def _radius(x: np.ndarray, y: np.ndarray, minor: float, pa: float) -> np.ndarray:
    """Distance from the origin with lengths along the minor axis times ``minor``; pa from +y towards -x in degrees."""
    sine, cosine = math.sin(math.radians(pa)), math.cos(math.radians(pa))
    return np.hypot(-x * sine + y * cosine, minor * (x * cosine + y * sine))


def psfs(seed: int) -> list[Psf]:
    rng = np.random.default_rng((seed, 0))
    narrow = rng.uniform(2.5, 4, PSFS) / math.sqrt(8 * math.log(2))
    return [
        Psf(s, q, pa) for s, q, pa in zip(narrow, rng.uniform(0.93, 1, PSFS), rng.uniform(0, 180, PSFS), strict=True)
    ]


class Sky:
    """Renders galaxies of unit light seen through one PSF, on size x size pixels."""

    def __init__(self, size: int, psf: Psf) -> None:
        self.size = size
        period = PERIOD * size
        # Frequencies up to twice those of the pixels: light between the pixels' own frequencies folds back.
        ky = 2 * np.pi * np.fft.fftfreq(2 * period, 0.5)
        kx = 2 * np.pi * np.fft.rfftfreq(2 * period, 0.5)
        passed = psf.transform(*np.broadcast_arrays(kx[None], ky[:, None]))
        self.rows, self.columns = np.nonzero(passed > PASSED)
        self.ky, self.kx = ky[self.rows], kx[self.columns]
        pixel = np.sinc(self.ky / (2 * np.pi)) * np.sinc(self.kx / (2 * np.pi))
        self.seen = passed[self.rows, self.columns] * pixel
        self.all_ky, self.all_kx = ky, kx

    def image(self, x: float, y: float, re: float, n: float, q: float, pa: float) -> np.ndarray:
        """(size, size) a Sersic profile; x, y count from 1, pa as in GALFIT."""
        fine = np.linspace(-1, 1, 4001)
        k = re * _radius(self.kx, self.ky, q, pa)
        light = np.interp(np.log(np.maximum(k, SMALLEST)), np.log(_tabled(fine)), _on_grid(n)) * self.seen
        shift = np.exp(-1j * self.all_ky * (y - 1))[self.rows] * np.exp(-1j * self.all_kx * (x - 1))[self.columns]
        plane = np.zeros((self.all_ky.size, self.all_kx.size), dtype=complex)
        plane[self.rows, self.columns] = light * shift
        period = PERIOD * self.size
        plane = plane[:period] + plane[period:]
        folded = plane[:, : period // 2 + 1] + np.roll(plane[::-1, ::-1], 1, axis=0)[:, : period // 2 + 1].conj()
        return np.fft.irfft2(folded, s=(period, period))[: self.size, : self.size]


@lru_cache(maxsize=256)
def _on_grid(n: float) -> np.ndarray:
    return np.polynomial.chebyshev.chebval(np.linspace(-1, 1, 4001), transform(n))


@lru_cache(maxsize=PSFS)
def _sky(size: int, psf: Psf) -> Sky:
    return Sky(size, psf)


def draw(kind: str, size: int, rng: np.random.Generator) -> list[Values]:
    """Components of one galaxy."""
    mag = 17.8 + math.log10(rng.uniform(10 ** (-0.35 * 2.8), 1)) / 0.35  # a slope between counts and a flat one
    re = float(np.clip(10 ** (0.65 - 0.13 * (mag - 16.5) + rng.normal(0, 0.18)), 1.5, min(15, size / 8)))
    place = {"XC": size / 2 + rng.uniform(-2, 2), "YC": size / 2 + rng.uniform(-2, 2)}
    pa = rng.uniform(-90, 90)
    thin = math.sqrt(0.04 + 0.96 * rng.uniform() ** 2)  # a disk of thickness 0.2 seen from anywhere
    if kind == "sersic":
        late = rng.uniform() < 0.6
        n = rng.lognormal(math.log(1.2), 0.35) if late else rng.lognormal(math.log(3.5), 0.3)
        n = round(float(np.clip(n, 0.5, 6)) / 0.05) * 0.05  # one transform serves many galaxies
        q = thin if late else 0.3 + 0.7 * rng.beta(3, 2)
        return [{**place, "MAG": mag, "RE": re, "N": round(n, 2), "AR": float(np.clip(q, 0.2, 0.95)), "PA": pa}]
    share = rng.uniform(0.1, 0.7)
    bulge = {
        "MAG": mag - 2.5 * math.log10(share),
        "RE": max(1.5, re * rng.uniform(0.2, 0.7)),
        "N": round(round(float(np.clip(rng.lognormal(math.log(2.2), 0.4), 0.5, 6)) / 0.05) * 0.05, 2),
        "AR": rng.uniform(0.5, 0.95),
        "PA": pa + rng.normal(0, 15),
    }
    disk = {
        "MAG": mag - 2.5 * math.log10(1 - share),
        "RS": max(1.5, re * rng.uniform(1, 1.5)) / DISK_SIZE,
        "AR": float(np.clip(thin, 0.2, 0.95)),
        "PA": pa,
    }
    return [{**place, **bulge}, {**place, **disk}]


def starts(components: list[Values], psf: Psf, rng: np.random.Generator) -> list[Values]:
    """What a detection program would say: one object, its size and shape those of the seen light."""
    flux = sum(10 ** (-0.4 * c["MAG"]) for c in components)
    main = components[-1]
    seen = sum(10 ** (-0.4 * c["MAG"]) / flux * c.get("RE", DISK_SIZE * c.get("RS", 0)) for c in components)
    radius = math.sqrt(seen**2 * main["AR"] + (psf.fwhm / 2) ** 2) * rng.lognormal(0, 0.1)
    q = float(np.clip(math.sqrt((main["AR"] * seen) ** 2 + 1) / math.hypot(seen, 1) + rng.normal(0, 0.06), 0.15, 0.98))
    object_ = {
        "XC": main["XC"] + rng.normal(0, 0.15),
        "YC": main["YC"] + rng.normal(0, 0.15),
        "MAG": -2.5 * math.log10(flux) + rng.normal(0.07, 0.12),  # an aperture misses some of the light
        "AR": q,
        "PA": main["PA"] + rng.normal(0, 4 + 20 * q**4),
    }
    if len(components) == 1:
        return [{**object_, "RE": radius, "N": 2.5}]
    object_["MAG"] += 2.5 * math.log10(2)
    return [
        {**object_, "RE": 0.5 * radius, "N": 2.5, "AR": 0.5 + 0.5 * q},
        {**object_, "RS": 1.2 * radius / DISK_SIZE},
    ]


def region(of: Set, number: int) -> str:
    """In the middle of the image, of any width and height within the spread."""
    rng = np.random.default_rng((of.seed, number + 1, of.spread))
    smaller = [int(n) for n in rng.integers(0, of.spread, 2, endpoint=True)]
    return " ".join(f"{1 + less // 2} {of.size - (less + 1) // 2}" for less in smaller)


def write_fits(path: Path, image: np.ndarray, cards: dict[str, float] | None = None) -> None:
    """An image of 32-bit floats; astropy's writer takes ten times as long."""
    lines = ["SIMPLE  =                    T", "BITPIX  =                  -32", "NAXIS   =                    2"]
    lines += [f"NAXIS{axis}  = {count:20d}" for axis, count in enumerate(image.shape[::-1], 1)]
    lines += [f"{name:8s}= {value:20.6G}" for name, value in (cards or {}).items()]
    header = "".join(f"{line:80s}" for line in [*lines, "END"])
    header += " " * (-len(header) % 2880)
    pixels = image.astype(">f4").tobytes()
    path.write_bytes(header.encode("ascii") + pixels + bytes(-len(pixels) % 2880))


def write(job: tuple[Set, int]) -> dict[str, object]:
    """Write one job.  Returns: its row of the table."""
    of, number = job
    rng = np.random.default_rng((of.seed, number + 1))
    which = int(rng.integers(PSFS))
    psf = psfs(of.seed)[which]
    components = draw(of.kind, of.size, rng)
    level = float(rng.uniform(90, 200))
    render = _sky(of.size, psf)
    image = np.zeros((of.size, of.size))
    for c in components:
        re, n = c.get("RE", DISK_SIZE * c.get("RS", 0)), c.get("N", 1.0)
        image += 10 ** (-0.4 * (c["MAG"] - ZEROPOINT)) * render.image(c["XC"], c["YC"], re, n, c["AR"], c["PA"])
    sigma = np.sqrt((level + np.maximum(image, 0)) / GAIN + READ)
    data = image + level + sigma * rng.normal(size=image.shape)
    begin = starts(components, psf, rng)
    sky = level + rng.normal(0, 0.5)

    name = f"{number:06d}"
    folder = of.out if of.flat else of.out / name
    stem = f"{name}_" if of.flat else ""
    menu = f"{name}.feedme" if of.flat else "galfit.feedme"
    psf_name = f"psf/{which:02d}.fits" if of.flat else f"../psf/{which:02d}.fits"
    folder.mkdir(parents=True, exist_ok=True)
    write_fits(folder / f"{stem}image.fits", data, {"EXPTIME": 1.0, "GAIN": GAIN, "NCOMBINE": 1.0})
    write_fits(folder / f"{stem}sigma.fits", sigma)
    text = FEEDME.format(
        image=f"{stem}image.fits",
        output=f"{stem}imgblock.fits",
        sigma=f"{stem}sigma.fits",
        psf=psf_name,
        region=region(of, number),
        size=of.size,
        zeropoint=ZEROPOINT,
        scale=SCALE,
    )
    text += "".join((SERSIC if "RE" in c else EXPDISK).format(**c) for c in begin) + SKY.format(SKY=sky)
    (folder / menu).write_text(text)

    row: dict[str, object] = {"menu": menu if of.flat else f"{name}/{menu}", "psf": f"psf/{which:02d}.fits"}
    row |= {"fwhm": round(psf.fwhm, 4), "snr": round(float(np.sqrt(np.sum((image / sigma) ** 2))), 2)}
    row |= {f"{i}_{word}": round(value, 5) for i, c in enumerate(components, 1) for word, value in c.items()}
    return row | {f"{len(components) + 1}_SKY": round(level, 5)}


def make(of: Set, number: int, workers: int) -> None:
    """The whole set."""
    (of.out / "psf").mkdir(parents=True, exist_ok=True)
    for k, psf in enumerate(psfs(of.seed)):
        write_fits(of.out / "psf" / f"{k:02d}.fits", psf.image(of.psf_size))
    jobs = ((of, k) for k in range(number))
    with open(of.out / "truth.csv", "w", newline="") as file:
        table: csv.DictWriter[str] | None = None
        for row in _written(jobs, min(workers, number)):
            if table is None:
                table = csv.DictWriter(file, list(row))
                table.writeheader()
            table.writerow(row)


def _written(jobs: Iterator[tuple[Set, int]], workers: int) -> Iterator[dict[str, object]]:
    if workers < 2:
        yield from map(write, jobs)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(write, jobs, chunksize=16)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--number", type=int, default=256)
    parser.add_argument("--kind", choices=("sersic", "bulgedisk"), default="sersic")
    parser.add_argument("--size", type=int, default=128, help="of the images in pixels, even")
    parser.add_argument("--psf", type=int, default=41, help="size of the PSF images in pixels, odd")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flat", action="store_true", help="all jobs in one folder")
    parser.add_argument("--spread", type=int, default=0, help="pixels that fitting regions are smaller by, at most")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    if options.size % 2 or options.size < 16 or options.psf % 2 == 0:
        parser.error("expected an even --size of 16 or more and an odd --psf")
    if options.number < 1 or options.number > 999_999:
        parser.error("expected a --number of 1 to 999999")
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out}: expected a new folder")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    start = time.perf_counter()
    of = Set(options.out, options.kind, options.size, options.psf, options.seed, options.flat, options.spread)
    make(of, options.number, options.workers)
    seconds = time.perf_counter() - start
    print(f"{options.number} jobs in {options.out}: {seconds:.1f} s, {1e3 * seconds / options.number:.1f} ms a job")
    return 0


if __name__ == "__main__":
    sys.exit(main())

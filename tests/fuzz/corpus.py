"""What fuzzing starts from: real menus of the repository, and small files of every kind."""

from __future__ import annotations

import gzip
import io
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits

TESTS = Path(__file__).parents[1]
FIXTURES = TESTS.parent / "compat_fixtures"
SIZE = 12
"""Pixels along a side of the images."""

MENU = b"""\
A) gal.fits
B) out.fits
C) none
D) psf.fits kernel.txt
E) 1
F) mask.fits
G) limits.txt
H) 1 12 1 12
I) 20 20
J) 25
K) 0.1 0.1
O) regular
P) 0
0) sersic
1) 6 6.5 1 1
3) 20 1
4) 3 1
5) 2 1
9) 0.7 1
10) 30 1
Z) 0
0) sky
1) 100 1
2) 0 0
3) 0 0
"""
HIDDEN = b"""\
A) gal.fits
B) out.fits
C) sigma.fits
D) psf.fits
F) mask.txt
H) 2 11 2 11
I) 20 20
P) 1
0) expdisk2
1) 6 6
3) 20
4) 3
9) .7
10) 30
F1) .1 30
C0) .1
B2) .01
R0) power
R1) 1
R2) 5
R3) 40
R4) .5
R9) 30
To) 2
T0) radial
T4) 3
T5) 5
0) psf
1) 3 3
3) 22
"""
LIMITS = (
    b"# two components, sersic and sky\n1 n 0.5 to 8\n1 x -2 2\n2 sky 90 110\n",
    b"1_2 x offset\n1-2 mag -0.5 3\n1/2 re 1 3\n1 q .1 to 1\n1 mag 15 25 # comment\n1 4 -1 1\n1 f1a 0 to .5\n",
)
MASK_LISTS = (b"# bad pixels\n1 1\n3 4\n 11.0  12.5 text\n\n", b"5 5\n6\t6\n7 7 1\n-1 3\n")
KERNELS = (b"0 .1 0\n.1 .6 .1\n0 .1 0\n", b"0.0125 0.05 0.0125\n0.0500 0.75 0.0500\n0.0125 0.05 0.0125\n")
NAMES = (
    b"many.fits",
    b"many.fits[1]",
    b"many.fits[SCI]",
    b"many.fits[SCI,1]",
    b"many.fits[0][2:11,3:12]",
    b"many.fits[1][*,3:12]",
    b"many.fits+1",
    b"many",
    b"packed.fits",
    b"packed.fits[1]",
    b"none",
    b"file://many.fits",
    b"-",
)
OPTIONS = (
    b"-o1\0galfit.feedme",
    b"galfit.feedme\0-imax\x0010\0-noskyest",
    b"-skyped\x003.5\0-skyrms\x001e-3\0-outsig\0a.feedme\0b.feedme",
    b"--exact\0galfit.01\0-o3",
    b"--version\0-help\0-i\0-x\0--nothing",
)


def picture(size: int = SIZE) -> np.ndarray:
    """A galaxy on a bumpy sky, without random numbers.  (size, size) float32"""
    y, x = np.mgrid[1 : size + 1, 1 : size + 1]
    bumps = (x * x * 7 + y * 13 + x * y * 5) % 17 - 8
    return (100 + bumps + 400 / (1 + (x - size / 2) ** 2 + (y - size / 2) ** 2)).astype(np.float32)


def image(data: np.ndarray, **header: object) -> bytes:
    """A FITS file of one image."""
    return hdus(fits.PrimaryHDU(data, fits.Header(header)))


def hdus(*units: object) -> bytes:
    """A FITS file."""
    stream = io.BytesIO()
    fits.HDUList(list(units)).writeto(stream)
    return stream.getvalue()


@cache
def packed(kind: str) -> bytes:
    """A tile-compressed image."""
    data = picture() if kind.startswith("GZIP") else picture().astype(np.int16)
    return hdus(fits.PrimaryHDU(), fits.CompImageHDU(data, compression_type=kind, tile_shape=(4, SIZE)))


def of_all_kinds(data: np.ndarray) -> tuple[bytes, ...]:
    """FITS files of every kind that is read, of one (H, W) image."""
    named = fits.Header({"EXTNAME": "SCI", "EXTVER": 1})
    return (
        image(data, EXPTIME=10.0, GAIN=2.0, NCOMBINE=3.0, CRPIX1=4.0, CRVAL1=150.0),
        image(data.astype(np.int16), BSCALE=0.5, BZERO=0.25, BLANK=-32768, GAIN=2.0),
        image(data.astype(np.int32), GAIN="'7'", EXPTIME=1),
        image(data.astype(np.float64)),
        image(data.astype(np.uint8)),
        image(data.astype(np.int64)),
        image(np.stack([data, data])),
        hdus(fits.PrimaryHDU(data), fits.ImageHDU(data, named)),
        hdus(fits.PrimaryHDU(), fits.ImageHDU(data, named)),
        hdus(fits.PrimaryHDU(), fits.ImageHDU(data, named), fits.ImageHDU(data)),
        gzip.compress(image(data), 1, mtime=0),
    )


@cache
def images() -> tuple[bytes, ...]:
    """Images of a galaxy."""
    return of_all_kinds(picture())


@cache
def masks() -> tuple[bytes, ...]:
    """Masks of its brightest pixels."""
    return of_all_kinds((picture() > 150).astype(np.float32))


@cache
def compressed() -> tuple[bytes, ...]:
    """Tile-compressed images by every method."""
    return tuple(map(packed, ("RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1")))


def menus() -> tuple[bytes, ...]:
    """Menus of the repository; long ones in parts, as a long one takes long to read."""
    found = [path.read_bytes() for path in sorted(FIXTURES.glob("*/galfit.feedme"))]
    for path in sorted(TESTS.glob("menus/*.feedme")):
        text = path.read_bytes()
        found.append(text if len(text) < 800 else text[:800].rpartition(b"\n")[0] + b"\nH) 1 50 1 50\n")
    return (MENU, HIDDEN, *found)


@cache
def logs() -> tuple[bytes, ...]:
    """Logs that GALFIT wrote."""
    return tuple(path.read_bytes() for path in sorted(FIXTURES.glob("*/expected/fit.log")))


@cache
def results() -> tuple[bytes, ...]:
    """Logs and restart files that GALFIT wrote, and headers of its models, as a file and as a list of cards."""
    restarts = tuple(path.read_bytes() for path in sorted(FIXTURES.glob("*/expected/galfit.01"))[::4])
    models = []
    for path in sorted(FIXTURES.glob("*/expected/imgblock.fits.gz"))[::6]:
        with fits.open(path) as block:
            model = fits.PrimaryHDU(np.zeros((2, 2), np.float32), block[min(2, len(block) - 1)].header)
            models += [hdus(model), model.header.tostring("\n").encode()]
    return (*logs(), *restarts, *models, logs()[0] + logs()[-1])


@cache
def files() -> dict[str, bytes]:
    """The files that lie beside the one under test, by name."""
    data = picture()
    return {
        "gal.fits": image(data, EXPTIME=10.0, GAIN=2.0, NCOMBINE=3.0),
        "sigma.fits": image(np.full((SIZE, SIZE), 3.0, np.float32)),
        "psf.fits": image(np.arange(1, 26, dtype=np.float32).reshape(5, 5)),
        "mask.fits": image(np.eye(SIZE, dtype=np.int16)),
        "mask.txt": MASK_LISTS[0],
        "kernel.txt": KERNELS[0],
        "limits.txt": LIMITS[0],
        "old.log": logs()[0],
        "plain.feedme": MENU,
        "sigma.feedme": MENU.replace(b"C) none", b"C) sigma.fits"),
        "many.fits": hdus(fits.PrimaryHDU(data), fits.ImageHDU(data, fits.Header({"EXTNAME": "SCI"}))),
        "packed.fits": packed("RICE_1"),
    }

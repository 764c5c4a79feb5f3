"""Model and all partial images of a spiral of six components on 256x256 pixels, beside GALFIT's time per iteration.

    python benchmarks/spiral.py [--galfit PATH] [--repeat 7] [--rows 12]

A bulge, a disk cut inside, a bar with C0, two arms with rotation and Fourier modes, a ring cut on both sides, and a
sky; with a PSF of 41x41.  galfeed's figure is one evaluation of the model with all partial images; GALFIT's is the
difference of runs of 6 and of 2 iterations, divided by 4.  The two alternate; medians, in seconds, and torch's profile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from astropy.io import fits
from torch.profiler import ProfilerActivity, profile

from galfeed import feedme, fit, images
from galfeed.model import scene

MENU = """\
A) image.fits
B) out.fits
C) sigma.fits
D) psf.fits
E) 1
F) none
G) none
H) 1 256 1 256
I) 256 256
J) 25.0
K) 0.4 0.4
O) regular
P) {mode}

0) sersic
1) 128.3 127.6 1 1
3) 16.0 1
4) 5.2 1
5) 2.6 1
9) 0.8 1
10) 20 1

0) expdisk
1) 128.3 127.6 1 1
3) 19.5 1
4) 31.0 1
9) 0.7 1
10) 35 1
Ti) 7

0) sersic
1) 128.3 127.6 1 1
3) 16.8 1
4) 15.0 1
5) 0.6 1
9) 0.35 1
10) 80 1
C0) 0.4 1

0) sersic
1) 128.3 127.6 1 1
3) 15.9 1
4) 38.0 1
5) 0.8 1
9) 0.4 1
10) -15 1
R0) power
R1) 12 1
R2) 70 1
R3) 210 1
R4) 0.6 1
R9) 38 1
R10) 33 1
F1) 0.12 30 1 1
F3) 0.05 -20 1 1

0) sersic
1) 128.3 127.6 1 1
3) 22.6 1
4) 48.0 1
5) 0.5 1
9) 0.7 1
10) 35 1
Ti) 7
To) 8

0) sky
1) 20.0 1
2) 0 1
3) 0 1

T0) radial
T4) 22 1
T5) 9 1

T0) radial
T4) 60 1
T5) 18 1
"""


def make(folder: Path) -> None:
    """The menu and its images: the model plus noise."""
    y, x = np.mgrid[:41, :41] - 20.0
    fits.writeto(folder / "psf.fits", ((1 + (x**2 + y**2) / 9) ** -2.5).astype(np.float32))
    flat = np.zeros((256, 256), np.float32)
    fits.writeto(folder / "sigma.fits", flat + 2)
    fits.writeto(folder / "image.fits", flat, fits.Header({"EXPTIME": 1.0, "GAIN": 4.0}))
    (folder / "galfit.feedme").write_text(MENU.format(mode=1))
    job = feedme.load(folder / "galfit.feedme", "galfit.feedme")
    model = fit.run([fit.Task(job, images.load(job, folder), mode=fit.MODEL)])[0].model
    data = (model + np.random.default_rng(1).normal(0, 2, model.shape)).astype(np.float32)
    fits.writeto(folder / "image.fits", data, fits.Header({"EXPTIME": 1.0, "GAIN": 4.0}), overwrite=True)
    # a start a little off, so that GALFIT's iterations are real ones
    (folder / "galfit.feedme").write_text(MENU.format(mode=0).replace("4) 5.2", "4) 4.4").replace("R3) 210", "R3) 195"))


def galfit_seconds(galfit: Path, folder: Path, iterations: int) -> float:
    start = time.perf_counter()
    subprocess.run(
        [str(galfit), "-imax", str(iterations), "galfit.feedme"],
        cwd=folder,
        env=dict(os.environ, TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--galfit", type=Path, help="GALFIT executable to compare with")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--rows", type=int, default=12, help="of the profile")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make(folder)
        job = fit.starting(feedme.load(folder / "galfit.feedme", "galfit.feedme"))
        made = scene.build([job], [images.load(job, folder)])
        wanted = [column for column, ref in enumerate(made.refs) if job.parameter(ref).free]

        def evaluate() -> float:
            start = time.perf_counter()
            made.render(made.start, wanted, derivatives="galfit")
            return time.perf_counter() - start

        def draw() -> float:
            start = time.perf_counter()
            made.render(made.start)
            return time.perf_counter() - start

        evaluate()
        own, alone, theirs = [], [], []
        for _ in range(options.repeat):
            own.append(evaluate())
            alone.append(draw())
            if options.galfit:
                galfit = options.galfit.resolve()
                theirs.append((galfit_seconds(galfit, folder, 6) - galfit_seconds(galfit, folder, 2)) / 4)
        print(f"{len(wanted)} partial images")
        print(f"model and partials {median(own):.3f}, model alone {median(alone):.3f}")
        if theirs:
            print(f"GALFIT, an iteration {median(theirs):.3f}")
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            evaluate()
        print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=options.rows))


if __name__ == "__main__":
    main()

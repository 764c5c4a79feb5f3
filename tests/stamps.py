"""Small jobs on disk for the tests of batches: a galaxy of 24 x 24 pixels each, fitted in a few milliseconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

SIZE = 24
COMMAND = [sys.executable, "-c", "from galfeed.cli import command; command()"]

CONTROL = {
    "B": "{name}.out.fits",
    "A": "{name}.fits",
    "C": "none",
    "D": "psf.fits",
    "E": "1",
    "F": "none",
    "G": "none",
    "H": f"1 {SIZE} 1 {SIZE}",
    "I": "16 16",
    "J": "25.0",
    "K": "0.5 0.5",
    "O": "regular",
    "P": "0",
}
SERSIC = {"0": "sersic", "1": "{x} {y} 1 1", "3": "18.4 1", "4": "3.0 1", "5": "1.2 1", "9": "0.8 1", "10": "20 1"}
DISK = {"0": "expdisk", "1": "{x} {y} 1 1", "3": "18.4 1", "4": "2.0 1", "9": "0.8 1", "10": "20 1"}
SKY = {"0": "sky", "1": "10.0 1", "2": "0 0", "3": "0 0"}


def stamp(folder: Path, name: str, seed: int, *components: dict[str, str], **control: str) -> None:
    """A galaxy of its own, its menu ``NAME.feedme``, and the PSF of the folder."""
    folder.mkdir(exist_ok=True, parents=True)
    chance = np.random.default_rng(seed)
    x, y = chance.uniform(11, 14, 2)
    rows, columns = np.mgrid[1 : SIZE + 1, 1 : SIZE + 1]
    radius = np.hypot(columns - x, (rows - y) / chance.uniform(0.6, 0.9))
    light = 10 + 4000 * np.exp(-radius / chance.uniform(1.5, 2.5))
    header = fits.Header({"EXPTIME": 100.0, "GAIN": 2.0, "NCOMBINE": 1.0, "OBJECT": name})
    data = (light + chance.normal(0, 1, light.shape) * np.sqrt(light / 2)).astype(np.float32)
    fits.PrimaryHDU(data, header).writeto(folder / f"{name}.fits", overwrite=True)
    star = np.exp(-((np.mgrid[:9, :9] - 4) ** 2).sum(0) / 3.0).astype(np.float32)
    fits.PrimaryHDU(star).writeto(folder / "psf.fits", overwrite=True)
    words = {"name": name, "x": f"{round(x)}", "y": f"{round(y)}"}
    blocks = [CONTROL | control, *(components or (SERSIC, SKY))]
    text = "\n\n".join("\n".join(f"{key}) {value}" for key, value in block.items()) for block in blocks)
    (folder / f"{name}.feedme").write_text(text.format(**words) + "\n")


def galfeed(folder: Path, *words: str, script: str = "", **more: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, behind some lines of Python if need be."""
    command = COMMAND if not script else [sys.executable, "-c", f"{script}\nfrom galfeed.cli import command; command()"]
    return subprocess.run(
        [*command, *words], cwd=folder, env=environment(), capture_output=True, text=True, timeout=600, **more
    )


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def tree(folder: Path) -> dict[str, bytes]:
    """Contents of all files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

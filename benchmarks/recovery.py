"""Fit the galaxies of simulate.py and compare with the truth.

    python benchmarks/recovery.py FOLDER [--exact] [--galfit PATH]

Prints the share of fits that converged and, for each parameter, bias (median of fit - truth), scatter (half
of the central 68 %) and the share of truths inside one standard error bar (68 % if the bars are right).
With ``--exact`` in exact numbers.  With ``--galfit`` the same for GALFIT, with GALFIT's own error bars.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits

from galfeed import feedme, fit, images
from galfeed.job import ParamRef
from galfeed.model.light import Accuracy
from galfeed.result import Status

# name: address in the menu, word in GALFIT's header, relative difference or absolute
PARAMETERS = {
    "x": (ParamRef(1, "1"), "1_XC", False),
    "y": (ParamRef(1, "2"), "1_YC", False),
    "mag": (ParamRef(1, "3"), "1_MAG", False),
    "re": (ParamRef(1, "4"), "1_RE", True),
    "n": (ParamRef(1, "5"), "1_N", True),
    "q": (ParamRef(1, "9"), "1_AR", False),
    "pa": (ParamRef(1, "10"), "1_PA", False),
    "sky": (ParamRef(2, "1"), "2_SKY", False),
}
Answer = dict[str, tuple[float, float]]  # value and error bar by name; empty where the fit failed


def galfeed_answers(folders: list[Path], accuracy: Accuracy) -> list[Answer]:
    """All fits in one batch, with the standard error bars."""
    jobs = [feedme.load(folder / "galfit.feedme", "galfit.feedme") for folder in folders]
    tasks = [
        fit.Task(job, images.load(job, folder), accuracy=accuracy) for job, folder in zip(jobs, folders, strict=True)
    ]
    answers = []
    for result in fit.run(tasks):
        errors = dict(zip(result.free, result.standard_errors, strict=True))
        answer = {name: (result.job.parameter(ref).value, errors[ref]) for name, (ref, _, _) in PARAMETERS.items()}
        answers.append(answer if result.status is Status.CONVERGED else {})
    return answers


def galfit_answer(galfit: Path, folder: Path) -> Answer:
    """One fit, run in a copy of the folder."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(shutil.copytree(folder, Path(scratch) / "job"))
        command = [galfit.resolve(), "galfit.feedme"]
        subprocess.run(command, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=600)
        if not (work / "imgblock.fits").exists():
            return {}
        header = fits.getheader(work / "imgblock.fits", 2)
    answer = {}
    for name, (_, word, _) in PARAMETERS.items():
        value, error = re.findall(r"[-+]?[\d.]+(?:e[-+]\d+)?", header[word].replace("+/-", " "))
        answer[name] = float(value), float(error)
    return {} if "1" in header["FLAGS"].split() else answer


def report(title: str, truths: list[dict[str, float]], answers: list[Answer]) -> None:
    """Markdown table for each range of S/N."""
    snr = np.array([truth["snr"] for truth in truths])
    for low, high in (20, 100), (100, 1000):
        chosen = [k for k in np.flatnonzero((snr >= low) & (snr < high))]
        fitted = [k for k in chosen if answers[k]]
        print(f"\n{title}, S/N {low} to {high}: {len(fitted)} of {len(chosen)} converged\n")
        print("| | bias | scatter | inside one error bar |\n|---|---|---|---|")
        for name, (_, _, relative) in PARAMETERS.items():
            truth = np.array([truths[k][name] for k in fitted])
            value, error = np.array([answers[k][name] for k in fitted]).T
            delta = value - truth
            if name == "pa":
                delta = (delta + 90) % 180 - 90
            inside = np.mean(np.abs(delta) <= error)
            delta = delta / truth if relative else delta
            scatter = np.diff(np.percentile(delta, [16, 84]))[0] / 2
            unit = " (relative)" if relative else ""
            print(f"| {name}{unit} | {np.median(delta):+.4f} | {scatter:.4f} | {100 * inside:.0f} % |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--exact", action="store_true", help="exact numbers in place of GALFIT's")
    parser.add_argument("--galfit", type=Path, help="GALFIT executable to compare with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folders = sorted(path.parent for path in options.folder.glob("*/truth.json"))
    if not folders:
        parser.error(f"{options.folder}: no galaxy of simulate.py found")
    truths = [json.loads((folder / "truth.json").read_text()) for folder in folders]
    accuracy: Accuracy = "exact" if options.exact else "galfit"
    report(f"galfeed{' --exact' * options.exact}", truths, galfeed_answers(folders, accuracy))
    if options.galfit:
        report("GALFIT", truths, [galfit_answer(options.galfit, folder) for folder in folders])
    return 0


if __name__ == "__main__":
    sys.exit(main())

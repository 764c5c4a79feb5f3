"""Time of one Levenberg-Marquardt iteration on one core: 128x128 stamp, 41x41 PSF, one Sersic and a free sky.

    python benchmarks/iteration.py [--fits 5] [--rows 12]

Prints the median over the iterations of several fits of one galaxy each, and torch's profile of one more fit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import simulate
import torch
from torch.profiler import ProfilerActivity, profile

from galfeed import feedme, fit, images


def tasks(number: int) -> list[fit.Task]:
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / str(k) for k in range(number)]
        for seed, folder in enumerate(folders):
            simulate.write(folder, seed)
        jobs = [feedme.load(folder / "galfit.feedme", "galfit.feedme") for folder in folders]
        return [fit.Task(job, images.load(job, folder)) for job, folder in zip(jobs, folders, strict=True)]


def seconds_between_reports(task: fit.Task) -> list[float]:
    times: list[float] = []
    fit.run([task], report=lambda *_: times.append(time.perf_counter()))
    return list(np.diff(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=5)
    parser.add_argument("--rows", type=int, default=12, help="of the profile")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm_up, *rest = tasks(options.fits + 1)
    fit.run([warm_up])
    steps = [step for task in rest for step in seconds_between_reports(task)]
    print(f"{1e3 * np.median(steps):.1f} ms an iteration (median of {len(steps)}, {options.fits} fits)")
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        fit.run([warm_up])
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=options.rows))


if __name__ == "__main__":
    main()

"""Fit jobs alone and all in one batch, and say how far apart the results are.

    python benchmarks/alone.py SET [SET ...] [--number 1000] [--dtype mixed]

SET is what make_set.py wrote; of several sets as many jobs are taken each.  Values and error bars are compared in
units of the error bar, the other numbers by their bits, on one thread, as the command runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import batch
import numpy as np

from galfeed import feedme, fit, images, machine
from galfeed.fit.problem import PRECISIONS
from galfeed.result import FitResult


def task(menu: Path) -> fit.Task:
    job = feedme.load(menu, menu.name)
    return fit.Task(job, images.load(job, menu.parent))


def apart(one: FitResult, other: FitResult) -> float:
    """The largest difference of a free value, or of its error bar, in error bars of the first."""
    pairs = [(one.job.parameter(ref), other.job.parameter(ref)) for ref in one.free]
    if one.free != other.free:
        return np.inf
    differences = [(d, a.error) for a, b in pairs for d in (abs(a.value - b.value), abs(a.error - b.error)) if d]
    return max((d / error if error else np.inf for d, error in differences), default=0.0)


def differing(one: FitResult, other: FitResult) -> list[str]:
    """What of two results is not the same to the last bit."""
    arrays = ("covariance", "model")
    plain = ("job", "status", "chi2", "ndof", "free", "flags", "iterations", "attempts")
    same = {name: np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in arrays}
    same |= {name: repr(getattr(one, name)) == repr(getattr(other, name)) for name in plain}
    return [name for name, equal in same.items() if not equal]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET", help="folder of make_set.py")
    parser.add_argument("--number", type=int, default=1000, help="jobs, of all sets together")
    parser.add_argument("--dtype", choices=PRECISIONS, default="mixed")
    options = parser.parse_args()
    machine.prepare()
    each = -(-options.number // len(options.sets))
    menus = [menu for folder in options.sets for menu in sorted(folder.glob("*/galfit.feedme"))[:each]]
    if not menus:
        parser.error(f"{options.sets[0]}: no set of make_set.py found")
    tasks = [task(menu) for menu in menus]
    print(f"{batch.about()}; {len(tasks)} jobs, {options.dtype}\n", flush=True)
    together = fit.run(tasks, dtype=options.dtype)
    alone = [fit.run([one], dtype=options.dtype)[0] for one in tasks]
    differences = [differing(a, b) for a, b in zip(alone, together, strict=True)]
    distances = [apart(a, b) for a, b in zip(alone, together, strict=True)]
    rows = [
        [f"{menu.parent.parent.name}/{menu.parent.name}", ", ".join(names), f"{distance:.2g}"]
        for menu, names, distance in zip(menus, differences, distances, strict=True)
        if names
    ]
    print(f"{len(tasks) - len(rows)} of {len(tasks)} the same to the last bit; largest difference {max(distances):.2g}")
    if rows:
        print(batch.table(["job", "differs in", "error bars apart"], rows))
    return 1 if rows else 0


if __name__ == "__main__":
    sys.exit(main())

"""Compare galfeed's fits of a set with GALFIT's: chi^2 of both by one renderer, and how many converged.

    python benchmarks/agree.py SET --results FOLDER [--galfit PATH] [--ours FOLDER] [--number 256] [--worst 8]

SET is what make_set.py wrote.  FOLDER is a copy of it in which GALFIT was run; with ``--galfit`` it is made and GALFIT
run where a job has no result yet.  galfeed fits SET here, or ``--ours`` is a copy in which the command was run, with
``--catalog catalogue.csv``.

Both programs' numbers are taken as they stand in an image block, with four digits behind the point, so that rounding
costs both alike.  chi^2 is computed by galfeed's rendering of these, once with exact numbers (``--exact``'s) and once
with GALFIT's.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import galfeed
from galfeed import feedme, fit, images, machine
from galfeed.errors import GalfeedError
from galfeed.fit import BLOCK, Task
from galfeed.job import Job, ParamRef
from galfeed.model.light import Accuracy
from galfeed.profiles import PROFILES
from galfeed.result import Status

DIGITS = 4  # behind the point in an image block's header
MUCH = 1e-4  # of chi^2: more than this above counts
SAME = 1e-7  # of chi^2: less than this is no difference
CHUNK = 16
MAX_ITERATIONS_FLAG, SUSPICIOUS_FLAG = "1", "2"


@dataclass(frozen=True)
class Answer:
    """A program's result for one job: the job with final values as printed, and whether it converged."""

    job: Job
    converged: bool
    suspicious: bool


def menus(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*/galfit.feedme"), *folder.glob("*.feedme")])


def run_galfit(galfit: Path, job: Job, menu: Path) -> None:
    """Run GALFIT on one menu unless its image block is there."""
    if (menu.parent / job.control.output).exists():
        return
    with open(os.devnull, "r+b") as nothing:
        subprocess.run(
            [galfit.resolve(), menu.name],
            cwd=menu.parent,
            env=dict(os.environ, TERM="xterm"),
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            timeout=600,
        )


def printed(job: Job, folder: Path) -> Answer | None:
    """What stands in the image block of a job that was run in this folder; None where there is none."""
    try:
        (result,) = galfeed.read(folder / job.control.output)
    except GalfeedError:
        return None
    changes = {}
    for component, found in zip(job.components, result.components, strict=True):
        for spec in PROFILES[component.kind].params:
            if spec.header in found.values and component.parameter(spec.key).free:
                value = found[spec.header]
                assert not isinstance(value, tuple)
                changes[ParamRef(component.number, spec.key)] = replace(
                    component.parameter(spec.key), value=value.value
                )
    if not np.isfinite([parameter.value for parameter in changes.values()]).all():
        return None
    return Answer(job.updated(changes), MAX_ITERATIONS_FLAG not in result.flags, SUSPICIOUS_FLAG in result.flags)


def converged(catalogue: Path) -> dict[str, bool]:
    """By menu, from what ``galfeed --catalog`` wrote."""
    with open(catalogue, newline="") as file:
        return {row["menu"]: row["status"] == Status.CONVERGED.name.lower() for row in csv.DictReader(file)}


def fitted(tasks: Sequence[Task]) -> list[Answer | None]:
    """galfeed's fits, their numbers as an image block would print them."""
    answers: list[Answer | None] = []
    for first in range(0, len(tasks), CHUNK):
        for result in fit.run(tasks[first : first + CHUNK]):
            rounded = {}
            for ref in result.free:
                parameter = result.job.parameter(ref)
                rounded[ref] = replace(parameter, value=round(parameter.value, DIGITS))
            good = result.status is Status.CONVERGED
            answer = Answer(result.job.updated(rounded), good, SUSPICIOUS_FLAG in result.flags)
            answers.append(None if result.status.failed else answer)
    return answers


def chi2(tasks: Sequence[Task], answers: Sequence[Answer], accuracy: Accuracy) -> np.ndarray:
    """(N,) chi^2 of the answers' numbers."""
    shown = [
        replace(task, job=answer.job, mode=BLOCK, accuracy=accuracy)
        for task, answer in zip(tasks, answers, strict=True)
    ]
    chunks = [shown[first : first + CHUNK] for first in range(0, len(shown), CHUNK)]
    return np.array([result.chi2 for chunk in chunks for result in fit.run(chunk)])


def compare(names: Sequence[str], ours: np.ndarray, theirs: np.ndarray, title: str, worst: int) -> str:
    """Markdown: how often and by how much one chi^2 is above the other."""
    excess = ours / theirs - 1
    above, below = excess > SAME, excess < -SAME
    much = excess > MUCH
    lines = [
        f"\n**chi^2 by {title} numbers, {len(names)} jobs with both results**\n",
        "| galfeed against GALFIT | jobs | share |\n|---|---|---|",
        *(
            f"| {what} | {rows.sum()} | {100 * rows.mean():.2f} % |"
            for what, rows in (
                (f"above by more than {100 * MUCH:g} %", much),
                (f"below by more than {100 * MUCH:g} %", excess < -MUCH),
                ("above", above),
                ("below", below),
                (f"the same to {SAME:g}", ~(above | below)),
            )
        ),
        f"\nmedian {np.median(excess):+.1e}, largest {excess.max():+.1e}, smallest {excess.min():+.1e}",
    ]
    order = [k for k in np.argsort(-excess)[:worst] if above[k]]
    if order:
        lines.append("\n| job | chi^2 of galfeed | of GALFIT | excess |\n|---|---|---|---|")
        lines += [f"| {names[k]} | {ours[k]:.3f} | {theirs[k]:.3f} | {100 * excess[k]:+.4f} % |" for k in order]
    return "\n".join(lines)


def shares(title: str, answers: Sequence[Answer | None]) -> str:
    number = len(answers)
    there = [answer for answer in answers if answer]
    cells = [len(there), sum(answer.converged for answer in there), sum(answer.suspicious for answer in there)]
    return f"| {title} | " + " | ".join(f"{cell} ({100 * cell / number:.1f} %)" for cell in cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("--results", type=Path, required=True, help="copy of the set with GALFIT's results")
    parser.add_argument("--galfit", type=Path, help="GALFIT executable, to make the results that are missing")
    parser.add_argument("--ours", type=Path, help="copy of the set in which galfeed was run")
    parser.add_argument("--number", type=int, default=256, help="jobs to look at, from the first")
    parser.add_argument("--worst", type=int, default=8, help="jobs to list")
    options = parser.parse_args()
    machine.prepare()
    found = menus(options.set)[: options.number]
    if not found:
        parser.error(f"{options.set}: no set of make_set.py found")
    if options.galfit and not options.results.exists():
        shutil.copytree(options.set, options.results)
    places = [menu.relative_to(options.set) for menu in found]
    jobs = [feedme.load(menu, menu.name) for menu in found]
    tasks = [Task(job, images.load(job, menu.parent)) for job, menu in zip(jobs, found, strict=True)]
    if options.galfit:
        for job, place in zip(jobs, places, strict=True):
            run_galfit(options.galfit, job, options.results / place)
    theirs = [printed(job, options.results / place.parent) for job, place in zip(jobs, places, strict=True)]
    ours: list[Answer | None] = []
    if options.ours:
        ended = converged(options.ours / "catalogue.csv")
        for job, place in zip(jobs, places, strict=True):
            answer = printed(job, options.ours / place.parent)
            ours.append(answer and replace(answer, converged=ended[str(place)]))
    else:
        ours = fitted(tasks)

    print(f"| {len(jobs)} jobs | result | converged | flagged suspicious |\n|---|---|---|---|")
    print(shares("galfeed", ours))
    print(shares("GALFIT", theirs))
    for title, answers in ("galfeed", ours), ("GALFIT", theirs):
        for what, rows in (
            ("no result", [k for k, answer in enumerate(answers) if not answer]),
            ("not converged", [k for k, answer in enumerate(answers) if answer and not answer.converged]),
        ):
            if rows:
                print(f"\n{title}, {what}: {', '.join(str(places[k]) for k in rows)}")
    sys.stdout.flush()
    both = [(k, a, b) for k, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a and b]
    if not both:
        return 0
    chosen = [tasks[k] for k, _, _ in both]
    names = [str(places[k]) for k, _, _ in both]
    accuracies: tuple[Accuracy, ...] = ("exact", "galfit")
    for accuracy in accuracies:
        values = [chi2(chosen, answers, accuracy) for answers in ([a for _, a, _ in both], [b for _, _, b in both])]
        title = {"exact": "exact", "galfit": "GALFIT's"}[accuracy]
        print(compare(names, values[0], values[1], title, options.worst), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

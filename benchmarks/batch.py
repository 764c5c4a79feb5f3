"""Jobs a second of the command on whole folders, files included, by phase; beside serial GALFIT on the same jobs.

    python benchmarks/batch.py [--number 256 ...] [--kind sersic bulgedisk] [--size 128 ...] [--device cpu ...]
                               [--dtype float64 ...] [--workers 1 ...] [--spread 0] [--galfit PATH] [--repeat 3]
    python benchmarks/batch.py --linear [--number 64 256 1024 2048 8289]

Every combination is a row.  The sets are make_set.py's, and every run has a new copy of its set and a new process.
With ``--galfit`` each run of galfeed on all jobs is followed by GALFIT on a slice of them, one process after the
other; the slices of all repeats together are the set, or ``--sample`` jobs of it.  Figures are medians of the runs.

``a further job`` is the wall time of what a run has more than that of the row above; what all runs have in common, as
the start of Python and torch, is not in it.
``a core`` is wall time times the number of workers; CPU time is of all processes.  Phases are seconds that galfeed
records where GALFEED_TIMING names a file, of all workers together.  Memory is the largest sum over all processes,
shared pages counted once (Linux).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from statistics import mean, median

import make_set

ROOT = Path(__file__).parents[1]
LINEAR = (64, 256, 1024, 2048, 8289)
GALFIT_SECONDS = 60.0  # after which a run of GALFIT is given up
ERRORS = "stderr.txt"
POLL = 0.5  # seconds between looks at the memory


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    kind: str
    size: int
    device: str
    dtype: str
    workers: int
    number: int

    def __str__(self) -> str:
        return f"{self.number} {self.kind} of {self.size} pixels, {self.device}, {self.dtype}, {self.workers} workers"


@dataclass(frozen=True)
class Run:
    """Seconds of wall and CPU time, MB at the peak, seconds by phase, and how many jobs came to nothing."""

    wall: float
    cpu: float
    memory: float
    code: int
    phases: dict[str, float] = field(default_factory=dict)
    failed: int = 0


def about() -> str:
    """Date, commit, machine and versions in a line."""

    def of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    try:
        asked = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
        commit = asked.stdout.strip() or "unknown"
    except FileNotFoundError:
        commit = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {of(name)}" for name in ("torch", "numpy", "astropy"))
    where = f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}, {platform.system()}"
    return f"{date.today()}, commit {commit}; {where}; Python {platform.python_version()}, {versions}"


class Memory:
    """Largest memory of the processes of a session while the block runs, in MB; 0 where /proc does not tell."""

    def __init__(self, session: int) -> None:
        self.session, self.peak = session, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(POLL):
            found = [self._of(entry) for entry in Path("/proc").glob("[0-9]*")]
            self.peak = max(self.peak, sum(found))

    def _of(self, process: Path) -> float:
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) != self.session:
                return 0.0
            lines = (process / "smaps_rollup").read_text().splitlines()
        except (OSError, IndexError, ValueError):  # it has ended meanwhile
            return 0.0
        return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("Pss:")), 0.0)


def measure(command: list[str], folder: Path, seconds: float | None = None) -> Run:
    """Run a command in a folder, and say what it took."""
    timing = folder / "timing.json"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with open(folder / ERRORS, "wb") as errors:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(os.environ, GALFEED_TIMING=str(timing), TERM="xterm"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    with Memory(child.pid) as memory:
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    phases = json.loads(timing.read_text()).get("phases", {}) if timing.exists() else {}
    return Run(wall, cpu, memory.peak, child.returncode, phases)


def galfeed(case: Case, folder: Path, outputs: str | None) -> Run:
    """The command on all jobs of a folder."""
    command = [sys.executable, "-m", "galfeed", ".", "--catalog", "catalogue.csv", "--workers", str(case.workers)]
    command += ["--device", case.device, "--dtype", case.dtype]
    run = measure(command + (["--outputs", outputs] if outputs else []), folder)
    catalogue = folder / "catalogue.csv"
    if run.code not in (0, 1) or not catalogue.exists():
        said = (folder / ERRORS).read_text().splitlines()[-3:]
        raise SystemExit("\n".join([f"{' '.join(command)} ended with exit code {run.code}", *said]))
    with open(catalogue, newline="") as file:
        return replace(run, failed=sum(row["status"] == "failed" for row in csv.DictReader(file)))


def galfit(program: Path, folders: list[Path]) -> list[Run]:
    """GALFIT on one job after the other."""
    return [measure([str(program.resolve()), "galfit.feedme"], folder, GALFIT_SECONDS) for folder in folders]


class Sets:
    """Sets by kind and size, made once, and folders with their first jobs."""

    def __init__(self, scratch: Path, largest: int, spread: int) -> None:
        self.scratch, self.largest, self.spread = scratch, largest, spread

    def copy(self, case: Case) -> Path:
        """A new folder; its files are links, as nothing writes into those that it reads."""
        of = self.scratch / f"{case.kind}-{case.size}"
        if not of.exists():
            whole = make_set.Set(of, case.kind, case.size, 41, 1, False, self.spread)
            make_set.make(whole, self.largest, os.cpu_count() or 1)
        target = Path(tempfile.mkdtemp(dir=self.scratch))
        for name in ["psf", *(f"{k:06d}" for k in range(case.number))]:
            shutil.copytree(of / name, target / name, copy_function=os.link)
        return target


def measured(case: Case, sets: Sets, repeat: int, options: argparse.Namespace) -> tuple[list[Run], list[list[Run]]]:
    """Runs of galfeed, and between them GALFIT's on a slice of the jobs each."""
    runs: list[Run] = []
    others: list[list[Run]] = []
    sample = min(options.sample or case.number, case.number)
    for turn in range(repeat):
        folder = sets.copy(case)
        runs.append(galfeed(case, folder, options.outputs))
        _tell(f"{case}: galfeed {1e3 * runs[-1].wall / case.number:.1f} ms a job")
        shutil.rmtree(folder)
        if options.galfit:
            folder = sets.copy(case)
            jobs = [folder / f"{k * case.number // sample:06d}" for k in range(turn, sample, repeat)]
            others.append(galfit(options.galfit, jobs))
            _tell(f"{case}: GALFIT {1e3 * mean(run.wall for run in others[-1]):.1f} ms a job ({len(jobs)} jobs)")
            shutil.rmtree(folder)
    return runs, others


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def row(case: Case, runs: list[Run], phases: list[str], compared: list[str]) -> list[str]:
    """Of the table of galfeed's runs.  Args: compared: cells behind the time a job."""
    number = case.number
    wall, cpu = median(run.wall for run in runs), median(run.cpu for run in runs)
    cells = [case.kind, f"{case.size}", f"{number}", case.device, case.dtype, f"{case.workers}", f"{wall:.2f}"]
    cells += [f"{number / wall:.2f}", f"{number / wall / case.workers:.2f}", f"{1e3 * wall / number:.2f}"]
    cells += compared
    cells += [f"{1e3 * cpu / number:.2f}", f"{max(run.memory for run in runs):.0f}"]
    cells += [f"{1e3 * median(run.phases.get(phase, 0.0) for run in runs) / number:.2f}" for phase in phases]
    return [*cells, f"{max(run.failed for run in runs)}"]


def further(case: Case, runs: list[Run], before: tuple[Case, list[Run]] | None) -> str:
    """Milliseconds of each job that a run has more than that of the row before, where all else is the same."""
    if before is None or replace(before[0], number=case.number) != case:
        return ""
    (fewer, others), wall = before, median(run.wall for run in runs)
    return f"{1e3 * (wall - median(run.wall for run in others)) / (case.number - fewer.number):.2f}"


def against(case: Case, runs: list[Run], others: list[list[Run]]) -> list[str]:
    """Of the table that compares with GALFIT: medians over the repeats."""
    wall = median(run.wall * case.workers for run in runs) / case.number
    cpu = median(run.cpu for run in runs) / case.number
    other_wall = median(mean(run.wall for run in slice_) for slice_ in others)
    other_cpu = median(mean(run.cpu for run in slice_) for slice_ in others)
    jobs = sum(len(slice_) for slice_ in others)
    cells = [case.kind, f"{case.size}", f"{case.number}", f"{case.workers}", f"{jobs}"]
    cells += [f"{1 / wall:.2f}", f"{1 / other_wall:.2f}", f"{other_wall / wall:.1f}"]
    return cells + [f"{1e3 * cpu:.1f}", f"{1e3 * other_cpu:.1f}", f"{other_cpu / cpu:.1f}"]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, nargs="+", help="jobs (256)")
    parser.add_argument("--kind", nargs="+", choices=("sersic", "bulgedisk"), default=["sersic"])
    parser.add_argument("--size", type=int, nargs="+", default=[128])
    parser.add_argument("--spread", type=int, default=0, help="pixels that fitting regions are smaller by, at most")
    parser.add_argument("--device", nargs="+", default=["cpu"])
    parser.add_argument("--dtype", nargs="+", default=["mixed"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--outputs", help="passed on; all outputs if not given")
    parser.add_argument("--repeat", type=int, help="runs of each row (3; 1 with --linear)")
    parser.add_argument("--linear", action="store_true", help="time and memory against the number of jobs")
    parser.add_argument("--galfit", type=Path, help="GALFIT executable to compare with")
    parser.add_argument("--sample", type=int, help="jobs for GALFIT, over all repeats (all)")
    parser.add_argument("--scratch", type=Path, help="folder for sets and runs, on the disk to be measured")
    options = parser.parse_args()
    numbers = options.number or (LINEAR if options.linear else (256,))
    repeat = options.repeat or (1 if options.linear else 3)
    print(about() + "\n", flush=True)
    results: list[tuple[Case, list[Run], list[list[Run]]]] = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        sets = Sets(Path(scratch), max(numbers), options.spread)
        axes = options.kind, options.size, options.device, options.dtype, options.workers, numbers
        for case in (Case(*values) for values in product(*axes)):
            results.append((case, *measured(case, sets, repeat, options)))
    phases = list(dict.fromkeys(phase for _, runs, _ in results for run in runs for phase in run.phases))
    linear = ["ms a further job"] if options.linear else []
    head = ["kind", "pixels", "jobs", "device", "dtype", "workers", "wall s", "jobs/s", "jobs/s a core", "ms a job"]
    head += [*linear, "CPU ms", "peak MB", *(f"{phase} ms" for phase in phases), "failed"]
    rows = []
    before: tuple[Case, list[Run]] | None = None
    for case, runs, _ in results:
        rows.append(row(case, runs, phases, [further(case, runs, before)] if options.linear else []))
        before = case, runs
    print(table(head, rows))
    if options.galfit:
        head = [
            "kind",
            "pixels",
            "jobs",
            "workers",
            "jobs of GALFIT",
            "galfeed jobs/s a core",
            "GALFIT jobs/s",
            "ratio",
        ]
        head += ["galfeed CPU ms a job", "GALFIT CPU ms a job", "ratio of CPU"]
        print("\n" + table(head, [against(case, runs, others) for case, runs, others in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

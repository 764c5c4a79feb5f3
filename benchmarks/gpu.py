"""All figures of a GPU in one call: tests, fit and files of a survey's worth of stamps, bandwidth, memory, agreement.

    python benchmarks/gpu.py [--number 8289] [--device cuda] [--budget 520] [--oracle FOLDER] [--without PART ...]

Needs galfeed's own requirements and no network.  Figures are printed as they come; where the environment variable OUT
names a folder they are also written to ``gpu.md`` in it.  A part that does not fit in what is left of the budget is
left out, and said so.  ``--device cpu --number 64`` tries the script itself.

The fits are of jobs read beforehand: from tasks in memory to results in memory, the card's work awaited.  Bytes are
those that separate FFT, product and reduction kernels must move for the images of one evaluation, see ``least_bytes``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import batch
import make_set
import numpy as np
import torch

from galfeed import feedme, fit, images, machine
from galfeed.fit import Task
from galfeed.fit.problem import Precision
from galfeed.images import Exposure
from galfeed.job import Job, ParamRef
from galfeed.result import FitResult, Status

ROOT = Path(__file__).parents[1]
DTYPES: tuple[Precision, ...] = ("float32", "mixed", "float64")
TILES = (256, 512, 1024, 2048, 4096)  # images evaluated at once
TRACED = 1024  # jobs under the profiler
COMPARED = 256  # jobs fitted on the CPU, too
PLANES = 12  # of the padded size, written or read for one convolved image
IMAGES = 7  # convolved images of a Sersic profile: the model and its partials but for mag


class Paper:
    """Prints what is found, and keeps it in gpu.md; knows how much of the budget is left, and what is not wanted."""

    def __init__(self, budget: float, without: Sequence[str]) -> None:
        self.end, self.without = time.perf_counter() + budget, without
        out = os.environ.get("OUT")
        self.file = Path(out) / "gpu.md" if out else None
        if self.file:
            self.file.write_text("")

    def say(self, text: str) -> None:
        print(text, flush=True)
        if self.file:
            with open(self.file, "a") as file:
                file.write(text + "\n")

    def left(self) -> float:
        return self.end - time.perf_counter()

    def part(self, title: str, needs: float, run: Callable[[], None]) -> None:
        """Run one part unless fewer seconds are left than it needs; a part that fails does not stop the others."""
        if title in self.without:
            return
        self.say(f"\n### {title}\n")
        if self.left() < needs:
            self.say(f"left out: {self.left():.0f} s are left, {needs:.0f} needed")
            return
        start = time.perf_counter()
        try:
            run()
        except (Exception, SystemExit) as error:  # whatever it is, the other figures are wanted
            self.say(f"FAILED: {type(error).__name__}: {error}")
        self.say(f"\n({time.perf_counter() - start:.1f} s)")


class Card:
    """The device: waiting for it, its memory, its bandwidth."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.cuda = device.startswith("cuda")

    def __str__(self) -> str:
        if not self.cuda:
            return "CPU"
        found = torch.cuda.get_device_properties(self.device)
        return f"{found.name}, {found.total_memory / 2**30:.0f} GiB, {found.multi_processor_count} multiprocessors"

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def forget(self) -> None:
        """Give back what is cached, and measure the peak anew."""
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> float:
        """GB at the peak: of the card, or of the process."""
        if self.cuda:
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

    def copy_rate(self) -> float:
        """Bytes a second of a large copy, read and written both counted."""
        size = 2 * 2**30 if self.cuda else 2**26
        source, target = (torch.rand(size // 4, device=self.device) for _ in range(2))
        seconds = []
        for _ in range(12):
            self.wait()
            start = time.perf_counter()
            for _ in range(4):
                target.copy_(source)
            self.wait()
            seconds.append(time.perf_counter() - start)
        return 4 * 2 * size / median(seconds[2:])


def least_bytes(size: int, psf: int, itemsize: int) -> int:
    """Bytes of one evaluation of model and partials of one Sersic profile, in separate kernels.

    A convolved image is drawn (1 plane written), transformed in two passes (4), multiplied with the PSF's transform
    (read, written: 2), transformed back (4), and read for the normal equations (1).  The partial for the magnitude and
    that for the sky are not convolved.
    """
    return IMAGES * PLANES * (size + psf - 1) ** 2 * itemsize


def read(menu: Path) -> tuple[Job, Exposure]:
    job = feedme.load(menu, menu.name)
    return job, images.load(job, menu.parent)


def tasks_of(folder: Path, number: int) -> list[Task]:
    """The first jobs of a set, read in several processes."""
    menus = sorted(folder.glob("*/galfit.feedme"))[:number]
    with get_context("spawn").Pool(min(os.cpu_count() or 1, 16)) as pool:
        return [Task(job, exposure) for job, exposure in pool.imap(read, menus, chunksize=32)]


def fitted(
    tasks: Sequence[Task], card: Card, dtype: Precision, tile: int | None = None
) -> tuple[list[FitResult], float]:
    """Results, and seconds from tasks to results.  Args: tile: images evaluated at once, if not the usual number."""
    card.wait()
    start = time.perf_counter()
    results = fit.run(tasks, device=card.device, dtype=dtype, together=tile)
    card.wait()
    return results, time.perf_counter() - start


class Figures:
    """The parts; each leaves what later ones use."""

    def __init__(self, paper: Paper, card: Card, options: argparse.Namespace, scratch: Path) -> None:
        self.paper, self.card, self.options, self.scratch = paper, card, options, scratch
        self.folder = scratch / "sersic"
        self.tasks: list[Task] = []
        self.rate = 0.0
        self.tile: int | None = None  # the best of the scan

    # --- parts ---

    def tests(self) -> None:
        """The tests that need a GPU."""
        file = ROOT / "tests" / "test_device.py"
        if not file.exists():
            self.paper.say("there is no tests/test_device.py")
            return
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", str(file)]
        limit = max(10.0, min(150.0, self.paper.left() / 3))
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
        self.paper.say("\n".join(run.stdout.splitlines()[-12:]) + f"\n\nexit code {run.returncode}")

    def make(self) -> None:
        start = time.perf_counter()
        make_set.make(make_set.Set(self.folder, "sersic", 128, 41, 1, False), self.options.number, os.cpu_count() or 1)
        made = time.perf_counter()
        self.tasks = tasks_of(self.folder, self.options.number)
        number = len(self.tasks)
        self.paper.say(f"{number} jobs: {made - start:.1f} s to make, {time.perf_counter() - made:.1f} s to read")

    def bandwidth(self) -> None:
        self.rate = self.card.copy_rate()
        self.paper.say(f"copy: {self.rate / 1e12:.3f} TB/s, read and written both counted")

    def scan(self) -> None:
        """Seconds against the number of images evaluated at once, in float64, which needs most memory."""
        tasks = self.tasks[: max(TILES) if self.card.cuda else 64]
        fitted(tasks[:8], self.card, "float64")
        rows, best, seconds = [], float("inf"), 0.0
        for tile in TILES if self.card.cuda else (4, 8, 16, 32):
            if seconds > self.paper.left() / 10:
                rows.append([f"{tile}", "left out", "", ""])
                continue
            self.card.forget()
            try:
                _, seconds = fitted(tasks, self.card, "float64", tile)
            except torch.OutOfMemoryError:
                rows.append([f"{tile}", "out of memory", "", ""])
                break
            rows.append([f"{tile}", f"{seconds:.2f}", f"{len(tasks) / seconds:.0f}", f"{self.card.peak():.2f}"])
            if seconds < best:
                best, self.tile = seconds, tile
        self.paper.say(batch.table(["at once", f"seconds for {len(tasks)}", "galaxies a second", "peak GB"], rows))

    def fits(self) -> None:
        """The whole set in each dtype, twice; the second is free of compilation and warm-up."""
        rows: list[list[str]] = []
        start = time.perf_counter()
        for dtype in DTYPES:
            if rows and self.paper.left() < 3 * (time.perf_counter() - start) / len(rows):
                rows.append([dtype, "left out", *[""] * 7])
                continue
            self.card.forget()
            try:
                runs = [fitted(self.tasks, self.card, dtype, self.tile) for _ in range(2)]
            except (RuntimeError, ValueError) as error:
                rows.append([dtype, f"FAILED: {error}"[:200], *[""] * 7])
                continue
            results, seconds = runs[1]
            steps = sum(result.iterations for result in results)
            moved = steps * least_bytes(128, 41, 8 if dtype == "float64" else 4)
            converged = sum(result.status is Status.CONVERGED for result in results)
            cells = [dtype, f"{runs[0][1]:.2f}", f"{seconds:.2f}", f"{len(results) / seconds:.0f}"]
            cells += [f"{100 * converged / len(results):.2f} %", f"{steps / len(results):.1f}"]
            cells += [
                f"{moved / seconds / 1e12:.3f}",
                f"{100 * moved / seconds / self.rate:.1f} %" if self.rate else "",
            ]
            rows.append([*cells, f"{self.card.peak():.2f}"])
        head = ["dtype", "first s", "second s", "galaxies a second", "converged", "steps each", "TB/s", "of the copy"]
        self.paper.say(f"{len(self.tasks)} galaxies, {self.tile or 'the usual number'} at once\n")
        self.paper.say(batch.table([*head, "peak GB"], rows))

    def files(self) -> None:
        """The command, from menus and FITS to all outputs, and to a catalogue alone."""
        rows = []
        workers = os.cpu_count() or 1
        case = batch.Case("sersic", 128, self.card.device, "float64", workers, self.options.number)
        for dtype in DTYPES:
            for outputs in (None, "none"):
                target = Path(tempfile.mkdtemp(dir=self.scratch))
                for source in sorted(self.folder.iterdir()):
                    if source.is_dir():
                        shutil.copytree(source, target / source.name, copy_function=os.link)
                run = batch.galfeed(replace(case, dtype=dtype), target, outputs)
                shutil.rmtree(target)
                phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in run.phases.items())
                cells = [dtype, "all" if outputs is None else "catalogue", f"{run.wall:.2f}", f"{run.cpu:.1f}"]
                rows.append([*cells, f"{run.memory:.0f}", phases, f"{run.failed}"])
        head = ["dtype", "outputs", "wall s", "CPU s", "peak MB", "phases [s, all workers]", "failed"]
        self.paper.say(f"{self.options.number} jobs, {workers} workers\n\n" + batch.table(head, rows))

    def agreement(self) -> None:
        """The same jobs on the CPU in float64."""
        tasks = self.tasks[: COMPARED if self.card.cuda else 16]
        reference, seconds = fitted(tasks, Card("cpu"), "float64")
        self.paper.say(f"{len(tasks)} jobs; on one core of the CPU {1e3 * seconds / len(tasks):.1f} ms each\n")
        rows = []
        for dtype in DTYPES:
            try:
                results, _ = fitted(tasks, self.card, dtype, self.tile)
            except (RuntimeError, ValueError) as error:
                rows.append([dtype, f"FAILED: {error}"[:200], "", "", "", ""])
                continue
            pulls, excess, same = compared(reference, results)
            cells = [dtype, f"{pulls.max():.1e}", f"{np.median(pulls):.1e}", f"{(pulls > 0.1).sum()}"]
            rows.append([*cells, f"{excess.max():+.1e}", f"{excess.min():+.1e}", f"{same} of {len(tasks)}"])
        head = ["dtype", "largest pull", "median", "pulls above 0.1", "chi^2 above by", "below by", "same status"]
        self.paper.say(batch.table(head, rows))

    def trace(self) -> None:
        """Kernels of a fit in float32, by torch's profiler."""
        from torch.profiler import ProfilerActivity, profile

        tasks = self.tasks[: TRACED if self.card.cuda else 8]
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.card.cuda else [])]
        fitted(tasks, self.card, "float32", self.tile)
        with profile(activities=activities) as profiler:
            results, seconds = fitted(tasks, self.card, "float32", self.tile)
        steps = max(result.iterations for result in results)
        averages = profiler.key_averages()
        if self.card.cuda:
            kernels = [event for event in averages if event.device_type == torch.autograd.DeviceType.CUDA]
            busy = sum(event.self_device_time_total for event in kernels) / 1e6
            launches = sum(event.count for event in kernels)
            self.paper.say(
                f"{len(tasks)} galaxies, {steps} rounds: {seconds:.3f} s (profiled), the card busy for {busy:.3f} s, "
                f"{launches / steps:.0f} kernels and copies a round\n"
            )
        order = "self_cuda_time_total" if self.card.cuda else "self_cpu_time_total"
        listing = averages.table(sort_by=order, row_limit=25, max_name_column_width=60)
        self.paper.say("```\n" + "\n".join(line[:180] for line in listing.splitlines()) + "\n```")

    def oracle(self) -> None:
        """The corpus of GALFIT's answers through the command, here and on the CPU."""
        corpus: Path | None = self.options.oracle
        if corpus is None:
            self.paper.say("no --oracle given")
            return
        found = {}
        for device in dict.fromkeys([self.card.device, "cpu"]):
            score = self.scratch / f"score-{device.replace(':', '-')}.json"
            command = [sys.executable, str(corpus / "score.py"), "--quiet", "--json", str(score), "--batch-command"]
            command += [f"{sys.executable} -m galfeed --device {device} {{feedmes}}", str(corpus)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=max(30.0, self.paper.left() - 20))
            cases = json.loads(score.read_text())["cases"]
            found[device] = {(case["group"], case["name"]): bool(case["ok"]) for case in cases}
        for device, passed in found.items():
            self.paper.say(f"{device}: {sum(passed.values())} of {len(passed)} cases agree with GALFIT")
        first, last = found[self.card.device], found["cpu"]
        differing = ["/".join(case) for case in first if first[case] != last.get(case)]
        self.paper.say(f"other answers than on the CPU: {', '.join(differing) or 'none'}")

    def others(self) -> None:
        """Other programs for the same job, where they are installed."""
        if importlib.util.find_spec("galmoss") is None:
            self.paper.say("GALMoss is not installed here")
        else:
            self.paper.say("GALMoss is installed here, but this script does not know how to run it")
        if importlib.util.find_spec("astrophot") is None:
            self.paper.say("AstroPhot is not installed here")
            return
        rows = []
        tasks = self.tasks[: 2 * COMPARED if self.card.cuda else 8]
        for dtype in ("float32", "float64"):
            for chunk in (COMPARED // 4, COMPARED) if self.card.cuda else (8,):
                self.card.forget()
                seconds, rounds, chi2nu = astrophot(tasks, self.card, getattr(torch, dtype), chunk)
                _, own = fitted(tasks, self.card, dtype, self.tile)
                cells = [dtype, f"{chunk}", f"{len(tasks) / seconds:.1f}", f"{rounds:.0f}", f"{chi2nu:.4f}"]
                rows.append([*cells, f"{self.card.peak():.2f}", f"{len(tasks) / own:.1f}"])
        head = [
            "dtype",
            "chunk",
            "galaxies a second",
            "rounds",
            "median chi^2/nu",
            "peak GB",
            "galfeed, galaxies a second",
        ]
        self.paper.say(f"\nAstroPhot's BatchLM, {len(tasks)} galaxies\n\n" + batch.table(head, rows))


def astrophot(tasks: Sequence[Task], card: Card, dtype: torch.dtype, chunk: int) -> tuple[float, float, float]:
    """The same fits with AstroPhot's BatchLM: seconds of the fits alone, mean rounds, median chi^2/nu."""
    import astrophot as ap

    ap.config.DTYPE, ap.config.DEVICE = dtype, card.device
    seconds, rounds, losses = 0.0, [], []
    for first in range(0, len(tasks), chunk):
        part = tasks[first : first + chunk]
        targets = []
        for k, task in enumerate(part):
            psf = ap.image.PSFImage(data=task.exposure.psf / np.sum(task.exposure.psf))
            variance = task.exposure.sigma**2
            image = ap.image.TargetImage(
                data=task.exposure.data, pixelscale=1.0, variance=variance, psf=psf, name=f"image_{first + k}"
            )
            targets.append(image)
        together = ap.image.TargetImageBatch(targets)
        galaxy = ap.Model(
            name=f"galaxy_{first}",
            model_type="sersic galaxy model",
            target=targets[0],
            center=(0, 0),
            q=0.5,
            PA=0.1,
            n=1.0,
            Re=5.0,
            Ie=1.0,
        )
        sky = ap.Model(name=f"sky_{first}", model_type="flat sky model", target=targets[0], I0=1.0)
        both = ap.Model(name=f"both_{first}", model_type="group model", models=[galaxy, sky], target=targets[0])
        both.initialize()

        def column(number: int, key: str, part: Sequence[Task] = part) -> torch.Tensor:
            values = [task.job.parameter(ParamRef(number, key)).value for task in part]
            return torch.tensor(values, dtype=dtype, device=card.device)

        re, n, q = column(1, "4"), column(1, "5"), column(1, "9")
        kappa = 2 * n - 1 / 3 + 0.009876 / n
        total = 2 * torch.pi * re**2 * q * n * (kappa - 2 * n * kappa.log() + torch.lgamma(2 * n)).exp()
        galaxy.center = torch.stack([column(1, "1") - 1, column(1, "2") - 1], 1)
        galaxy.q, galaxy.PA, galaxy.n, galaxy.Re = q, torch.deg2rad(column(1, "10")) % torch.pi, n, re
        galaxy.Ie = 10 ** (-0.4 * (column(1, "3") - make_set.ZEROPOINT)) / total
        sky.I0 = column(2, "1")
        card.wait()
        start = time.perf_counter()
        fitter = ap.fit.BatchLM(both, together, together.window, verbose=0).fit()
        card.wait()
        seconds += time.perf_counter() - start
        rounds.append(len(fitter.loss_history) - 1)
        losses += list(fitter.loss_history[-1])
    return seconds, float(np.mean(rounds)), float(np.median(losses))


def compared(reference: Sequence[FitResult], results: Sequence[FitResult]) -> tuple[np.ndarray, np.ndarray, int]:
    """Differences of free parameters in error bars, relative ones of chi^2, and how many ended alike."""
    pulls, excess = [], []
    for first, second in zip(reference, results, strict=True):
        errors = np.sqrt(np.diag(first.covariance))
        both = [
            (first.job.parameter(ref).value, second.job.parameter(ref).value, ref.key == "10") for ref in first.free
        ]
        deltas = [abs((b - a + 90) % 180 - 90) if angle else abs(b - a) for a, b, angle in both]
        pulls += list(np.array(deltas) / errors)
        excess.append(second.chi2 / first.chi2 - 1)
    same = sum(a.status is b.status for a, b in zip(reference, results, strict=True))
    return np.array(pulls), np.array(excess), same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=8289, help="galaxies")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--budget", type=float, default=520, help="seconds for all of it")
    parser.add_argument("--oracle", type=Path, help="corpus with score.py, to be scored on the device and on the CPU")
    parser.add_argument("--without", nargs="*", default=(), metavar="PART", help="headings of what is left out")
    parser.add_argument("--scratch", type=Path, help="folder for sets and runs")
    options = parser.parse_args()
    machine.prepare()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    paper, card = Paper(options.budget, options.without), Card(options.device)
    paper.say(f"## {card}\n\n{batch.about()}; `gpu.py --number {options.number} --device {options.device}`")
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        figures = Figures(paper, card, options, Path(scratch))
        paper.part("Copy bandwidth", 5, figures.bandwidth)
        paper.part("Set", 30 if card.cuda else 5, figures.make)
        paper.part("Tests", 20, figures.tests)
        paper.part("Images at once, float64", 20, figures.scan)
        paper.part("Fits", 20, figures.fits)
        paper.part("Agreement with the CPU", 20, figures.agreement)
        paper.part("From files to files", 30, figures.files)
        paper.part("One round", 15, figures.trace)
        paper.part("Other programs", 5, figures.others)
        paper.part("Corpus of GALFIT's answers", 60, figures.oracle)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command ``galfeed``: the only place that prints and that decides the exit code."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from galfeed import feedme, images, options
from galfeed.check import check
from galfeed.errors import FeedmeError, GalfeedError
from galfeed.feedme import constraints, menu
from galfeed.model import supported
from galfeed.options import Options
from galfeed.output import files, fitlog, header, imgblock, names, record, report, restart
from galfeed.output.names import FIT, MODEL, SIGMA_NAME, SUBCOMPONENTS, SUBCOMPS_NAME
from galfeed.result import FitResult, Iteration, Status

if TYPE_CHECKING:
    from galfeed.fit.batch import Task

DONE, FAILED, WRONG_INPUT = 0, 1, 2
TIMING = "GALFEED_TIMING"
"""Environment variable that names a file to receive the seconds spent in each phase, as JSON."""


class Clock:
    """Seconds of the process's life by phase."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.perf_counter() - start

    def save(self) -> None:
        if TIMING in os.environ:
            Path(os.environ[TIMING]).write_text(json.dumps(self.phases))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 a fit without solution, 2 wrong input.

    Of ``check`` it is 0 if all jobs can run, 1 if one cannot, 2 for a wrong command line.
    """
    try:
        asked = options.parse(sys.argv[1:] if arguments is None else arguments)
        if asked.help:
            print(report.help_text())
            return DONE
        if asked.version:
            print(report.version())
            return DONE
        if not asked.menus:
            raise options.OptionError("no input file; expected: galfeed [options] FILE (galfeed -help says more)")
    except GalfeedError as error:
        return _refuse(error)
    for word in asked.ignored:
        _warn(f"{word}: unknown option, ignored")
    clock = Clock()
    try:
        if asked.check:
            return _check(asked)
        code = max(_run_safely(name, asked, clock) for name in asked.menus)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    clock.save()
    return code


def command() -> NoReturn:
    """The console script: :func:`main`, and an end without taking torch apart, which takes half a second."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # closed by the caller
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):  # words of a menu come out as the bytes that they are
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    code = main()
    with suppress(OSError, ValueError):  # a closed terminal or pipe
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _run_safely(name: str, asked: Options, clock: Clock) -> int:
    """One menu; several are each run in their own folder, as if one had gone there."""
    file = Path(name)
    label = name if len(asked.menus) == 1 else file.name
    try:
        return run(file, label, _folder(name, asked), asked, clock)
    except GalfeedError as error:
        return _refuse(error)
    except (MemoryError, RuntimeError) as error:  # torch has no MemoryError of its own
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        return _refuse(GalfeedError(f"{label}: not enough memory for images of this size"))


def _folder(name: str, asked: Options) -> Path:
    """What the names in a menu are relative to."""
    return Path() if len(asked.menus) == 1 else Path(name).parent


def _check(asked: Options) -> int:
    """Say what is found in each menu, and for several how many can run."""
    failing = warned = 0
    for name in asked.menus:
        findings = check(Path(name), name, _folder(name, asked), asked)
        _say("".join(f"{finding}\n" for finding in findings))
        failing += any(finding.error for finding in findings)
        warned += bool(findings) and not any(finding.error for finding in findings)
    if len(asked.menus) > 1:
        _warn(f"{len(asked.menus)} menus: {failing} cannot run, {warned} with warnings")
    return FAILED if failing else DONE


def run(file: Path, name: str, folder: Path, asked: Options, clock: Clock) -> int:
    """Read, fit and write one job.

    Args:
        file: the menu.  name: what outputs call it.
        folder: what the names in the menu are relative to.

    Raises:
        GalfeedError: wrong input, or outputs that cannot be written; nothing has been written then.
    """
    with clock.phase("parsing"):
        job = feedme.load(file, name)
        limits = constraints.load(job, folder)
        mode = job.control.mode if asked.mode is None else asked.mode
    with clock.phase("reading"):
        exposure = images.load(job, folder, asked.noskyest, asked.skyped, asked.skyrms)
        if exposure.data is None:
            mode = MODEL
        stars = () if exposure.psf is not None else supported.check_stars(job, fitted=mode == FIT)
        outsig = asked.outsig and exposure.data is not None
        outputs = names.written(job.control.output, mode, outsig=outsig, recorded=asked.record)
        for output in outputs:
            files.check_writable(folder, output)
    moved = limits.moved if mode == FIT else ()
    warnings = [str(warning) for warning in (*job.warnings, *limits.warnings, *moved, *exposure.warnings, *stars)]
    for warning in warnings:
        _warn(warning)
    _say(report.opening(job, menu.dump(job), (*limits.messages, *exposure.messages)))
    with clock.phase("imports"):
        from galfeed import fit, machine

        machine.prepare()
    with clock.phase("fit"):
        flags = limits.flags + exposure.flags
        task = fit.Task(job, exposure, limits.constraints, flags, mode, "exact" if asked.exact else "galfit")
        result = _fitted(task, asked)
    with clock.phase("doubts"):
        doubts = _doubts(result, task, name)
    for doubt in doubts:
        _warn(doubt)
    if result.status.failed:
        _say(report.failure(result.status.value))
    with clock.phase("writing"):
        logfile = None if result.status.failed else _write(result, task, folder, asked)
        if asked.record:
            text = record.dump(result, exposure, outputs[0], logfile, (*warnings, *doubts), task.accuracy)
            files.replace(folder / record.file_name(outputs[0]), text.encode("utf-8", "surrogateescape"))
    if result.status.failed:
        return FAILED
    if result.status is Status.NOTHING_FREE:
        _say(report.nothing_free())
    elif mode == FIT:
        _say(report.ending(result.job, exposure.region, limit_reached=result.status is Status.MAX_ITERATIONS))
    else:
        _say(report.images_only())
    if sys.stdout.isatty():
        _say(report.BELL)
    return DONE


def _doubts(result: FitResult, task: Task, name: str) -> list[str]:
    """What to say on stderr of a result that should not be taken for a good one."""
    from galfeed import fit

    if result.status.failed:
        return [f"{name}: no solution: {result.status.value}"]
    doubts = []
    if result.attempts > 1:
        doubts.append(f"{name}: the fit was started {result.attempts} times; the best result is kept")
    if result.status is Status.STALLED:
        doubts.append(f"{name}: {result.status.value}; do not trust this fit")
    if task.accuracy == "galfit" and (doubt := fit.doubts(result.job, task.exposure)):
        doubts.append(doubt)
    return doubts


def _fitted(task: Task, asked: Options) -> FitResult:
    """Run the task, with the progress told as it goes; the last step is told with COUNTDOWN = 0."""
    from galfeed import fit

    region = task.exposure.region
    told: list[Iteration] = []

    def follow(_: int, step: Iteration) -> None:
        if told:
            _say(report.iteration(told[-1], max(asked.max_iterations - told[-1].number, 0), region))
        told.append(step)

    if task.mode == FIT and task.exposure.data is not None:
        _say(report.initial(fit.starting(task.job, task.constraints), region))
    result = fit.run([task], max_iterations=asked.max_iterations, report=follow)[0]
    if told:
        _say(report.iteration(told[-1], 0, region))
    return result


def _write(result: FitResult, task: Task, folder: Path, asked: Options) -> str | None:
    """Write what the mode asks for: all of it, or nothing of a fit whose image block cannot be written.

    Returns:
        The name of the restart file, if one was written.
    """
    job, exposure, mode = result.job, task.exposure, task.mode
    if asked.outsig and exposure.data is not None:
        files.replace(folder / SIGMA_NAME, imgblock.sigma(exposure))
    if mode == SUBCOMPONENTS:
        files.replace(folder / SUBCOMPS_NAME, imgblock.subcomps(result, exposure, restart.next_name(folder)))
        return None
    output = folder / job.control.output
    if mode == MODEL:
        files.replace(output, imgblock.model_only(result, exposure, restart.next_name(folder)))
    elif mode != FIT or result.status is Status.NOTHING_FREE:
        files.replace(output, imgblock.block(result, exposure, restart.next_name(folder)))
    else:
        kernel = header.kernel_name(job.control, exposure)
        control = replace(job.control, region=exposure.region, kernel=kernel)  # GALFIT writes it clipped
        fitted = replace(job, control=control)
        text = menu.dump(fitted, result.chi2nu, result.chi2, result.ndof)
        logfile = restart.claim(folder, text)
        try:
            files.replace(output, imgblock.block(result, exposure, logfile))
            files.append(folder / fitlog.NAME, fitlog.entry(result, exposure.region, logfile))
        except GalfeedError:
            (folder / logfile).unlink(missing_ok=True)
            raise
        return logfile
    return None


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


def _refuse(error: GalfeedError) -> int:
    galfits = error.stdout if isinstance(error, FeedmeError) else ""
    _say(galfits)
    sys.stdout.flush()
    _warn(str(error))
    return FAILED if galfits else WRONG_INPUT  # where GALFIT itself stops, its exit code is 1

"""The command ``galfeed``: the only place that prints and that decides the exit code."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from galfeed import clock, machine, onejob, options
from galfeed.check import check
from galfeed.clock import Clock
from galfeed.errors import FeedmeError, GalfeedError
from galfeed.feedme import menu
from galfeed.onejob import DONE, FAILED, Loaded
from galfeed.options import Options
from galfeed.output import report
from galfeed.output.names import FIT
from galfeed.result import FitResult, Iteration, Status

if TYPE_CHECKING:
    from galfeed.survey import Outcome

REDRAWN = 0.2
"""Seconds between two states of the progress bar."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 a fit without solution, 2 wrong input.

    Of ``check`` and of a batch it is 0 if all is well, 1 if a job cannot run, 2 for a wrong command line.
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
        for word in asked.ignored:
            _warn(f"{word}: unknown option, ignored")
        if asked.check:
            return _check(asked)
        if asked.batch:
            return _batch(asked)
    except GalfeedError as error:
        return _refuse(error)
    except BrokenPipeError:
        return _unread()
    try:
        return _single(asked)
    except BrokenPipeError:
        return _unread()


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


def _unread() -> int:
    """The reader of our output has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def _single(asked: Options) -> int:
    """One menu, as GALFIT runs it."""
    name = asked.menus[0]
    apart = asked.cwd == "menu"
    label, folder = (os.path.basename(name), Path(name).parent) if apart else (name, Path())
    times = Clock()
    try:
        if asked.device not in ("auto", "cpu"):
            from galfeed.survey import devices

            asked = replace(asked, device=devices.choose(asked.device)[0])
        code = run(Path(name), label, folder, asked, times)
    except GalfeedError as error:
        return _refuse(error)
    except (MemoryError, RuntimeError) as error:  # torch has no MemoryError of its own
        if not onejob.out_of_memory(error):
            raise
        return _refuse(onejob.no_memory(label))
    clock.save(json.dumps(times.phases))
    return code


def _check(asked: Options) -> int:
    """Say what is found in each menu, and for several how many can run."""
    jobs = [(asked.menus[0], Path())]
    if asked.several:
        from galfeed import survey

        jobs = [(entry.menu, entry.folder) for entry in survey.find(asked)]
    failing = warned = 0
    for name, folder in jobs:
        findings = check(Path(name), name, folder, asked)
        _say("".join(f"{finding}\n" for finding in findings))
        failing += any(finding.error for finding in findings)
        warned += bool(findings) and not any(finding.error for finding in findings)
    if asked.several:
        _warn(f"{len(jobs)} menus: {failing} cannot run, {warned} with warnings")
    return FAILED if failing else DONE


def _batch(asked: Options) -> int:
    """Many menus: progress on a terminal, and a summary at the end, all on stderr."""
    from galfeed import survey

    entries = survey.find(asked)
    bar = _Bar(len(entries))
    try:
        summary = survey.run(entries, asked, bar.follow, _warn)
    except survey.Interrupted as end:
        bar.clear()
        _warn(f"interrupted: {bar.done} of {len(entries)} jobs done; --resume goes on with the rest")
        return end.code
    finally:
        bar.clear()
    clock.save(json.dumps(summary.timing()))
    failures = [entries[o.index].located(o.message) for o in summary.outcomes if o.code]
    sys.stderr.write(
        report.survey(
            len(entries),
            sum(o.doubtful for o in summary.outcomes),
            failures,
            sum(o.warnings > 0 for o in summary.outcomes),
            [(one.menu, other.menu) for one, other in summary.overwritten],
            str(summary.journal),
            summary.wall,
        )
    )
    if summary.trouble:
        _warn(summary.trouble)
    return FAILED if failures or summary.trouble else DONE


class _Bar:
    """One line on a terminal that says how far the batch is."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed = total, 0, 0
        self.shown = sys.stderr.isatty()
        self.start = self.last = time.monotonic()

    def follow(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self.done += 1
            self.failed += outcome.code != DONE
        now = time.monotonic()
        if self.shown and now - self.last > REDRAWN:
            self.last = now
            width = shutil.get_terminal_size().columns
            line = report.progress(self.done, self.total, self.failed, now - self.start)[: width - 1]
            sys.stderr.write(f"\r{line:{width - 1}}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.shown:
            sys.stderr.write(f"\r{'':{shutil.get_terminal_size().columns - 1}}\r")
            sys.stderr.flush()


def run(file: Path, name: str, folder: Path, asked: Options, times: Clock) -> int:
    """Read, fit and write one job, and tell its progress as GALFIT does.

    Args:
        file: the menu.  name: what outputs call it.
        folder: what the names in the menu are relative to.

    Raises:
        GalfeedError: wrong input, or outputs that cannot be written; nothing has been written then.
    """
    loaded = onejob.load(file, name, folder, asked, times.phase)
    job, exposure = loaded.job, loaded.exposure
    for warning in loaded.warnings:
        _warn(warning)
    _say(report.opening(job, menu.dump(job), (*loaded.limits.messages, *exposure.messages)))
    with times.phase("imports"):
        machine.load()
        machine.prepare()
    with times.phase("fit"):
        result = _fitted(loaded, asked)
    with times.phase("doubts"):
        doubts = onejob.doubts(result, loaded, asked)
    for doubt in doubts:
        _warn(doubt)
    if result.status.failed:
        _say(report.failure(result.status.value))
    with times.phase("writing"):
        onejob.write(result, loaded, (*loaded.warnings, *doubts), asked)
    if result.status.failed:
        return FAILED
    if result.status is Status.NOTHING_FREE:
        _say(report.nothing_free())
    elif loaded.mode == FIT:
        _say(report.ending(result.job, exposure.region, limit_reached=result.status is Status.MAX_ITERATIONS))
    else:
        _say(report.images_only())
    if sys.stdout.isatty():
        _say(report.BELL)
    return DONE


def _fitted(loaded: Loaded, asked: Options) -> FitResult:
    """Run the fit, with the progress told as it goes; the last step is told with COUNTDOWN = 0."""
    from galfeed import fit

    task, region = onejob.task(loaded, asked), loaded.exposure.region
    told: list[Iteration] = []

    def follow(_: int, step: Iteration) -> None:
        if told:
            _say(report.iteration(told[-1], max(asked.max_iterations - told[-1].number, 0), region))
        told.append(step)

    if task.mode == FIT and task.exposure.data is not None:
        _say(report.initial(fit.starting(task.job, task.constraints), region))
    result = fit.run([task], max_iterations=asked.max_iterations, report=follow, **onejob.engine(asked))[0]
    if told:
        _say(report.iteration(told[-1], 0, region))
    return result


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


def _refuse(error: GalfeedError) -> int:
    _say(error.stdout if isinstance(error, FeedmeError) else "")
    sys.stdout.flush()
    _warn(str(error))
    return onejob.exit_code(error)

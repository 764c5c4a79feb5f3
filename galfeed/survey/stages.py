"""What happens to the jobs of a unit: they are read, fitted in one batch, and written; each may fail alone."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from galfeed import onejob
from galfeed.clock import Clock
from galfeed.errors import GalfeedError, legible
from galfeed.onejob import Loaded
from galfeed.options import Options
from galfeed.result import FitResult
from galfeed.survey import rows
from galfeed.survey.entries import Entry
from galfeed.survey.journal import Journal
from galfeed.survey.numbers import JournaledNumbers
from galfeed.survey.rows import Row
from galfeed.survey.state import Intent

if TYPE_CHECKING:
    from galfeed.fit.problem import Task


class Unit(NamedTuple):
    """Jobs that are fitted together.

    Args:
        entries: in the order of the batch, one behind the other.
        earlier: what a killed run was about to write for some of them.
        alone: never to be fitted together with others: it may have cost a process its life.
    """

    entries: tuple[Entry, ...]
    earlier: dict[int, Intent]
    alone: bool = False

    def split(self, count: int) -> tuple[Unit, Unit]:
        """The first jobs, and those after them."""
        return self._of(self.entries[:count]), self._of(self.entries[count:])

    def _of(self, entries: tuple[Entry, ...]) -> Unit:
        indices = {entry.index for entry in entries}
        return Unit(entries, {i: intent for i, intent in self.earlier.items() if i in indices}, self.alone)


class Failure(NamedTuple):
    """Why a job has no result: one line, and the exit code that a single run would have had."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, for the summary.

    Args:
        index: of the job.
        status: of its row.
        code: as of a single run.
        doubtful: there is a result, not to be trusted.
        warnings: how many.
        message: why there is no result.
        output: the image, relative to the current directory; empty if none is written.
    """

    index: int
    status: str
    code: int
    doubtful: bool
    warnings: int
    message: str
    output: str

    @classmethod
    def of(cls, index: int, row: Row) -> Outcome:
        warnings, message, output = row["warnings"] or 0, row["message"] or "", row["output"] or ""
        return cls(index, row["status"], row["exit_code"], row["doubtful"], warnings, message, output)


Jobs = list[Loaded | Failure]
Results = list[FitResult | Failure]
"""What is known of the jobs of a unit after each stage."""


PIXELS = 2**22
"""Of the images that a process reads at once, and fits where it runs on a CPU; with more no time is gained."""


def pixels(job: Loaded | Failure) -> int:
    """Of the image of a job."""
    return 0 if isinstance(job, Failure) else job.exposure.good.size


def read(entry: Entry, asked: Options, clock: Clock) -> Loaded | Failure:
    """Read one job."""
    try:
        return onejob.load(Path(entry.menu), entry.label, entry.folder, asked, clock.phase)
    except Exception as error:
        return failure(error)


class Fitter:
    """Fits jobs, fewer at a time where memory is short."""

    def __init__(self, asked: Options) -> None:
        self.asked = asked
        self.most: int | None = None

    def fit(self, jobs: Sequence[Loaded | Failure]) -> list[FitResult | Failure]:
        """Results in the order of the jobs; those that could not be read stay what they are."""
        tasks = [None if isinstance(job, Failure) else onejob.task(job, self.asked) for job in jobs]
        given = [task for task in tasks if task is not None]
        size = self.most or max(len(given), 1)
        fitted = iter([r for start in range(0, len(given), size) for r in self._fit(given[start : start + size])])
        return [job if isinstance(job, Failure) else next(fitted) for job in jobs]

    def _fit(self, tasks: list[Task]) -> list[FitResult | Failure]:
        """The results of all, or one task after the other; where memory is short, half of them.

        Raises:
            LostDevice: nothing can be fitted by this process any more.
        """
        from galfeed import fit

        try:
            return [*fit.run(tasks, max_iterations=self.asked.max_iterations, **onejob.engine(self.asked))]
        except Exception as error:
            if "CUDA error" in str(error):
                raise LostDevice(str(error)) from error
            if len(tasks) == 1:
                return [failure(error)]
            short = onejob.out_of_memory(error)
        size = -(-len(tasks) // 2) if short else 1
        if short:
            self.most = size
        return [r for start in range(0, len(tasks), size) for r in self._fit(tasks[start : start + size])]


class LostDevice(Exception):
    """The device does nothing more for this process."""


class Writer:
    """Writes the jobs of one unit, and the journal around it."""

    def __init__(self, unit: Unit, asked: Options, journal: Journal, clock: Clock) -> None:
        self.unit, self.asked, self.journal, self.clock = unit, asked, journal, clock
        self.free: dict[Path, Iterator[str]] = {}

    def doubts(self, jobs: Jobs, results: Results) -> list[list[str] | Failure]:
        """What to say of jobs that should not be trusted, see ``onejob.doubts``; of all at once, as that is quicker."""
        both = [
            None if isinstance(job, Failure) or isinstance(result, Failure) else (result, job)
            for job, result in zip(jobs, results, strict=True)
        ]
        with self.clock.phase("doubts"):
            found = iter(self._doubts([pair for pair in both if pair]))
            return [next(found) if pair else [] for pair in both]

    def _doubts(self, both: list[tuple[FitResult, Loaded]]) -> list[list[str] | Failure]:
        try:
            return [*onejob.doubts_of_all([result for result, _ in both], [job for _, job in both], self.asked)]
        except Exception as error:
            if len(both) == 1:
                return [failure(error)]
            return [found for one in both for found in self._doubts([one])]

    def write(
        self, entry: Entry, job: Loaded | Failure, result: FitResult | Failure, doubts: list[str] | Failure
    ) -> Outcome:
        """Write one job, of which doubts are known."""
        try:
            if isinstance(job, Failure):
                raise _Failed(job)
            if isinstance(result, Failure):
                raise _Failed(result)
            if isinstance(doubts, Failure):
                raise _Failed(doubts)
            said = [*job.warnings, *doubts]
            with self.clock.phase("writing"):
                return self._write(entry, job, result, said)
        except Exception as error:
            self.free.pop(entry.folder, None)
            code, message = error.failure if isinstance(error, _Failed) else failure(error)
            return self._fail(rows.failed(entry, code, entry.located(message)), entry.index)

    def _write(self, entry: Entry, job: Loaded, result: FitResult, said: list[str]) -> Outcome:
        def row(restart: str | None) -> Row:
            return rows.row(entry, job, result, said, self.asked.wanted, restart)

        numbers = JournaledNumbers(self.journal, entry.index, row, said, self.unit.earlier.get(entry.index), self.free)
        restart = onejob.write(result, job, said, self.asked, numbers)
        made = row(restart)
        self.journal.done(entry.index, None if numbers.intended else made, said)
        return Outcome.of(entry.index, made)

    def _fail(self, row: Row, index: int) -> Outcome:
        try:
            self.journal.failed(index, row)
        except GalfeedError as error:  # what was to be said is worth more
            row = row | {"message": f"{row['message']}; {error}"}
        return Outcome.of(index, row)


class _Failed(Exception):
    """A job that failed in an earlier stage."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


def failure(error: Exception) -> Failure:
    """What to say of a job that raised an error, its own fault or ours."""
    if isinstance(error, GalfeedError):
        return Failure(onejob.exit_code(error), str(error))
    if onejob.out_of_memory(error):
        return Failure(onejob.WRONG_INPUT, "not enough memory for images of this size")
    last = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__}: {error} (a bug, at {Path(last.filename).name}:{last.lineno})"
    return Failure(onejob.FAILED, legible(what))

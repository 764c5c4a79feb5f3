"""Many jobs in one call: worker processes, a catalogue, and a journal to go on from."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from galfeed.errors import GalfeedError
from galfeed.options import Options
from galfeed.survey import catalog, devices, journal, pool, rows, worker
from galfeed.survey.entries import Entry, find
from galfeed.survey.journal import Journal
from galfeed.survey.pool import Pipeline, Plan, Pool
from galfeed.survey.rows import Row
from galfeed.survey.stages import Outcome, Unit
from galfeed.survey.state import State

__all__ = ["Entry", "Interrupted", "Outcome", "Summary", "find", "run"]

CHUNK = 256
"""Jobs of a unit, at most: the last of them to end cost a fit of many as much as one of few."""

READ = 64
"""Jobs that are read and written for a GPU by one process, at most."""

TOGETHER = 16384
"""Jobs that are given to a GPU at once, at most: the last of them to end cost it as much as if there were many."""

PIPED = {"cuda"}
"""Kinds of devices that are fed and relieved by other processes."""

ROUNDS = 1
"""A unit is at most this part of a worker's share of what is left."""

LEAST = 16
"""Jobs of a unit, unless there are fewer for each worker."""

SIGNALLED = 128
"""What a shell adds to the number of a signal."""


@dataclass(frozen=True)
class Summary:
    """How a batch ended.

    Args:
        outcomes: one a job, in their order.
        overwritten: pairs of jobs that have written the same image.
        trouble: why there is no catalogue, though there should be one.
        journal: where it is.
        workers: how many processes there were.
        wall: seconds.
        phases: seconds of all processes together, by what they did.
    """

    outcomes: tuple[Outcome, ...]
    overwritten: tuple[tuple[Entry, Entry], ...]
    trouble: str
    journal: Path
    workers: int
    wall: float
    phases: dict[str, float]

    def timing(self) -> dict[str, object]:
        """Where the time went, for JSON."""
        return {"jobs": len(self.outcomes), "workers": self.workers, "wall": self.wall, "phases": self.phases}


class Interrupted(Exception):
    """A batch was asked to end before it was done.

    Args:
        code: the exit code that says so.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(
    entries: Sequence[Entry],
    asked: Options,
    follow: Callable[[Outcome | None], None],
    warn: Callable[[str], None],
) -> Summary:
    """Do all jobs, or those that a killed run has left.

    Args:
        follow: told each outcome, and None from time to time.
        warn: told what is odd, a line each.

    Raises:
        GalfeedError: nothing could be done: no journal, no worker, or a catalogue of an unknown kind.
    """
    start = time.monotonic()
    if asked.catalog is not None:
        catalog.check(asked.catalog)
    targets = devices.choose(asked.device)
    asked = replace(asked, device=targets[0].partition(":")[0])
    path = journal.name_of(asked)
    log, state, resumed = journal.open_journal(path, entries, asked)
    if asked.resume and not resumed:
        warn(f"{path}: there is no journal to go on with: all jobs are done from the beginning")
    try:
        left = _left(entries, state, log)
        outcomes = {outcome.index: outcome for outcome in pool.outcomes(state.ended, state)}
        for outcome in outcomes.values():
            follow(outcome)

        def hear(outcome: Outcome | None) -> None:
            if outcome is not None:
                outcomes[outcome.index] = outcome
            follow(outcome)

        workers = asked.workers or _cores()
        made: Pool
        if asked.device in PIPED:
            workers = max(workers - len(targets), 1)
            units = [*_units(left, state, READ, workers)]
            workers = min(workers, max(len(units), 1))
            made = Pipeline(Plan(entries, units, asked, log, state, hear, workers), targets, asked.chunk or TOGETHER)
            workers += len(targets)
        else:
            units = [*_units(left, state, asked.chunk or CHUNK, 0 if asked.chunk or workers == 1 else workers)]
            workers = min(workers, len(units))
            made = Pool(Plan(entries, units, asked, log, state, hear, workers))
        with _interruptible():
            made.run(catalog.prepare if asked.catalog is not None else lambda: None)
        trouble = ""
        if asked.catalog is not None:
            try:
                with made.clock.phase("catalogue"):
                    state.look()
                    catalog.write(asked.catalog, _rows(entries, state, outcomes))
            except GalfeedError as error:
                trouble = str(error)
    finally:
        log.close()
    wall = time.monotonic() - start
    ended = tuple(outcomes[entry.index] for entry in entries)
    return Summary(ended, _overwritten(entries, ended), trouble, path, workers, wall, made.clock.phases)


def _cores() -> int:
    """Cores that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C and a request to end become :class:`Interrupted`.

    Raises:
        Interrupted: one of them came.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for each in worker.STOPPING:  # it is being done
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(SIGNALLED + number)

    old = {each: signal.signal(each, end) for each in worker.STOPPING} if _is_main() else {}
    try:
        yield
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _left(entries: Sequence[Entry], state: State, log: Journal) -> list[Entry]:
    """The jobs that are still to be done; those that have failed are tried again."""
    for index in [*state.failed]:
        state.forget(index)
    return [entry for entry in entries if not pool.settle(entry, state, log)]


def _units(left: Sequence[Entry], state: State, most: int, workers: int) -> Iterator[Unit]:
    """The jobs in units, as large as can be, and smaller towards the end, so that all workers end together.

    Args:
        most: jobs of a unit.
        workers: how many share the work; 0: all units are of this size.
    """
    start = 0
    while start < len(left):
        size = most
        if workers:
            least = min(LEAST, -(-len(left) // workers))
            size = min(most, max((len(left) - start) // (ROUNDS * workers), least))
        chunk = tuple(left[start : start + size])
        yield Unit(chunk, {e.index: state.intents[e.index] for e in chunk if e.index in state.intents})
        start += size


def _overwritten(entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> tuple[tuple[Entry, Entry], ...]:
    """Pairs of jobs that have written the same image, each job with the one before it in the batch."""
    holder: dict[str, Entry] = {}
    pairs = []
    for outcome in outcomes:
        entry, image = entries[outcome.index], os.path.realpath(outcome.output)
        if outcome.output and os.path.isfile(image):  # not a device, such as /dev/null
            if image in holder:
                pairs.append((holder[image], entry))
            holder[image] = entry
    return tuple(pairs)


def _rows(entries: Sequence[Entry], state: State, outcomes: dict[int, Outcome]) -> Iterator[Row]:
    """All rows in order; of a job whose row could not be put down, what is known."""
    for entry, row in zip(entries, state.rows(entry.index for entry in entries), strict=True):
        outcome = outcomes[entry.index]
        yield row or rows.failed(entry, outcome.code, outcome.message)

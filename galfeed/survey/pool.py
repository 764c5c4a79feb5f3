"""The main process of a batch: hands units of jobs to workers, and outlives those that die."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from galfeed import machine
from galfeed.clock import Clock
from galfeed.errors import GalfeedError, legible
from galfeed.options import Options
from galfeed.survey import parcel, process, rows
from galfeed.survey.entries import Entry
from galfeed.survey.journal import Journal
from galfeed.survey.process import Task, Worker
from galfeed.survey.stages import Outcome, Unit
from galfeed.survey.state import State
from galfeed.survey.turns import Turns
from galfeed.survey.worker import Broken, Done, Message, Ready

TICK = 0.5
"""Seconds between two looks at the clock of the progress bar."""

GRACE = 5.0
"""Seconds that a worker has to end when it is asked to."""

AHEAD = 4
"""So many times the jobs that a fitter is given at once may be in memory."""

FITTED = 2**32
"""Bytes of the jobs that a fitter is given at once, at most, unless it is a single unit."""

FLYING = 256
"""Units that are between reading and writing, at most: each is one or two open files of this process."""

SHARE = 4
"""This part of the machine's memory may be taken by what waits to be fitted or written."""

STILLBORN = 3
"""So many workers may die before they are ready."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Args:
        entries: all jobs of the batch.
        units: those that are left, in order.
        asked: the options.
        journal: where what is done is put down.
        state: what it says.
        follow: told each outcome, and None from time to time.
        workers: how many processes.
    """

    entries: Sequence[Entry]
    units: Sequence[Unit]
    asked: Options
    journal: Journal
    state: State
    follow: Callable[[Outcome | None], None]
    workers: int


class Pool:
    """Runs units in worker processes, each from its files to its files."""

    def __init__(self, plan: Plan) -> None:
        self.entries, self.asked, self.follow = plan.entries, plan.asked, plan.follow
        self.journal, self.state = plan.journal, plan.state
        self.pending = deque(plan.units)
        self.open = {entry.index for unit in plan.units for entry in unit.entries}
        self.turns = Turns(entry for unit in plan.units for entry in unit.entries)
        self.size = plan.workers
        self.method = process.method()
        self.workers: list[Worker] = []
        self.stillborn = 0
        self.clock = Clock()

    def run(self, idle: Callable[[], None]) -> None:
        """Do all units.

        Args:
            idle: called once when the first workers are started.

        Raises:
            GalfeedError: the workers cannot work.
        """
        if self.open and self.method == "fork":
            self._load()
        try:
            while self.open or any(each.task is not None for each in self.workers):
                self.start()
                self.assign()
                idle()
                idle = _nothing
                self._listen()
        finally:
            for each in self.workers:
                each.process.terminate()
            end = time.monotonic() + GRACE
            for each in self.workers:
                each.buried(max(end - time.monotonic(), 0))

    def _load(self) -> None:
        """Import what the workers need, once for all of them.

        Raises:
            GalfeedError: it cannot be imported.
        """
        with self.clock.phase("imports"):
            try:
                machine.load()
            except Exception as error:  # a library that is missing or damaged makes torch raise whatever comes
                what = legible(f"{type(error).__name__}: {error}")
                raise GalfeedError(f"no worker can be started: {what}") from error

    def _hired(self, asked: Options, *, fits: bool) -> Worker:
        return Worker(self.method, asked, self.journal, fits)

    def start(self) -> None:
        """Start the workers that are missing."""
        busy = sum(each.task is not None for each in self.workers)
        while len(self.workers) < min(self.size, busy + len(self.pending)):
            self.workers.append(self._hired(self.asked, fits=True))

    def assign(self) -> None:
        """Give work to those that wait."""
        for each in self.workers:
            if each.task is None and self.pending:
                unit = self.pending.popleft()
                each.give(Task("all", [unit]), self.turns.free(unit.entries))
            elif each.task is not None and not each.turn and self.turns.free(each.task.units[0].entries):
                each.allow()

    def done(self, task: Task, parcels: list[int], jobs: int) -> None:
        """A worker has done what it was given.

        Args:
            parcels: what came of it.
            jobs: how many these are of.
        """

    def lost(self, task: Task) -> bool:
        """A worker has died at a task.

        Returns:
            Whether its unit is a job that was tried alone, which is to blame; else what is left of it is tried again.
        """
        return task.units[0].alone

    def _listen(self) -> None:
        """Wait for news, and hear them."""
        news = process.wait(self.workers, TICK)
        if not news:
            self.follow(None)
        for each, dead in news.items():
            for message, parcels in each.messages():
                self._hear(each, message, parcels)
            if dead:
                self._bury(each)

    def _hear(self, each: Worker, message: Message, parcels: list[int]) -> None:
        match message:
            case Ready(phases):
                each.ready, self.stillborn = True, 0
                self._count(phases)
            case Broken(text):
                raise GalfeedError(f"no worker can be started: {text}")
            case Done(phases, _, jobs):
                task, each.task = each.task, None
                self._count(phases)
                assert task is not None
                self.done(task, parcels, jobs)
            case Outcome():
                self._settle(message)

    def _count(self, phases: dict[str, float]) -> None:
        for name, seconds in phases.items():
            self.clock.add(name, seconds)

    def _settle(self, outcome: Outcome) -> None:
        self.open.discard(outcome.index)
        self.turns.done(self.entries[outcome.index])
        self.follow(outcome)

    def _bury(self, each: Worker) -> None:
        """Go on after the death of a worker: what it has written is kept, the rest is tried again, job by job."""
        self.workers.remove(each)
        each.buried(0)
        task, code = each.task, each.process.exitcode
        if not each.ready:
            self.stillborn += 1
            if self.stillborn >= STILLBORN:
                raise GalfeedError(f"no worker can be started: {_cause(code)}")
        if task is None:
            return
        task.drop()
        blamed = each.ready and self.lost(task)
        for unit in reversed(task.units):
            left = self._left(unit)
            if not each.ready:
                self.pending.appendleft(unit)
            elif blamed and left:
                self._blame(left[0], code)
            else:
                self.pending.extendleft(reversed(left_alone(left, unit)))

    def _left(self, unit: Unit) -> list[Entry]:
        """The jobs of a unit that are not done, by the journal."""
        state = self.state
        state.look()
        open_still = [entry for entry in unit.entries if entry.index in self.open]
        left = [entry for entry in open_still if not settle(entry, state, self.journal)]
        for outcome in outcomes([entry.index for entry in open_still], state):
            self._settle(outcome)
        unit.earlier.update({entry.index: state.intents[entry.index] for entry in left if entry.index in state.intents})
        return left

    def _blame(self, entry: Entry, code: int | None) -> None:
        row = rows.failed(entry, 1, entry.located(f"the process that worked on it {_cause(code)}"))
        with suppress(GalfeedError):
            self.journal.failed(entry.index, row)
        self._settle(Outcome.of(entry.index, row))


class Pipeline(Pool):
    """Runs units through readers, one fitter for each device, and writers, with shared memory in between.

    Args:
        devices: of the fitters.
        most: how many jobs a fitter is given at once.
    """

    def __init__(self, plan: Plan, devices: Sequence[str], most: int) -> None:
        super().__init__(plan)
        self.devices, self.most = devices, most
        self.read: list[tuple[Unit, int]] = []
        self.fitted: list[tuple[Unit, list[int]]] = []
        self.flying: dict[int, Unit] = {}
        self.room = machine.memory() // SHARE

    def start(self) -> None:
        fitting = [each.asked.device for each in self.workers if each.fits]
        for device in self.devices:
            if device not in fitting:
                self.workers.append(self._hired(replace(self.asked, device=device), fits=True))
        while len(self.workers) < len(self.devices) + self.size:
            self.workers.append(self._hired(self.asked, fits=False))

    def assign(self) -> None:
        for each in self.workers:
            if each.task is None:
                task = self._to_fit() if each.fits else self._to_write() or self._to_read()
                if task is not None:
                    each.give(task)

    def _to_fit(self) -> Task | None:
        """What has been read, as much as fits together."""
        task = Task("fit", [])
        jobs = size = 0
        while self.read:
            unit, file = self.read[0]
            jobs += len(unit.entries)
            size += parcel.size(file)
            if task.units and (jobs > self.most or size > FITTED or unit.alone):
                break
            del self.read[0]
            task.units.append(unit)
            task.parcels.append(file)
            if unit.alone:
                break
        return task if task.units else None

    def _to_write(self) -> Task | None:
        """The first that has been fitted and that nothing must be written before."""
        for place, (unit, files) in enumerate(self.fitted):
            if self.turns.free(unit.entries):
                del self.fitted[place]
                return Task("write", [unit], files)
        return None

    def _to_read(self) -> Task | None:
        """The next unit, unless there is enough in memory; the first of all that are left never waits."""
        if not self.pending:
            return None
        first = self.pending[0].entries[0].index
        jobs = sum(len(unit.entries) for unit in self.flying.values())
        full = jobs >= AHEAD * self.most * len(self.devices) or len(self.flying) >= FLYING or self._held() >= self.room
        if full and self.flying and first > min(self.flying):
            return None
        unit = self.pending.popleft()
        self.flying[first] = unit
        return Task("read", [unit])

    def _held(self) -> int:
        """Bytes of all that has been read and not yet been written."""
        waiting = sum(parcel.size(file) for _, file in self.read)
        fitted = sum(parcel.size(file) for _, files in self.fitted for file in files)
        return waiting + fitted + sum(each.task.size for each in self.workers if each.task)

    def done(self, task: Task, parcels: list[int], jobs: int) -> None:
        match task.stage:
            case "read":
                unit = task.units[0]
                if jobs < len(unit.entries):  # its images are large
                    unit, rest = unit.split(jobs)
                    self.flying[unit.entries[0].index] = unit
                    self.pending.appendleft(rest)
                self.read.append((unit, parcels[0]))
                self.read.sort(key=lambda each: each[0].entries[0].index)
            case "fit":
                files = zip(task.parcels, parcels, strict=True)
                self.fitted += [(unit, [*both]) for unit, both in zip(task.units, files, strict=True)]
                self.fitted.sort(key=lambda each: each[0].entries[0].index)
            case _:
                task.drop()
                del self.flying[task.units[0].entries[0].index]

    def lost(self, task: Task) -> bool:
        for unit in task.units:
            del self.flying[unit.entries[0].index]
        return task.units[0].alone


def left_alone(left: Sequence[Entry], unit: Unit) -> list[Unit]:
    """Units of one job each for what is left of one."""
    return [Unit((e,), {i: old for i, old in unit.earlier.items() if i == e.index}, alone=True) for e in left]


def settle(entry: Entry, state: State, journal: Journal) -> bool:
    """Whether a job is done: the journal says so, or all of its outputs are there, which is then put down."""
    if entry.index in state.ended:
        return True
    intent = state.intents.get(entry.index)
    if intent is None or not intent.logged(entry.folder):
        return False
    journal.done(entry.index)
    state.finish(entry.index)
    return True


def outcomes(indices: Iterable[int], state: State) -> Iterator[Outcome]:
    """How those of the jobs that have ended did."""
    ended = [index for index in indices if index in state.ended]
    for index, row in zip(ended, state.rows(ended), strict=True):
        assert row is not None
        yield Outcome.of(index, row)


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
    return f"ended with exit code {code}"


def _nothing() -> None:
    """What is done the second time."""

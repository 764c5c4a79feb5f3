"""A process that reads, fits and writes units of jobs for the main process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from galfeed import machine
from galfeed.clock import Clock
from galfeed.errors import legible
from galfeed.onejob import Loaded
from galfeed.options import Options
from galfeed.survey import parcel, stages
from galfeed.survey.entries import Entry
from galfeed.survey.journal import Journal
from galfeed.survey.stages import Failure, Fitter, Jobs, LostDevice, Outcome, Results, Unit, Writer

PR_SET_PDEATHSIG = 1
"""Number of Linux's prctl.h."""

STOPPING = (signal.SIGINT, signal.SIGTERM)

LOOK = 1.0
"""Seconds between looks whether the main process is still there, where the system does not tell."""


class Ready(NamedTuple):
    """The process has what it needs.  Args: phases: seconds it took."""

    phases: dict[str, float]


class Broken(NamedTuple):
    """The process cannot work at all.  Args: message: why, one line."""

    message: str


class Work(NamedTuple):
    """A unit to be read, fitted and written.  Args: turn: it may be written at once; else it waits for a Turn."""

    unit: Unit
    turn: bool


class Turn(NamedTuple):
    """The unit may be written."""


class Read(NamedTuple):
    """A unit to be read; the answer is :class:`Done` with a parcel of its first jobs, as many as are read at once."""

    unit: Unit


class Fit(NamedTuple):
    """Units to be fitted together; a parcel of jobs each follows.  The answer is Done with a parcel of results each."""

    parcels: int


class Write(NamedTuple):
    """A unit to be written; the parcels of its jobs and results follow."""

    unit: Unit


class Done(NamedTuple):
    """What was asked for is done.  Args: phases: seconds it took.  parcels: how many follow.  jobs: in all of them."""

    phases: dict[str, float]
    parcels: int = 0
    jobs: int = 0


class Stopped(Exception):
    """The main process is gone."""


class Ending:
    """Ends the process when asked to, but not between the files of a job."""

    def __init__(self) -> None:
        self.busy = self.asked = False
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process has been told, too
        signal.signal(signal.SIGTERM, self._ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self.busy:
            os._exit(0)

    def __enter__(self) -> None:
        self.busy = True

    def __exit__(self, *_: object) -> None:
        self.busy = False
        if self.asked:
            os._exit(0)


def serve(connection: Connection, asked: Options, journal: Path, parent: int, fits: bool) -> None:
    """The life of the process.

    Args:
        connection: to the main process.
        parent: its process id.
        fits: whether it will be given something to fit.
    """
    ending = Ending()
    die_with(parent)
    try:
        server = _Server(connection, asked, Journal(journal), parent, ending)
        server.start(fits)
        server.serve()
    except (Stopped, BrokenPipeError, ConnectionResetError, LostDevice):
        os._exit(1)
    except Exception as error:
        connection.send(Broken(legible(f"{type(error).__name__}: {error}")))
        os._exit(1)
    os._exit(0)  # without taking torch apart


class _Server:
    """A process that does what it is told."""

    def __init__(self, connection: Connection, asked: Options, journal: Journal, parent: int, ending: Ending) -> None:
        self.connection, self.asked, self.journal = connection, asked, journal
        self.parent, self.ending = parent, ending
        self.clock, self.loaded = Clock(), False
        self.fitter = Fitter(asked)

    def start(self, fits: bool) -> None:
        if fits:
            self.load()
        self.connection.send(Ready(self.clock.taken()))

    def load(self) -> None:
        """Import torch, unless the main process has, and get ready to use it; once."""
        if not self.loaded:
            with self.clock.phase("imports"):
                machine.load()
                machine.prepare()
            self.loaded = True

    def serve(self) -> None:
        while True:
            match self.hear():
                case None:
                    return
                case Work(unit, turn):
                    self.work(unit, turn)
                case Read(unit):
                    self.answer([[job for _, job in self.read(iter(unit.entries))]])
                case Fit(number):
                    self.fit(number)
                case Write(unit):
                    self.load()
                    jobs, results = self.parcel(), self.parcel()
                    self.write(Writer(unit, self.asked, self.journal, self.clock), unit.entries, jobs, results)
                    self.answer([])

    def hear(self) -> object:
        with self.clock.phase("waiting"):
            return receive(self.connection, self.parent)

    def work(self, unit: Unit, turn: bool) -> None:
        writer = Writer(unit, self.asked, self.journal, self.clock)
        left = iter(unit.entries)
        while entries := self.read(left):
            jobs = [job for _, job in entries]
            with self.clock.phase("fit"):
                results = self.fitter.fit(jobs)
            if not turn and self.hear() is None:
                raise Stopped
            turn = True
            self.write(writer, [entry for entry, _ in entries], jobs, results)
        self.answer([])

    def read(self, entries: Iterator[Entry]) -> list[tuple[Entry, Loaded | Failure]]:
        """As many of the next jobs as are read at once."""
        jobs, pixels = [], stages.PIXELS
        for entry in entries:
            jobs.append((entry, stages.read(entry, self.asked, self.clock)))
            pixels -= stages.pixels(jobs[-1][1])
            if pixels <= 0:
                break
        return jobs

    def fit(self, number: int) -> None:
        """Fit the jobs of several units in one batch."""
        units: list[Jobs] = [self.parcel() for _ in range(number)]
        with self.clock.phase("fit"):
            results = iter(self.fitter.fit([job for jobs in units for job in jobs]))
        self.answer([[next(results) for _ in jobs] for jobs in units])

    def write(self, writer: Writer, entries: Sequence[Entry], jobs: Jobs, results: Results) -> None:
        """Write jobs one by one, and let go of each."""
        said = writer.doubts(jobs, results)
        for backwards in (said, jobs, results):
            backwards.reverse()
        for entry in entries:
            with self.ending:
                self.connection.send(writer.write(entry, jobs.pop(), results.pop(), said.pop()))

    def answer(self, records: list[Jobs] | list[Results]) -> None:
        with self.clock.phase("carrying"):
            files = [parcel.pack(record) for record in records]
        self.connection.send(Done(self.clock.taken(), len(files), sum(map(len, records))))
        for file in files:
            parcel.send(self.connection, file, self.parent)
            os.close(file)

    def parcel(self) -> Any:
        with self.clock.phase("carrying"):
            file = parcel.receive(self.connection)
            try:
                return parcel.unpack(file)
            finally:
                os.close(file)


def receive(connection: Connection, parent: int) -> object:
    """The next message.

    Raises:
        Stopped: the main process is gone.
    """
    try:
        while not connection.poll(LOOK):
            if os.getppid() != parent:
                raise Stopped
        return connection.recv()
    except (EOFError, ConnectionResetError):
        raise Stopped from None


def die_with(parent: int) -> None:
    """See to it that the process does not outlive the main process, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


Message = Ready | Broken | Outcome | Done
"""What a worker sends."""

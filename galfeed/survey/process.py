"""A worker as the main process sees it: how its process is made, what it is given, what it says."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from typing import Literal

from galfeed.options import Options
from galfeed.survey import parcel, worker
from galfeed.survey.journal import Journal
from galfeed.survey.stages import Unit
from galfeed.survey.worker import Done, Fit, Message, Read, Turn, Work, Write

Method = Literal["fork", "spawn"]


@dataclass(eq=False)
class Task:
    """What a worker does.

    Args:
        stage: "all" of it, or one of "read", "fit" and "write".
        units: one; of "fit" also several.
        parcels: files, of the jobs and, to be written, the results.
    """

    stage: Literal["all", "read", "fit", "write"]
    units: list[Unit]
    parcels: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the parcels."""
        return sum(map(parcel.size, self.parcels))

    def drop(self) -> None:
        """Let go of the parcels."""
        close(self.parcels)


class Worker:
    """A process and what it has been given.

    Args:
        method: how it is made.
        asked: the options, with the device that it is to use.
        fits: whether it will be given something to fit.
    """

    def __init__(self, method: Method, asked: Options, journal: Journal, fits: bool) -> None:
        context = get_context(method)
        self.connection, other = context.Pipe()
        arguments = (other, asked, journal.path, os.getpid(), fits)
        self.process: BaseProcess = context.Process(target=worker.serve, args=arguments, daemon=True)  # type: ignore[attr-defined]
        with warnings.catch_warnings(), _later(worker.STOPPING):
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of numpy, which survive it
            self.process.start()
        other.close()
        self.asked, self.fits = asked, fits
        self.ready = self.turn = False
        self.task: Task | None = None

    def give(self, task: Task, turn: bool = True) -> None:
        """Let it do something, its turn to write included or not."""
        self.task, self.turn = task, turn
        message: object = Work(task.units[0], turn)
        if task.stage == "read":
            message = Read(task.units[0])
        elif task.stage == "fit":
            message = Fit(len(task.parcels))
        elif task.stage == "write":
            message = Write(task.units[0])
        self._send(message, task.parcels)

    def allow(self) -> None:
        """Let it write, now that it has its turn."""
        self.turn = True
        self._send(Turn(), [])

    def _send(self, message: object, parcels: Sequence[int]) -> None:
        try:
            self.connection.send(message)
            for file in parcels:
                assert self.process.pid is not None
                parcel.send(self.connection, file, self.process.pid)
        except OSError:  # it is dead, as will be seen
            pass

    def messages(self) -> Iterator[tuple[Message, list[int]]]:
        """What it has said so far, with the parcels that came along."""
        files: list[int] = []
        try:
            while self.connection.poll():
                message, files = self.connection.recv(), []
                for _ in range(message.parcels if isinstance(message, Done) else 0):
                    files.append(parcel.receive(self.connection))
                yield message, files
        except (EOFError, OSError, RuntimeError):
            close(files)

    def buried(self, wait: float) -> None:
        """End it, if it does not end by itself in so many seconds."""
        self.process.join(wait)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


def method() -> Method:
    """How the workers of this process are made.

    By a fork they have what this process has loaded.  It is not for a process with threads, or one that may have used
    torch, whose own threads do not survive it; to have imported torch does no harm.
    """
    alone = threading.active_count() == 1 and "torch" not in sys.modules
    return "fork" if sys.platform == "linux" and alone else "spawn"


def wait(workers: Sequence[Worker], seconds: float) -> dict[Worker, bool]:
    """Those that have said something or have died by then, and whether they have died."""
    news = connection.wait([s for w in workers for s in (w.connection, w.process.sentinel)], seconds)
    heard = [w for w in workers if w.connection in news or w.process.sentinel in news]
    return {each: not each.process.is_alive() for each in heard}


def close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


@contextmanager
def _later(signals: Collection[signal.Signals]) -> Iterator[None]:
    """Signals wait: a new process is told what to do with them first."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)

"""What a journal says: which jobs are done or have failed, and what is under way; see ``journal`` for its records."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from galfeed.output import fitlog
from galfeed.survey.rows import Row

ENTRY = f"{fitlog.RULE}\n\nInput image".encode()


class Intent(NamedTuple):
    """What is about to be written for a job.

    Args:
        restart: the name of the restart file; None if there is none.
        digest: of its text.
        size: of ``fit.log``, bytes, before.
        entry: length and digest of what is appended to it; None if nothing is.
    """

    restart: str | None
    digest: str
    size: int
    entry: tuple[int, str] | None

    def logged(self, folder: Path) -> bool:
        """Whether ``fit.log`` holds the entry."""
        if self.entry is None:
            return False
        length, digest = self.entry
        tail = log_tail(folder, self.size)
        start = tail.find(ENTRY)
        while start >= 0:
            if digest_of(tail[start : start + length]) == digest:
                return True
            start = tail.find(ENTRY, start + 1)
        return False


class State:
    """What a journal says.  The rows stay in it until they are asked for: a million would fill the memory.

    It holds the file open, so that it does not matter if somebody removes it.

    Args:
        path: of the journal.

    Raises:
        OSError: it cannot be read.

    Attributes:
        header: of the run; None if the journal has none.
        failed: jobs that have failed, by index.
        intents: of jobs that are neither done nor have failed.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        self.header: dict[str, Any] | None = None
        self.failed: set[int] = set()
        self.intents: dict[int, Intent] = {}
        self._rows: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        self._end = 0
        self.look()

    @property
    def ended(self) -> Collection[int]:
        """Jobs that are done or have failed."""
        return self._rows.keys()

    def look(self) -> None:
        """Read what has been appended since."""
        with open(self._file, "rb", closefd=False) as journal:
            journal.seek(self._end)
            for line in journal:
                start, end = self._end, self._end + len(line)
                try:
                    record = json.loads(line)
                except ValueError:  # blank, or cut off by the end of a process
                    self._end = end if line.endswith(b"\n") else start
                    continue
                self._end = end
                if isinstance(record, dict):
                    self._learn(record, start)

    def _learn(self, record: dict[str, Any], start: int) -> None:
        """Args: start: of the record in the file."""
        if "journal" in record:
            self.header = record
        elif "intent" in record:
            (size, entry), index = record["log"], record["intent"]
            self.forget(index)
            self.intents[index] = Intent(record["restart"], record["digest"], size, tuple(entry) if entry else None)
            self._begun[index] = start
        elif "done" in record:
            index = record["done"]
            if index in self.intents:
                self.finish(index)
            elif "row" in record:
                self._rows[index] = start
        elif "failed" in record:
            index = record["failed"]
            self.intents.pop(index, None)
            self._rows[index] = start
            self.failed.add(index)

    def finish(self, index: int) -> None:
        """A job that was begun is done."""
        del self.intents[index]
        self._rows[index] = self._begun.pop(index)

    def forget(self, index: int) -> None:
        """A job is to be done again."""
        self._rows.pop(index, None)
        self.failed.discard(index)

    def rows(self, indices: Iterable[int]) -> Iterator[Row | None]:
        """Rows of jobs; None for one that has not ended."""
        with open(self._file, "rb", closefd=False) as journal:
            for index in indices:
                start = self._rows.get(index)
                if start is None:
                    yield None
                    continue
                journal.seek(start)
                row: Row = json.loads(journal.readline())["row"]
                yield row


def digest_of(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def log_tail(folder: Path, start: int) -> bytes:
    """What ``fit.log`` holds from a byte on."""
    try:
        with open(folder / fitlog.NAME, "rb") as log:
            log.seek(start)
            return log.read()
    except FileNotFoundError:
        return b""


def log_size(folder: Path) -> int:
    try:
        return os.path.getsize(folder / fitlog.NAME)
    except FileNotFoundError:
        return 0

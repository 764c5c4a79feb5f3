"""What a journal says: which jobs are done or have failed, and what is under way; see ``journal`` for its records."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from galfeed.errors import GalfeedError
from galfeed.output import fitlog
from galfeed.survey.rows import Row, is_row

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
        GalfeedError: a line of it is no record of a job.

    Attributes:
        failed: jobs that have failed, by index.
        intents: of jobs that are neither done nor have failed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        self.failed: set[int] = set()
        self.intents: dict[int, Intent] = {}
        self._rows: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        self._end = self._lines = 0
        self.look()

    @property
    def ended(self) -> Collection[int]:
        """Jobs that are done or have failed."""
        return self._rows.keys()

    def look(self) -> None:
        """Read what has been appended since.

        Raises:
            GalfeedError: a line is no record of a job.
        """
        with open(self._file, "rb", closefd=False) as journal:
            journal.seek(self._end)
            for line in journal:
                whole = line.endswith(b"\n")
                try:
                    record = json.loads(line)
                except ValueError:  # blank, or cut off by the end of a process
                    if not whole:
                        return
                else:
                    self._learn(record)
                self._end += len(line)
                self._lines += whole

    def _learn(self, record: Any) -> None:
        """A record that begins where the reading is.

        Raises:
            GalfeedError: it is none.
        """
        try:
            if "journal" in record:
                return
            if "row" in record and not is_row(record["row"]):
                raise ValueError
            if "intent" in record:
                (size, entry), index = record["log"], int(record["intent"])
                intent = Intent(record["restart"], record["digest"], int(size), tuple(entry) if entry else None)
                self.forget(index)
                self.intents[index], self._begun[index] = intent, self._end
            elif "done" in record:
                index = int(record["done"])
                if index in self.intents:
                    self.finish(index)
                elif "row" in record:
                    self._rows[index] = self._end
            else:
                index = int(record["failed"])
                self.intents.pop(index, None)
                self._rows[index] = self._end
                self.failed.add(index)
        except (KeyError, TypeError, ValueError):
            where = f"{self.path}:{self._lines + 1}"
            raise GalfeedError(f"{where}: the journal is damaged here, expected a record of a job") from None

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

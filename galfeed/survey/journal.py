"""The journal of a batch: what has been done, so that a run that was killed can go on without doing it twice.

One JSON record a line, each appended in one write that begins with the line break: a record that a dying process
leaves unfinished spoils no other.  The first line says what the run is.  Then there are for a job, in this order,

- ``intent``: what is about to be written, before anything is: the row of the catalogue, the restart file's name and
  digest, how long ``fit.log`` was and what will be appended to it;
- ``done``, with the row if there was no intent; or ``failed``, with the row.

The last one counts.  An intent without an end is done if ``fit.log`` holds its entry, which is the last of a job's
outputs; else the job is done again, under the same name.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from galfeed import __version__
from galfeed.errors import GalfeedError, OutputError
from galfeed.options import Options
from galfeed.output import files, fitlog
from galfeed.survey.entries import Entry
from galfeed.survey.rows import Row

FORMAT = 1
DEFAULT = "galfeed.journal"
SUFFIX, OLD = ".journal", ".old"
PATIENCE = 10.0
"""Seconds to wait for the processes of a killed run to be gone."""

RESULTS = ("mode", "max_iterations", "noskyest", "skyped", "skyrms", "outsig", "exact", "cwd", "device", "dtype")
"""Options that change what is written, beside the wanted outputs."""

ENTRY = f"{fitlog.RULE}\n\nInput image".encode()


class Intent(NamedTuple):
    """What is about to be written for a job.

    Args:
        row: of the catalogue.
        restart: the name of the restart file; None if there is none.
        digest: of its text.
        size: of ``fit.log``, bytes, before.
        entry: length and digest of what is appended to it; None if nothing is.
    """

    row: Row
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
    """What a journal says.

    Args:
        header: of the run; None if the journal has none.
        rows: of jobs that are done or have failed, by index.
        intents: of jobs that are neither.
    """

    def __init__(self, records: Iterator[dict[str, Any]]) -> None:
        self.header: dict[str, Any] | None = None
        self.rows: dict[int, Row] = {}
        self.intents: dict[int, Intent] = {}
        for record in records:
            if "journal" in record:
                self.header = record
            elif "intent" in record:
                size, entry = record["log"]
                index = record["intent"]
                self.rows.pop(index, None)
                self.intents[index] = Intent(
                    record["row"], record["restart"], record["digest"], size, tuple(entry) if entry else None
                )
            elif "done" in record:
                index = record["done"]
                intent = self.intents.pop(index, None)
                self.rows[index] = record["row"] if intent is None else intent.row
            elif "failed" in record:
                self.intents.pop(record["failed"], None)
                self.rows[record["failed"]] = record["row"]


class Journal:
    """A journal to write to.  All processes of a run share its lock."""

    def __init__(self, path: Path) -> None:
        """Open a journal that exists.

        Raises:
            OSError: it cannot be opened.
        """
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def close(self) -> None:
        os.close(self._file)

    def put(self, record: dict[str, Any]) -> None:
        """Append a record.

        Raises:
            OutputError: it cannot be written.
        """
        data = b"\n" + json.dumps(record, separators=(",", ":")).encode()
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {files.reason(error)}") from None
        if written < len(data):
            raise OutputError(f"{self.path}: cannot be written: no space left on device")

    def intent(self, index: int, intent: Intent, said: Sequence[str]) -> None:
        record = {"intent": index, "restart": intent.restart, "digest": intent.digest}
        self.put(record | {"log": [intent.size, intent.entry], "said": list(said), "row": intent.row})

    def done(self, index: int, row: Row | None = None, said: Sequence[str] = ()) -> None:
        self.put({"done": index} | ({} if row is None else {"said": list(said), "row": row}))

    def failed(self, index: int, row: Row) -> None:
        self.put({"failed": index, "row": row})

    def state(self) -> State:
        return state_of(self.path)


def state_of(path: Path) -> State:
    """What a journal says; nothing if there is no header."""
    return State(_records(path.read_bytes()))


def open_journal(path: Path, entries: Sequence[Entry], asked: Options) -> tuple[Journal, State, bool]:
    """Begin a journal, or go on with one.

    An older journal that is not gone on with is kept under its name and ``.old``.

    Returns:
        The journal, what it says, and whether it was there to go on with.

    Raises:
        GalfeedError: it cannot be written, another run is using it, or it is that of a different run.
    """
    header = _header(entries, asked)
    try:
        state = State(iter(()))
        if path.exists():
            _wait_until_free(path)
            state = state_of(path)
            if not asked.resume or state.header is None:
                os.replace(path, path.with_name(path.name + OLD))
        resumed = asked.resume and state.header is not None
        if resumed:
            _check_same(path, state.header or {}, header)
        else:
            state = State(iter(()))
            files.create(path, json.dumps(header, separators=(",", ":")).encode())
        return Journal(path), state, resumed
    except OSError as error:
        raise GalfeedError(f"{path}: the journal cannot be written: {files.reason(error)}; see --journal") from None


def name_of(asked: Options) -> Path:
    """Where the journal of a run is."""
    if asked.journal is not None:
        return Path(asked.journal)
    return Path(asked.catalog + SUFFIX) if asked.catalog is not None else Path(DEFAULT)


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


def _records(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:  # blank, or cut off by the end of a process
            continue
        if isinstance(record, dict):
            yield record


def _header(entries: Sequence[Entry], asked: Options) -> dict[str, Any]:
    words = "\n".join(f"{os.path.realpath(e.folder)}\t{os.path.abspath(e.menu)}\t{e.label}" for e in entries)
    options = {word: value for word, value in asdict(asked).items() if word in RESULTS}
    return {
        "journal": FORMAT,
        "galfeed": __version__,
        "jobs": len(entries),
        "menus": digest_of(os.fsencode(words)),
        "options": options | {"outputs": sorted(asked.wanted)},
    }


def _check_same(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Refuse to go on with a different run."""
    what = f"{path}: this journal is of a different run, so --resume cannot go on with it: "
    if (old["journal"], old["galfeed"]) != (new["journal"], new["galfeed"]):
        raise GalfeedError(f"{what}it was made by galfeed {old['galfeed']}")
    if (old["jobs"], old["menus"]) != (new["jobs"], new["menus"]):
        raise GalfeedError(f"{what}it has {old['jobs']} input files, this run {new['jobs']}, not all of them the same")
    words = [word for word in new["options"] if old["options"].get(word) != new["options"][word]]
    if words:
        raise GalfeedError(f"{what}the options differ ({', '.join(words)})")


def _wait_until_free(path: Path) -> None:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise GalfeedError(f"{path}: another run is using this journal; see --journal") from None
            time.sleep(0.05)
    finally:
        os.close(file)

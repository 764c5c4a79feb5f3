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
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from galfeed import __version__
from galfeed.errors import GalfeedError, OutputError
from galfeed.options import Options
from galfeed.output import files
from galfeed.survey.entries import Entry
from galfeed.survey.rows import Row
from galfeed.survey.state import Intent, State, digest_of

FORMAT = 1
HEADER = {"journal", "galfeed", "jobs", "menus", "options"}
DEFAULT = "galfeed.journal"
SUFFIX, OLD = ".journal", ".old"
PATIENCE = 10.0
"""Seconds to wait for the processes of a killed run to be gone."""

RESULTS = ("mode", "max_iterations", "noskyest", "skyped", "skyrms", "outsig", "exact", "cwd", "device", "dtype")
"""Options that change what is written, beside the wanted outputs."""


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

    def intent(self, index: int, intent: Intent, row: Row, said: Sequence[str]) -> None:
        record = {"intent": index, "restart": intent.restart, "digest": intent.digest}
        self.put(record | {"log": [intent.size, intent.entry], "said": list(said), "row": row})

    def done(self, index: int, row: Row | None = None, said: Sequence[str] = ()) -> None:
        self.put({"done": index} | ({} if row is None else {"said": list(said), "row": row}))

    def failed(self, index: int, row: Row) -> None:
        self.put({"failed": index, "row": row})


def open_journal(path: Path, entries: Sequence[Entry], asked: Options) -> tuple[Journal, State, bool]:
    """Begin a journal, or go on with one.

    An older journal that is not gone on with is kept under its name and ``.old``.

    Returns:
        The journal, what it says, and whether it was there to go on with.

    Raises:
        GalfeedError: it cannot be written, another run is using it, it is that of a different run, or it is damaged.
    """
    header = _header(entries, asked)
    try:
        if path.exists():
            _wait_until_free(path)
            old = _header_of(path) if asked.resume else None
            if old is not None:
                _check_same(path, old, header)
                return Journal(path), State(path), True
            os.replace(path, path.with_name(path.name + OLD))
        files.create(path, json.dumps(header, separators=(",", ":")).encode())
        return Journal(path), State(path), False
    except OSError as error:
        raise GalfeedError(f"{path}: the journal cannot be written: {files.reason(error)}; see --journal") from None


def name_of(asked: Options) -> Path:
    """Where the journal of a run is."""
    if asked.journal is not None:
        return Path(asked.journal)
    return Path(asked.catalog + SUFFIX) if asked.catalog is not None else Path(DEFAULT)


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


def _header_of(path: Path) -> dict[str, Any] | None:
    """What a journal's first line says; None if that is no such line."""
    with open(path, "rb") as journal:
        try:
            found = json.loads(journal.readline())
        except ValueError:
            return None
    whole = isinstance(found, dict) and isinstance(found.get("options"), dict) and HEADER <= found.keys()
    return found if whole else None


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

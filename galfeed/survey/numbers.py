"""Restart files and ``fit.log`` of a batch: the same as of single runs, and every step in the journal before it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from galfeed.onejob import Numbers
from galfeed.output import files, fitlog, restart
from galfeed.survey.journal import Journal
from galfeed.survey.rows import Row
from galfeed.survey.state import Intent, digest_of, log_size, log_tail


class JournaledNumbers(Numbers):
    """The numbers of one job.

    Args:
        journal: receives the intent.
        index: of the job.
        row: makes the row of the catalogue from the name of the restart file.
        said: warnings and doubts, for the journal.
        earlier: what a killed run was about to write for this job.
        free: the free names by folder, as far as they are known; shared by jobs that have the folders for themselves.
    """

    def __init__(
        self,
        journal: Journal,
        index: int,
        row: Callable[[str | None], Row],
        said: Sequence[str],
        earlier: Intent | None,
        free: dict[Path, Iterator[str]],
    ) -> None:
        self.journal, self.index, self.row, self.said = journal, index, row, said
        self.earlier, self.free = earlier, free
        self.intended = False

    def next(self, folder: Path) -> str:
        names = self._names(folder)
        name = next(names)
        self.free[folder] = itertools.chain([name], names)
        return name

    def claim(self, folder: Path, text: str, entry: Callable[[str], str]) -> str:
        digest = digest_of(encoded(text))
        names: Iterator[str] = self._names(folder)
        if self.earlier is not None and self.earlier.restart is not None:
            old = self.earlier.restart
            if self._is_own(folder / old):
                self._intend(folder, old, digest, entry(old))
                files.replace(folder / old, encoded(text))
                return old
            names = itertools.chain([old], names)

        def announced() -> Iterator[str]:
            for name in names:
                self._intend(folder, name, digest, entry(name))
                yield name

        return restart.claim(folder, text, announced())

    def log(self, folder: Path, entry: str) -> None:
        if not self.intended:
            self._intend(folder, None, "", entry)
        if self.earlier is not None:
            self._repair(folder, encoded(entry))
        super().log(folder, entry)

    def _names(self, folder: Path) -> Iterator[str]:
        """Free names from the lowest on, those that were given out not again."""
        if folder not in self.free:
            taken = set(os.listdir(folder))
            every = (f"galfit.{number:02d}" for number in itertools.count(1))
            self.free[folder] = (name for name in every if name not in taken)
        return self.free[folder]

    def _intend(self, folder: Path, name: str | None, digest: str, entry: str) -> None:
        data = encoded(entry)
        size = log_size(folder) if self.earlier is None else self.earlier.size
        ending = (len(data), digest_of(data)) if data else None
        self.journal.intent(self.index, Intent(name, digest, size, ending), self.row(name), self.said)
        self.intended = True

    def _is_own(self, path: Path) -> bool:
        """Whether a restart file is the one that the killed run has written."""
        assert self.earlier is not None
        try:
            return digest_of(path.read_bytes()) == self.earlier.digest
        except FileNotFoundError:
            return False

    def _repair(self, folder: Path, entry: bytes) -> None:
        """Take back the beginning of the entry that a killed process has left at the end of ``fit.log``."""
        assert self.earlier is not None
        tail = log_tail(folder, self.earlier.size)
        if tail and len(tail) < len(entry) and entry.startswith(tail):
            os.truncate(folder / fitlog.NAME, self.earlier.size)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

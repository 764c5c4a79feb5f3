"""Who may write: in one folder the jobs are written in the order of the batch."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from galfeed.survey.entries import Entry


class Turns:
    """The order of writing in each folder.

    Args:
        entries: the jobs that are still to be done.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._real: dict[Path, str] = {}
        self._waiting: defaultdict[str, list[int]] = defaultdict(list)
        self._next: defaultdict[str, int] = defaultdict(int)
        self._done: set[int] = set()
        for entry in entries:
            self._waiting[self._place(entry)].append(entry.index)

    def free(self, entries: Sequence[Entry]) -> bool:
        """Whether nothing that comes before these jobs, one behind the other, is left to be written beside them."""
        return all(self._first(self._place(entry)) >= entries[0].index for entry in entries)

    def done(self, entry: Entry) -> None:
        """A job is written, or has failed."""
        self._done.add(entry.index)

    def _place(self, entry: Entry) -> str:
        if entry.folder not in self._real:
            self._real[entry.folder] = os.path.realpath(entry.folder)
        return self._real[entry.folder]

    def _first(self, place: str) -> int:
        """The first job of a folder that is not done."""
        waiting = self._waiting[place]
        while waiting[self._next[place]] in self._done:
            self._next[place] += 1
        return waiting[self._next[place]]

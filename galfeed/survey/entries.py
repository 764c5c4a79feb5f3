"""Which menus a command line means: files, directories, and lists of both."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from galfeed.errors import GalfeedError
from galfeed.options import LIST, Options
from galfeed.output.files import reason

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Entry:
    """One menu of a batch.

    Args:
        index: its place in the batch, from 0.
        menu: where it is, from here; what is said about it begins with this.
        label: what its outputs call it.
        folder: what the names in it are relative to, and where its outputs go.
    """

    index: int
    menu: str
    label: str
    folder: Path

    def located(self, message: str) -> str:
        """A message about the menu, which calls it by its label, under the name that it has from here."""
        if self.menu != self.label and message.startswith(f"{self.label}:"):
            return self.menu + message.removeprefix(self.label)
        return message if message.startswith(f"{self.menu}:") else f"{self.menu}: {message}"


def find(asked: Options) -> list[Entry]:
    """All menus in order: those of a directory sorted by path, each file once.

    Raises:
        GalfeedError: a list that cannot be read, a directory or a list without menus.
    """
    apart = asked.cwd == "menu" or (asked.cwd is None and asked.several)
    found: dict[tuple[str, str], str] = {}
    for word in asked.menus:
        for menu in _menus(word, asked.glob):
            folder, name = os.path.split(menu)
            found.setdefault((os.path.realpath(folder), name), menu)
    return [
        Entry(index, menu, os.path.basename(menu) if apart else menu, Path(menu).parent if apart else Path())
        for index, menu in enumerate(found.values())
    ]


def _menus(word: str, pattern: str) -> Iterator[str]:
    if word.startswith(LIST):
        yield from _listed(word.removeprefix(LIST), pattern)
    elif os.path.isdir(word):
        yield from _inside(word, pattern)
    else:
        yield word


def _listed(name: str, pattern: str) -> Iterator[str]:
    """What a list names, one a line, relative to the folder of the list."""
    try:
        if name == STANDARD_INPUT:
            text, folder = sys.stdin.buffer.read(), ""
        else:
            text, folder = Path(name).read_bytes(), os.path.dirname(name)
    except OSError as error:
        raise GalfeedError(f"{LIST}{name}: {reason(error)}, expected a list of input files") from None
    lines = (line.strip() for line in os.fsdecode(text).splitlines())
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise GalfeedError(f"{LIST}{name}: the list is empty, expected one input file a line")
    for line in names:
        path = os.path.join(folder, line)
        yield from _inside(path, pattern) if os.path.isdir(path) else (path,)


def _inside(folder: str, pattern: str) -> list[str]:
    """The files below a directory that match, links to directories left alone."""
    found = [
        os.path.normpath(os.path.join(where, name))
        for where, _, names in os.walk(folder)
        for name in names
        if PurePath(where, name).match(pattern)
    ]
    if not found:
        raise GalfeedError(f"{folder}: no file in this directory matches '{pattern}', expected input files")
    return sorted(found, key=lambda path: path.split(os.sep))

"""Constraint files: from text to constraints (``grammar/constraints.lark`` is the reference of the language)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lark import Token, UnexpectedInput

from galfeed.errors import FeedmeError, Place, Remark
from galfeed.feedme import grammars
from galfeed.job import Constraint, Job, PairRange, Range, Tie
from galfeed.tables import header_specs

NO_FILE = "A-6"
SYNTAX = "C-1"
FIXED = "C-2"
MESSAGES = {
    NO_FILE: ("-- No constraint file found.",),
    SYNTAX: ("", "-- WARNING: error parsing the constraint file.", ""),
    FIXED: ("-- WARNING: trying to constrain a parameter that is being held fixed.",),
}
"""What GALFIT prints on stdout for each of the flags that a constraint file can set."""

QUIT = """
-- QUIT REASON: trying to constrain a component which doesn't exist.

"""

NAMES = (
    ("x", "1"),
    ("y", "2"),
    ("mag", "3"),
    ("re", "4"),
    ("rs", "4"),
    ("rb", "4"),
    ("fwhm", "4"),
    ("n", "5"),
    ("alpha", "5"),
    ("beta", "6"),
    ("gamma", "7"),
    ("q", "9"),
    ("b/a", "9"),
    ("pa", "10"),
    ("sky", "1"),
    ("c", "c0"),
)
"""Menu keys of parameter names; a name may be longer.  "alpha" is 5 for all functions, although a king has it at 6."""


LONGEST_LINE = 2000
"""Characters of a line that is read."""


@dataclass(frozen=True)
class ConstraintFile:
    """What a constraint file says.

    Args:
        constraints: in the order of the file.  All ranges of a parameter hold; where they exclude each other, the
            last one does.
        flags: of GALFIT's FLAGS, such as ("C-1",).
        messages: lines that GALFIT prints on stdout about it.
        warnings: what to say on stderr.
    """

    constraints: tuple[Constraint, ...] = ()
    flags: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    warnings: tuple[Remark, ...] = ()


def load(job: Job, folder: Path) -> ConstraintFile:
    """Read the constraint file that a menu names at ``G)``; without one there are no constraints, and flag A-6.

    Args:
        job: the menu.
        folder: what the name is relative to.

    Raises:
        FeedmeError: as :func:`parse`.
    """
    name = job.control.constraints
    warnings: tuple[Remark, ...] = ()
    if name.lower() not in ("", "none"):
        try:
            return parse((folder / name).read_bytes().decode("utf-8-sig", "surrogateescape"), name, job)
        except OSError:
            what = f"constraint file '{name}' not found: no constraints"
            warnings = (Remark(job.path, job.control.place("G"), what),)
    return ConstraintFile((), (NO_FILE,), MESSAGES[NO_FILE], warnings)


def parse(text: str, path: str, job: Job) -> ConstraintFile:
    """Read constraints on the parameters of a job, as GALFIT 3.0.5 reads them.

    Args:
        text: of the file.
        path: its name, for messages.
        job: whose components it names.

    Raises:
        FeedmeError: a tie or pair names a component that does not exist; GALFIT stops there.
    """
    reader = _Reader(path, job)
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#") and not reader.read(number, line):
            break
    flags = tuple(flag for flag in (SYNTAX, FIXED) if flag in reader.flags)
    messages = tuple(message for flag in flags for message in MESSAGES[flag])
    return ConstraintFile(tuple(reader.constraints), flags, messages, tuple(reader.warnings))


class _Reader:
    """The constraints read so far: a method for each kind of line, which says whether to read on."""

    def __init__(self, path: str, job: Job) -> None:
        self.path, self.components = path, job.components
        self.line = 0
        self.constraints: list[Constraint] = []
        self.flags: set[str] = set()
        self.warnings: list[Remark] = []

    def read(self, number: int, line: str) -> bool:
        """Take in one line; False ends the reading."""
        self.line = number
        if len(line) > LONGEST_LINE:
            return self.malformed(f"a line of {len(line)} characters, expected at most {LONGEST_LINE}")
        try:
            tree: Any = grammars.load("constraints").parse(line)
        except UnexpectedInput:
            return self.malformed(f"'{line.strip()}' is no constraint, expected one such as '1 n 0.5 to 8'")
        (constraint,) = tree.children
        return bool(getattr(self, constraint.data)(*constraint.children))

    def warn(self, message: str) -> None:
        self.warnings.append(Remark(self.path, Place(self.line), message))

    def malformed(self, message: str) -> bool:
        self.flags.add(SYNTAX)
        self.warn(f"{message}; this line and all after it are not read")
        return False

    # Kinds of lines

    def tie(self, numbers: Token, name: Token, how: Token) -> bool:
        given = sorted(set(self.existing(re.findall("[0-9]+", numbers.partition("#")[0]))))
        key = menu_key(name)
        having = [n for n in given if self.has(n, key)]
        # The first one may be fixed: then it holds the others.
        fixed = [n for n in having[1:] if self.components[n - 1].parameter(key or "").toggle == 0]
        if fixed or key is None:
            self.flags.add(FIXED)
        tied = tuple(n for n in having if n not in fixed)
        if key is not None and len(tied) > 1:
            kind: Literal["offset", "ratio"] = "offset" if how.lower().startswith("offset") else "ratio"
            self.constraints.append(Tie(tied, key, kind, self.line))
        elif fixed:
            self.warn(f"'{numbers} {name}' ties nothing, the parameter to follow is fixed")
        else:
            self.warn(f"'{numbers} {name}' ties nothing, expected two components that have '{name}'")
        return True

    def pair(self, numbers: Token, name: Token, *ends: Token) -> bool:
        first, second = self.existing(re.findall("[0-9]+", numbers)[:2])
        key = menu_key(name)
        if key is None or first == second or not (self.has(first, key) and self.has(second, key)):
            self.warn(f"'{numbers} {name}' pairs nothing, expected two components that have '{name}'")
            return True
        kind: Literal["difference", "ratio"] = "difference" if re.match("[0-9]+-", numbers) else "ratio"
        self.constraints.append(PairRange(first, second, key, kind, *self.ends(ends), self.line))
        return True

    def range(self, number: Token, name: Token, *ends: Token) -> bool:
        component = _leading_number(number)
        if not 1 <= component <= len(self.components):
            return self.malformed(f"there is no component {component}, expected 1 to {len(self.components)}")
        key = menu_key(name)
        if key is None or not self.has(component, key):
            self.warn(f"component {component} has no '{name}', so this limits nothing")
            return True
        numbers = [end for end in ends if end.type != "TO"]
        relative = len(numbers) == len(ends)
        self.constraints.append(Range(component, key, *self.ends(numbers), relative, self.line))
        return True

    # Their words

    def existing(self, words: Sequence[str]) -> list[int]:
        """Numbers of components; GALFIT takes 0 for the first."""
        numbers = [max(int(word), 1) for word in words]
        beyond = next((n for n in numbers if n > len(self.components)), 0)
        if beyond:
            what = f"there is no component {beyond} to constrain, expected 1 to {len(self.components)}"
            raise FeedmeError(self.path, self.line, what, QUIT)
        return numbers

    def has(self, number: int, key: str | None) -> bool:
        return key in header_specs(self.components[number - 1])

    def ends(self, words: Sequence[Token]) -> tuple[float, float]:
        """Ends of a range, the lower one first; GALFIT takes 0 for what is missing or no number."""
        found = [LEADING_NUMBER.match(word) for word in words] + [None] * (2 - len(words))
        values = [0.0 if match is None else float(match[0]) for match in found]
        if None in found:
            text = " ".join(words)
            self.warn(f"'{text}' is read as {values[0]:g} and {values[1]:g}, expected two numbers")
        return min(values), max(values)


def menu_key(name: str) -> str | None:
    """The menu key of a parameter by the name or number that a constraint file uses, None if GALFIT knows none."""
    name = name.lower()
    fourier = re.match("f([1-9][0-9]*)(p?)", name)
    if fourier:
        return f"f{fourier[1]}{fourier[2] or 'a'}"
    number = re.match("(r?)([0-9]+)", name)
    if number:
        return f"{number[1]}{int(number[2])}" if 1 <= int(number[2]) <= 10 else None
    return next((key for known, key in NAMES if name.startswith(known)), None)


LEADING_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?|[-+]?inf", re.I)


def _leading_number(word: str) -> int:
    found = re.match("[0-9]+", word)
    return int(found[0]) if found else 0

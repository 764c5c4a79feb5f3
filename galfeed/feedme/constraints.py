"""Constraint files: from text to constraints (``grammar/constraints.lark`` is the reference of the language)."""

from __future__ import annotations

import math
import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from lark import Token, UnexpectedInput

from galfeed.errors import FeedmeError, Place, Remark
from galfeed.feedme import grammars
from galfeed.feedme.agreement import settle, start_of
from galfeed.job import Component, Constraint, Job, PairRange, Range, Tie
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

SIZES = ("re", "rs", "rb", "fwhm", "rc", "rout")
NAMES = (
    ("x", "1", ("xc",)),
    ("y", "2", ("yc",)),
    ("mag", "3", ("mag", "mu")),
    ("re", "4", SIZES),
    ("rs", "4", SIZES),
    ("rb", "4", SIZES),
    ("fwhm", "4", SIZES),
    ("n", "5", ("n", "alpha")),
    ("alpha", "5", ("n", "alpha")),
    ("beta", "6", ("beta",)),
    ("gamma", "7", ("gamma",)),
    ("q", "9", ("q",)),
    ("b/a", "9", ("q",)),
    ("pa", "10", ("pa",)),
    ("sky", "1", ("sky",)),
    ("c", "c0", ("c0",)),
)
"""Names of parameters, which may be longer; their menu keys, whatever the function; and what they may be there."""

GALFITM = {"factor", "in", "ref"}
"""Words of GALFITM's ranges, which mean nothing here."""

LAST = 10
"""The last number of a menu line; those after it count the hidden numbers in the order of the menu."""


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
        moved: what to say of starts that constraints forbid; a fit moves them inside.
    """

    constraints: tuple[Constraint, ...] = ()
    flags: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    warnings: tuple[Remark, ...] = ()
    moved: tuple[Remark, ...] = ()


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
            content = (folder / name).read_bytes()
            found = parse(content.decode("utf-8-sig", "surrogateescape"), name, job)
            if not content.startswith(BOM_UTF8):
                return found
            what = "begins with a byte order mark, at which GALFIT 3.0.5 stops reading; it is passed over"
            return replace(found, warnings=(Remark(name, Place(1), what), *found.warnings))
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
    for number, line in enumerate((line.partition("\0")[0] for line in text.split("\n")), 1):
        if line.strip() and not line.lstrip().startswith("#") and not reader.read(number, line):
            break
    flags = tuple(flag for flag in (SYNTAX, FIXED) if flag in reader.flags)
    messages = tuple(message for flag in flags for message in MESSAGES[flag])
    agreed = settle(job, reader.constraints)
    warnings = [*reader.warnings, *(reader.remark(*odd) for odd in agreed.odd)]
    moved = tuple(reader.remark(*missed) for missed in agreed.missed)
    return ConstraintFile(agreed.kept, flags, messages, tuple(sorted(warnings, key=lambda w: w.place)), moved)


class _Reader:
    """The constraints read so far: a method for each kind of line, which says whether to read on."""

    def __init__(self, path: str, job: Job) -> None:
        self.path, self.components, self.start = path, job.components, start_of(job)
        self.specs = tuple(map(header_specs, job.components))
        self.line = 0
        self.texts: dict[int, str] = {}  # the first two words of each line
        self.constraints: list[Constraint] = []
        self.flags: set[str] = set()
        self.warnings: list[Remark] = []

    def read(self, number: int, line: str) -> bool:
        """Take in one line; False ends the reading."""
        self.line = number
        if len(line) > LONGEST_LINE:
            return self.malformed(f"a line of {len(line)} characters, expected at most {LONGEST_LINE}")
        try:
            constraint = _parsed(line)
        except UnexpectedInput:
            return self.malformed(f"'{line.strip()}' is no constraint, expected one such as '1 n 0.5 to 8'")
        self.texts[number] = " ".join(constraint.children[:2])
        return bool(getattr(self, constraint.data)(*constraint.children))

    def warn(self, message: str) -> None:
        self.warnings.append(Remark(self.path, Place(self.line), message))

    def malformed(self, message: str) -> bool:
        self.flags.add(SYNTAX)
        self.warn(f"{message}; this line and all after it are not read")
        return False

    def remark(self, constraint: Constraint, message: str) -> Remark:
        """What is to be said of a constraint read before."""
        return Remark(self.path, Place(constraint.line), f"'{self.texts[constraint.line]}' {message}")

    # Kinds of lines

    def tie(self, numbers: Token, name: Token, how: Token) -> bool:
        lowest, *others = sorted(self.existing(_parted(numbers.partition("#")[0])))
        first = max(lowest, 1)
        key = menu_key(name)
        having = [n for n in dict.fromkeys(others) if n > 0 and self.has(n, key)]
        # The first one may be fixed: then it holds the others.
        fixed = [n for n in having if self.components[n - 1].parameter(key or "").toggle == 0]
        if fixed or key is None:
            self.flags.add(FIXED)
        followers = tuple(n for n in having if n not in fixed)
        kind: Literal["offset", "ratio"] = "offset" if how.lower().startswith("offset") else "ratio"
        if key is None or not followers:
            what = "the parameter to follow is fixed" if fixed else f"expected two components that have '{name}'"
            self.warn(f"'{numbers} {name}' ties nothing, {what}")
        elif lost := self.unable_to_lead(first, name, key, kind):
            self.warn(f"{lost}, so '{numbers} {name}' holds what follows it at its start")
            self.constraints += [Tie((n, n), key, kind, self.line) for n in followers]
        else:
            if first in followers:
                self.warn(f"'{numbers} {name}' names component {first} twice and holds it at its start")
            self.constraints.append(Tie((first, *followers), key, kind, self.line))
            self.told_apart(name, (first, *followers), tied=True)
        return True

    def unable_to_lead(self, number: int, name: str, key: str, kind: str) -> str:
        """Why others cannot follow a component; empty if they can."""
        if not self.has(number, key):
            return f"component {number} has no '{name}'"
        zero = kind == "ratio" and self.start.components[number - 1].parameter(key).value == 0
        return f"'{name}' of component {number} is 0 and has no ratio to others" if zero else ""

    def pair(self, numbers: Token, name: Token, *ends: Token) -> bool:
        first, second = (max(n, 1) for n in self.existing(_parted(numbers)[:2]))
        key, other = self.key(first, name), self.key(second, name)
        if key is None or key != other or first == second:
            self.warn(f"'{numbers} {name}' pairs nothing, expected two components that have '{name}'")
            return True
        kind: Literal["difference", "ratio"] = "difference" if re.match("[^-/]*-", numbers) else "ratio"
        self.constraints.append(PairRange(first, second, key, kind, *self.ends(ends), self.line))
        self.told_apart(name, (first, second))
        return True

    def idle(self, numbers: Token, name: Token, end: Token) -> bool:
        self.warn(f"'{numbers} {name}' has no effect, expected a tie, a difference or a ratio: 1_2, 1-2 or 1/2")
        return True

    def range(self, number: Token, name: Token, *ends: Token) -> bool:
        component = _leading_number(number)
        if not 1 <= component <= len(self.components):
            return self.malformed(f"there is no component {component}, expected 1 to {len(self.components)}")
        if not re.fullmatch("[0-9]+[^0-9A-Za-z]*", number):
            self.warn(f"'{number}' is read as component {component}, expected its number")
        key = self.key(component, name)
        if key is None:
            self.warn(f"component {component} has no '{name}', so this limits nothing")
            return True
        numbers = [end for end in ends if end.type != "TO"]
        relative = len(numbers) == len(ends)
        self.constraints.append(Range(component, key, *self.ends(numbers), relative, self.line))
        self.told_apart(name, (component,))
        return True

    # Their words

    def existing(self, words: Sequence[str]) -> list[int]:
        """Numbers of components; a word without one is 0, which GALFIT mostly takes for the first."""
        numbers = list(map(_leading_number, words))
        beyond = next((n for n in numbers if n > len(self.components)), 0)
        if beyond:
            what = f"there is no component {beyond} to constrain, expected 1 to {len(self.components)}"
            raise FeedmeError(self.path, Place(self.line), what, QUIT)
        return numbers

    def key(self, number: int, name: str) -> str | None:
        """The menu key of what a name or number means for a component, None if it has none."""
        found = re.match("[0-9]+", name)
        if found and int(found[0]) > LAST:
            hidden = _hidden(self.components[number - 1])
            key = hidden[int(found[0]) - LAST - 1] if int(found[0]) - LAST <= len(hidden) else None
        else:
            key = menu_key(name)
        return key if self.has(number, key) else None

    def has(self, number: int, key: str | None) -> bool:
        return key in self.specs[number - 1]

    def told_apart(self, name: str, numbers: Sequence[int], tied: bool = False) -> None:
        """Warn of a name that is not the parameter's own, or that GALFIT takes for another parameter."""
        word = name.lower()
        if re.match("r[0-9]|fwhm", word) or (tied and word.startswith("c")):
            self.warn(f"'{name}' is taken at its word; GALFIT 3.0.5 constrains another parameter")
            return
        if found := re.fullmatch("([a-z]+)_([0-9]+|[a-z])", word):
            self.warn(f"'{name}' is read as '{found[1]}'; a band or a coefficient is GALFITM's")
        known = next(((key, own) for start, key, own in NAMES if word.startswith(start)), None)
        for number in numbers if known and not re.match("f[1-9]", word) else ():
            key, own = known or ("", ())
            spec = self.specs[number - 1][key]
            if spec.name not in own:
                kind = self.components[number - 1].kind
                self.warn(f"'{name}' means line {key}), which for component {number} ({kind}) is {spec.header}")

    def ends(self, words: Sequence[Token]) -> tuple[float, float]:
        """Ends of a range, the lower one first; GALFIT takes 0 for what is missing or no number."""
        values = [_end(word, side) for word, side in zip([*words, "", ""], (-math.inf, math.inf), strict=False)]
        if len(words) < 2 or not all(map(LEADING_NUMBER.match, words)):
            text = " ".join(words)
            foreign = "".join(f"; '{word}' is a word of GALFITM's" for word in words if word in GALFITM)
            self.warn(f"'{text}' is read as {values[0]:g} and {values[1]:g}, expected two numbers{foreign}")
        return min(values), max(values)


@lru_cache(maxsize=4096)
def _parsed(line: str) -> Any:
    """The tree of one constraint; those of a survey are mostly the same from job to job."""
    tree: Any = grammars.load("constraints").parse(line)
    (constraint,) = tree.children
    return constraint


def menu_key(name: str) -> str | None:
    """The menu key of a parameter by the name or number that a constraint file uses, None if GALFIT knows none."""
    name = name.lower()
    fourier = re.match("f([1-9][0-9]*)(p?)", name)
    if fourier:
        return f"f{fourier[1]}{fourier[2] or 'a'}"
    number = re.match("(r?)([0-9]+)", name)
    if number:
        return f"{number[1]}{int(number[2])}" if 1 <= int(number[2]) <= LAST else None
    return next((key for known, key, _ in NAMES if name.startswith(known)), None)


def _hidden(component: Component) -> tuple[str, ...]:
    """Menu keys of the hidden numbers in GALFIT's order, that of the menu; a group goes up to its highest mode."""
    highest = {
        "b": max((mode.n for mode in component.bending), default=0),
        "f": max((mode.n for mode in component.fourier), default=0),
    }
    groups = {
        "b": tuple(f"b{n}" for n in range(1, highest["b"] + 1)),
        "c": ("c0",) if component.c0 else (),
        "f": tuple(f"f{n}{part}" for n in range(1, highest["f"] + 1) for part in "ap"),
        "r": tuple(f"r{k}" for k in range(1, LAST + 1)) if component.rotation else (),
    }
    return tuple(key for group in component.hidden_groups for key in groups[group])


LEADING_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?|[-+]?inf", re.I)


def _end(word: str, endless: float) -> float:
    """The number with which a word begins; nan limits nothing, and all else is 0."""
    found = LEADING_NUMBER.match(word)
    if found is None:
        return endless if word.lower().startswith("nan") else 0.0
    return float(found[0])


def _parted(word: str) -> list[str]:
    """The words of components that are tied or paired."""
    return [part for part in re.split("[-_/+*]", word) if part]


def _leading_number(word: str) -> int:
    found = re.match("[0-9]+", word)
    return int(found[0]) if found else 0

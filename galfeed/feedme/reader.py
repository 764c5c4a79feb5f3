"""Menus: from text to a job.  ``grammar/feedme.lark`` is the reference of the language.

The grammar says which lines there are; this module says what they do.  Each line changes the state that the lines
before it left: of two alike the later counts, and what it leaves out stays.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from lark import Token, UnexpectedInput

from galfeed.errors import FeedmeError, Place, Remark, UnsupportedError
from galfeed.feedme import consistency, grammars
from galfeed.feedme.block import Block, ten_parameters, three_parameters, truncation_parameters
from galfeed.job import FUNCTIONS, Control, Job
from galfeed.profiles import PROFILES

CONTROL = {
    "data": "A",
    "output": "B",
    "sigma": "C",
    "psf": "D",
    "psf_fine": "E",
    "mask": "F",
    "constraints": "G",
    "region": "H",
    "conv_box": "I",
    "zeropoint": "J",
    "plate_scale": "K",
    "display": "O",
    "mode": "P",
}
"""Keys of the control lines by the name of their rule, which is also that of their field in ``Control``."""

LEADING_NUMBER = re.compile(r"[-+]?\.?[0-9]")
LEADING_WHOLE = re.compile("[-+]?[0-9]+")
LEADING_DIGITS = re.compile("[0-9]+")
TWO_LETTERS = re.compile("[A-Z]{2}", re.I)
TOO_LARGE = re.compile("[-+]?0*[1-9][0-9]{9}")
OF_A_BAND = re.compile("a[0-9]", re.I)

WHOLE = ("psf_fine", "conv_box", "mode", "skip")
"""Rules whose numbers are read as whole ones."""

HIGHEST_MODE = 28000
"""Of a Fourier or bending mode; GALFIT runs with a few more, and not with 30000."""

LONGEST_LINE = 2000
"""Characters of a line; GALFIT crashes on a little more."""


def load(path: Path, name: str) -> Job:
    """Read a menu file.

    Args:
        path: the file.
        name: what messages and outputs call it.

    Raises:
        FeedmeError: the file cannot be opened; or as :func:`parse`.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise FeedmeError(name, 0, f"{error.strerror}, expected an input file") from None
    return parse(text, name)


def parse(text: str, path: str = "") -> Job:
    """Read a menu as GALFIT 3.0.5 reads it.

    Args:
        text: of the menu.
        path: the file's name, for messages.

    Raises:
        FeedmeError: what GALFIT could not run, or would misread without a word; names the line.
        UnsupportedError: a menu for several bands.
    """
    if "\0" in text:
        raise FeedmeError(path, 0, "this is no text, expected an input file")
    if "\r" in text and "\n" not in text:
        raise FeedmeError(path, 0, "all of it is one line for GALFIT: its lines end in CR alone, expected LF or CR LF")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line.rstrip()) > LONGEST_LINE:
            what = f"a line of {len(line)} characters, expected at most {LONGEST_LINE}"
            raise FeedmeError(path, number, what)
    try:
        tree: Any = grammars.load("feedme").parse(f"\n{text}\n")
    except UnexpectedInput as error:
        raise _error(error, text, path) from None
    reader = _Reader(path)
    for line in tree.children:
        reader.read(str(line.data), *line.children)
    return reader.job()


class _Reader:
    """The state of a menu while its lines are read: a method for each rule of the grammar."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.control: dict[str, Any] = {**vars(Control())}  # its fields so far
        self.blocks: list[Block] = []
        self.warnings: list[Remark] = []

    def read(self, rule: str, key: Token, *values: Token) -> None:
        """Take in one line: its key and its values."""
        if values and values[-1].type == "LOST":
            self.warn(key, f"')' stands apart from '{key}', so the values after it are not read")
            values = ()
        self.warn_of_key(rule, key, values)
        self.check_size(rule, values)
        if rule in CONTROL:
            self.control["places"][CONTROL[rule]] = _place(*values[:1], key)
            self.control.update(self.control_changes(rule, key, values))
        else:
            getattr(self, rule)(key, *values)

    def check_size(self, rule: str, values: tuple[Token, ...]) -> None:
        """Raise FeedmeError at a whole number that GALFIT's integers do not hold."""
        for word in values:
            if (rule in WHOLE or word.type in ("INTEGER", "TOGGLE")) and TOO_LARGE.match(word):
                what = f"'{word}' is too large, expected a whole number below 1000000000"
                raise FeedmeError(self.path, _place(word), what)

    def warn(self, key: Token, message: str) -> None:
        self.warnings.append(Remark(self.path, _place(key), message))

    def warn_of_key(self, rule: str, key: Token, values: tuple[Token, ...]) -> None:
        """Say so where GALFIT takes a word for a key that it was hardly meant to be."""
        letter = "Z" if rule == "skip" else CONTROL.get(rule, "")
        digits = LEADING_DIGITS.match(key)
        if letter and TWO_LETTERS.match(key):
            self.warn(key, f"'{key}' is read as '{letter})', expected # in front of a comment")
        elif digits and str(_ten(key)) != digits[0]:
            self.warn(key, f"'{key}' is read as '{_ten(key)})'")
        elif rule == "sigma" and self.blocks and values and LEADING_NUMBER.match(values[0]):
            self.warn(key, f"'{key}' names the sigma image, expected 'C0)' for diskyness")

    def job(self) -> Job:
        """What has been read.

        Raises:
            FeedmeError: what a line by itself does not show.
        """
        components = tuple(block.component(number) for number, block in enumerate(self.blocks, 1))
        control = Control(**self.control)
        self.warnings += consistency.check(control, components, self.path)
        return Job(control, components, self.path, tuple(self.warnings))

    # Control lines

    def control_changes(self, rule: str, key: Token, values: tuple[Token, ...]) -> dict[str, Any]:
        """Fields of ``Control`` that a line gives."""
        if OF_A_BAND.match(key):
            raise UnsupportedError(self.path, _place(key), f"'{key}': {SEVERAL_BANDS}")
        old = self.control[rule]
        match rule, values:
            case "psf", _:
                return self.names(("psf", "kernel"), values)
            case "region", _:
                return {rule: tuple(map(int, values))}
            case "plate_scale", _:
                return {rule: (*map(_number, values), *old[len(values) :])}
            case "conv_box", _:
                return {rule: self.box(key, values)}
            case _, ():
                return {}
            case "zeropoint", (value,):
                return {rule: _number(value)}
            case (("psf_fine" | "mode"), (value,)):
                return {rule: _whole(value, old)}
            case "display", (word,):
                return {rule: str(word) if re.match("reg|cur|both", word) else "regular"}
            case _:
                return self.names((rule,), values)

    def names(self, fields: tuple[str, ...], values: tuple[Token, ...]) -> dict[str, Any]:
        """Names, blank from the word on that begins a comment."""
        words = dict(zip(fields, map(str, values), strict=False))
        begin = next((i for i, word in enumerate(values) if word.startswith("#")), len(values))
        comments = {name: word for name, word in self.control["comments"] if name not in words}
        comments.update(list(words.items())[begin:])
        names = {name: word if i < begin else "" for i, (name, word) in enumerate(words.items())}
        return {**names, "comments": tuple(comments.items())}

    def box(self, key: Token, values: tuple[Token, ...]) -> tuple[int, int]:
        """GALFIT reads whole numbers and stops at the first decimal point."""
        width, height = self.control["conv_box"]
        if values:
            width = _whole(values[0], width)
        if len(values) == 2:
            if values[0].lstrip("+-").isdigit():
                return width, _whole(values[1], height)
            self.warn(key, f"'{values[0]}' is no whole number, so the box is read as {width} {height}")
        return width, height

    # Heads of components

    def light(self, key: Token, name: Token) -> None:
        block = Block(str(name), ten_parameters(), {"0": _place(name)})
        if block.component(1).kind not in PROFILES:
            known = ", ".join(dict.fromkeys((*FUNCTIONS, *PROFILES)))
            raise FeedmeError(self.path, _place(key), f"unknown component '{name}', expected one of {known}")
        self.blocks.append(block)

    def sky(self, key: Token, name: Token) -> None:
        self.blocks.append(Block(str(name), three_parameters(), {"0": _place(name)}))

    def truncation(self, key: Token, name: Token) -> None:
        self.blocks.append(Block(str(name), truncation_parameters(), {"0": _place(name)}))

    # Their lines

    def note(self, menu_key: str, *tokens: Token) -> None:
        """Remember where a number of the component stands."""
        self.blocks[-1].places[menu_key] = _place(*tokens)

    def position(self, key: Token, *values: Token) -> None:
        self.note("1", *values, key)
        self.note("2", *values[1:], key)
        self.blocks[-1].set_position(*_split(values))

    def number(self, key: Token, *values: Token) -> None:
        k = _ten(key.lstrip("Tt"))
        self.note(str(k), *values, key)
        self.blocks[-1].set_number(k, *_split(values))

    def unused(self, key: Token) -> None:
        self.warn(key, f"'{key}' is not used: x and y, with a toggle each, belong in line 1)")

    def sky_unused(self, key: Token) -> None:
        pass

    def skip(self, key: Token, *values: Token) -> None:
        self.note("z", *values, key)
        if values:
            self.blocks[-1].skip = _whole(values[0], 0)

    def inner(self, key: Token, *values: Token) -> None:
        self.note("ti", *values, key)
        self.blocks[-1].inner = tuple(map(int, values))

    def outer(self, key: Token, *values: Token) -> None:
        self.note("to", *values, key)
        self.blocks[-1].outer = tuple(map(int, values))

    def c0(self, key: Token, *values: Token) -> None:
        self.note("c0", *values, key)
        self.blocks[-1].set_c0(*_split(values))

    def bending(self, key: Token, *values: Token) -> None:
        n = self.mode(key)
        self.note(f"b{n}", *values, key)
        self.blocks[-1].set_bending(n, *_split(values))

    def fourier(self, key: Token, *values: Token) -> None:
        n = self.mode(key)
        self.note(f"f{n}a", *values, key)
        self.note(f"f{n}p", *values[1:], key)
        self.blocks[-1].set_fourier(n, *_split(values))

    def mode(self, key: Token) -> int:
        n = _whole(key[1:], 0)
        if not 1 <= n <= HIGHEST_MODE:
            raise FeedmeError(self.path, _place(key), f"'{key}', expected a mode number of 1 to {HIGHEST_MODE}")
        return n

    def rotation_function(self, key: Token, *values: Token) -> None:
        block = self.blocks[-1]
        word = str(values[0]) if values else block.function
        function = "power" if word.startswith("power") else "" if word.startswith("none") else "log"
        if function and block.function not in ("", function):
            self.warn(key, f"'{word}' comes too late, the rotation is '{block.function}' already; put R0) first")
        block.set_rotation(function)

    def rotation(self, key: Token, *values: Token) -> None:
        k = _ten(key[1:])
        self.note(f"r{k}", *values, key)
        self.blocks[-1].set_rotation_number(k, *_split(values))


# Tokens


def _place(*tokens: Token) -> Place:
    """Where the first of some tokens stands; a text is given a line break in front."""
    line, column = tokens[0].line, tokens[0].column
    assert line is not None and column is not None
    return Place(line - 1, column)


def _split(values: tuple[Token, ...]) -> tuple[list[float], list[int]]:
    """Numbers and toggles of a line."""
    numbers = [_number(value) for value in values if value.type == "NUMBER"]
    return numbers, [int(value) for value in values if value.type == "TOGGLE"]


def _number(word: str) -> float:
    if "x" not in word.lower():
        return float(word)
    try:
        return float.fromhex(word)
    except OverflowError:
        return -math.inf if word.startswith("-") else math.inf


def _whole(word: str, old: int) -> int:
    """The whole number with which a word begins, as C reads it: 2 of 2.5; ``old`` where there is none."""
    found = LEADING_WHOLE.match(word)
    return int(found[0]) if found else old


def _ten(digits: str) -> int:
    """The number of a key: 10, else its first digit."""
    return 10 if digits.startswith("10") else int(digits[0])


# Errors

SEVERAL_BANDS = "menus for several bands (GALFITM) are not supported, expected a menu for one image"

EXPECTED = {
    "NUMBER": "a number",
    "INTEGER": "a whole number",
    "FUNCTION": f"the name of a function, one of {', '.join(FUNCTIONS)}",
    "SHAPE": "radial, length or height",
}
"""What to call the terminals of the grammar that are values."""


def _error(error: UnexpectedInput, text: str, path: str) -> FeedmeError:
    """A syntax error in the user's words."""
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return FeedmeError(path, 0, "no component, expected at least one, such as 0) sersic")
    place = Place(error.line - 1, error.column)
    line = text.split("\n")[place.line - 1]
    before, found = (re.findall(r"\S+", part, re.A) for part in (line[: place.column - 1], line[place.column - 1 :]))
    bands = r"\s*J\S*\s+[0-9.]+,[0-9.]|.*\s(cheb|band)\b"
    if re.match(bands, line, re.I) or re.search(r"^[ \t]*A[0-9]\)", text, re.M | re.I):
        return UnsupportedError(path, place, f"'{line.split()[0]}': {SEVERAL_BANDS}")
    if not before:
        return FeedmeError(path, place, _wrong_key(found[0]))
    wanted: set[str] = getattr(error, "expected", set())
    what = next((words for terminal, words in EXPECTED.items() if terminal in wanted), "the end of the line")
    if before[0][0] in "Hh":
        what = "four whole numbers, xmin xmax ymin ymax"
    found_word = f"'{found[0]}'" if found else "nothing"
    return FeedmeError(path, place, f"{found_word} after '{before[-1]}', expected {what}")


def _wrong_key(word: str) -> str:
    glued = re.match(r"([^\s)]*\))[^\s)]", word, re.A)
    if glued:
        return f"'{word}' has no blank space after '{glued[1]}', expected some between key and value"
    if word[0] in "NnTtXx":
        return f"'{word}' would be a command of GALFIT's interactive menu (N, T and X are), expected a key"
    return f"'{word}' stands before the first component, expected 0) or T0) first"

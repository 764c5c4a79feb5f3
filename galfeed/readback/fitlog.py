r"""Read ``fit.log``: what ``galfeed.output.fitlog`` writes, and GALFIT 2, GALFIT 3 and GALFITM.

An entry::

    -----------------------------------------------------------------------------

    Input image     : gal.fits[1:93,1:93]
    Init. par. file : galfit.feedme
    Restart file    : galfit.01
    Output image    : imgblock.fits

     sersic    : (   46.53,    48.26)   22.98      2.62  *12.11*   0.86   -71.75
                 (    0.02,     0.02)    0.03      0.11   *0.56*   0.02     5.47
       fourier : (1:  0.15,   55.74)  (3:  0.10,  -35.90)
                 (1:  0.02,    9.10)  (3:  0.01,    2.46)
     sky       : [ 47.00,  47.00]  7.30e-01  [0.00e+00]  [0.00e+00]
                                   6.63e-02  [0.00e+00]  [0.00e+00]
     Chi^2 = 12695.04799,  ndof = 8641
     Chi^2/nu = 1.469

    -----------------------------------------------------------------------------

Each line of values has one of error bars below it.  What a number is follows from its place in the line, see
``galfeed.output.fitlog.COLUMNS``; large numbers widen the line.  Numbers have two decimals, in GALFIT 2 four but for
the position, and may carry a mark.  GALFITM puts a band's label and a colon before the name, a line a band.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from galfeed import job
from galfeed.errors import Place, Remark, UnreadableError
from galfeed.job import TRUNCATIONS
from galfeed.output.fitlog import COLUMNS
from galfeed.readback import words
from galfeed.readback.record import Component, Mark, Program, Result, Value

_HEADLINE = re.compile(r"(Input images?|Init\. par\. file|Restart file|Output image) *: ?(.*)")
_RULE = re.compile(r"\s*-{20,}\s*")
_CHI2 = re.compile(r"\s*Chi\^2 = *(\S+?), +ndof = *(-?\d+)\s*")
_CHI2NU = re.compile(r"\s*Chi\^2/nu = *(\S+)(\s*)")
_SECTION = re.compile(r"(.*?) *\[(-?\d+):(-?\d+),(-?\d+):(-?\d+)\]")
_BAND = re.compile(r"\s*(\S+) *: +(?=[a-z]\S*(?: [/\\]+)? *: )")
_NAME = re.compile(r"\s*([a-z][\w-]*(?: [/\\]+)?) *: ?")
_POSITION = re.compile(r"\s*\(([^(),]*),([^(),]*)\)")
_CENTRE = re.compile(r"\s*\[([^][,]*),([^][,]*)\]")
_CUT = re.compile(r"\s*\[([\d, ]+)\] +\[([\d, ]+)\]")
_MODE = re.compile(r"\s*\((\d+):([^()]*)\)")
_WORD = re.compile(r"[^\s(),]+")
_NUMBER = r"[-+]?(?:\d+\.{}(?:e[-+]\d+)?|nan|inf)"
_ONE = re.compile(r"([\[{*]?)(" + _NUMBER.format(r"\d+") + r")([\]}*]?)")
_GLUED = {n: re.compile(r"([\[{*]?)(" + _NUMBER.format(rf"\d{{{n}}}") + r")([\]}*]?)") for n in (2, 4)}

MARKS: dict[str, Mark] = {"": "free", "[]": "fixed", "{}": "tied", "**": "suspicious"}
ROTATION_KEYS = ("r1", "r2", "r3", "r4", "r9", "r10")
LAST_LINE = "' Chi^2/nu = ...'"


class _Number(NamedTuple):
    """A number as printed, and the column behind its last digit."""

    value: float
    mark: Mark
    end: int


class _Line(NamedTuple):
    """A line of the file and its number."""

    number: int
    text: str


@dataclass
class _Entry:
    """The lines of an entry, and what its first and last lines say.

    Args:
        several: the first line speaks of images, as GALFITM's does.
    """

    start: int
    several: bool = False
    heads: dict[str, str] = field(default_factory=dict)
    body: list[_Line] = field(default_factory=list)
    chi2: str = ""
    ndof: str = ""
    chi2nu: str = ""


@dataclass
class _Block:
    """A component while its lines are read.

    Args:
        name: as printed.
        bands: labels before the name, one a line.
        values: by menu key, one a band; "x" and "y" are the position of the sky.
        groups: the kinds of its hidden parameters, in order, with the keys of each.
    """

    line: int
    name: str
    bands: list[str]
    values: dict[str, list[Value]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    rotation: str = ""
    inner: tuple[int, ...] = ()
    outer: tuple[int, ...] = ()

    def add(self, keys: Iterable[str], values: Iterable[Value]) -> None:
        for key, value in zip(keys, values, strict=True):
            self.values.setdefault(key, []).append(value)

    @property
    def is_truncation(self) -> bool:
        return self.name.startswith(TRUNCATIONS)


def parse(text: str, path: str) -> tuple[list[Result], list[Remark]]:
    """The entries of a log, and what to say of the rest.

    Entries that are cut short, as by a GALFIT that was killed, and lines between entries are left out with a remark.

    Args:
        text: of the log.
        path: its name, for the results and for messages.

    Raises:
        UnreadableError: there is no whole entry, or a line of one that is no line of GALFIT's.
    """
    entries, remarks = _split(text, path)
    results = [_Reader(path, entry).result() for entry in entries]
    if not results:
        raise UnreadableError(path, remarks[0].place if remarks else Place(), f"no whole entry, expected {LAST_LINE}")
    return results, remarks


def _split(text: str, path: str) -> tuple[list[_Entry], list[Remark]]:
    """The whole entries, and remarks on what else there is."""
    entries: list[_Entry] = []
    remarks: list[Remark] = []
    entry: _Entry | None = None
    opened = 0  # line of the rule that begins an entry
    closed, stray = True, False

    def cut(line: int) -> None:
        what = f"the entry that begins here is cut short, expected it to end with {LAST_LINE}; it is left out"
        remarks.append(Remark(path, Place(line), what))

    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        head = _HEADLINE.match(line)
        if head and head[1].startswith("Input"):
            if entry:
                cut(entry.start)
            entry, opened, stray = _Entry(number, head[1].endswith("s")), 0, False
        if entry is None:
            if _RULE.fullmatch(line):
                opened, closed = 0 if not closed else number, True
            elif line.strip() and not stray:
                stray = True
                what = f"'{line.strip()}' belongs to no entry, so what is here up to the next one is left out"
                remarks.append(Remark(path, Place(number), what))
        elif head:
            entry.heads[head[1].removesuffix("s")] = head[2].strip()
        elif last := _CHI2NU.fullmatch(line):
            entry.chi2nu = last[1]
            if number == len(lines) and not last[2]:  # without a blank and a new line digits may be missing
                break
            entries.append(entry)
            entry, closed = None, False
        elif chi2 := _CHI2.fullmatch(line):
            entry.chi2, entry.ndof = chi2.groups()
        elif _RULE.fullmatch(line):
            cut(entry.start)
            entry, opened = None, number
        elif line.strip():
            entry.body.append(_Line(number, line))
    if entry or opened:
        cut(entry.start if entry else opened)
    return entries, remarks


class _Reader:
    """Reads one entry."""

    def __init__(self, path: str, entry: _Entry) -> None:
        self.path, self.entry = path, entry
        self.old = len(entry.chi2nu.partition(".")[2]) > 3
        self.decimals = 4 if self.old else 2
        self.blocks: list[_Block] = []
        self.line = entry.start

    def error(self, message: str) -> UnreadableError:
        return UnreadableError(self.path, Place(self.line), message)

    def result(self) -> Result:
        entry = self.entry
        if not entry.chi2:
            raise self.error("the entry that begins here has no line ' Chi^2 = ...,  ndof = ...'")
        rows = iter(entry.body)
        for row in rows:
            errors = next(rows, _Line(0, ""))
            self.line = row.number
            if not errors.number or _NAME.match(errors.text):
                raise self.error(f"no line of error bars below '{row.text.strip()}'")
            self.pair(row, errors)
        self.line = entry.start
        image = entry.heads.get("Input image", "")
        found = _SECTION.fullmatch(image)
        bands = tuple(dict.fromkeys(band for block in self.blocks for band in block.bands))
        program: Program = "GALFIT 2" if self.old else "GALFITM" if entry.several else "GALFIT 3"
        return Result(
            path=self.path,
            place=Place(entry.start),
            kind="log",
            program=program,
            components=self.components(),
            image=found[1] if found else image,
            section=(int(found[2]), int(found[3]), int(found[4]), int(found[5])) if found else None,
            init=entry.heads.get("Init. par. file", ""),
            restart=entry.heads.get("Restart file", ""),
            output=entry.heads.get("Output image", ""),
            chi2=self.plain(entry.chi2),
            ndof=int(entry.ndof),
            chi2nu=self.plain(entry.chi2nu),
            bands=bands,
            remarks=tuple(self.remarks()),
        )

    def plain(self, word: str) -> float:
        try:
            return float(word)
        except ValueError:
            raise self.error(f"'{word}' is no number") from None

    # Lines

    def pair(self, row: _Line, errors: _Line) -> None:
        """A line of values and the line of error bars below it."""
        band = _BAND.match(row.text)
        text = row.text[band.end() :] if band else row.text
        name = _NAME.match(text)
        if not name:
            raise self.error(f"'{text.strip()}' begins with no name, expected a line such as ' sersic    : ( ...'")
        word, rest = name[1], text[name.end() :]
        if word in ("bend", "c0", "fourier", "power", "log") and self.blocks:
            self.hidden(word, rest, errors)
            return
        if not word.startswith(TRUNCATIONS) and not words.known(word):
            raise self.error(f"'{word}' is no function of GALFIT, expected one of {', '.join(words.FUNCTIONS)}")
        block = self.block(word, band[1] if band else "")
        if word.startswith("sky"):
            self.sky(block, rest, errors)
        elif block.is_truncation:
            self.truncation(block, rest, errors)
        else:
            self.light(block, rest, errors)

    def block(self, name: str, band: str) -> _Block:
        """The component that a line belongs to: a new one, or the last with another band."""
        if band and self.blocks:
            last = self.blocks[-1]
            if last.name == name and band not in last.bands:
                last.bands.append(band)
                return last
        self.blocks.append(_Block(self.line, name, [band] if band else []))
        return self.blocks[-1]

    def light(self, block: _Block, text: str, errors: _Line) -> None:
        values, bars = self.placed(text), self.error_line(errors, self.placed)
        kind = job.Component(0, block.name, ()).kind
        keys = list(words.log_keys(kind))
        if self.old and "9" in keys:
            keys.append("c0")
        lacking = len(keys) - len(values)
        if lacking == 2 and {"9", "10"} <= set(keys):  # left out: toggle -1
            keys = [key for key in keys if key not in ("9", "10")]
        elif lacking == 1 and {"9", "10"} <= set(keys):
            keys.remove(self.left_out(kind, values))
        self.check(keys, values, bars, block.name)
        block.add(keys, map(self.value, values, bars))

    def left_out(self, kind: str, values: Sequence[_Number]) -> str:
        """Which of axis ratio and angle a line lacks: the last number is the one in whose column it ends."""
        distance = values[-1].end - values[-2].end
        ends = {key: len(lead) + width for key, lead, width in COLUMNS.get(kind, ()) if key in ("9", "10")}
        last = [key for key, end in ends.items() if end == distance]
        lacking = set(ends) - set(last)
        if len(lacking) != 1:
            raise self.error("a number is missing, and whether it is the axis ratio or the angle cannot be told")
        return lacking.pop()

    def sky(self, block: _Block, text: str, errors: _Line) -> None:
        found = _CENTRE.match(text)
        if not found:
            raise self.error(f"'{text.strip()}', expected '[x, y]' and three numbers")
        values, bars = self.numbers(text, found.end()), self.error_line(errors, self.numbers)
        keys = ("1", "2", "3")
        self.check(keys, values, bars, block.name)
        block.add(("x", "y"), (Value(self.plain(found[k]), mark="fixed") for k in (1, 2)))
        block.add(keys, map(self.value, values, bars))

    def truncation(self, block: _Block, text: str, errors: _Line) -> None:
        found = _CUT.match(text)
        if not found:
            raise self.error(f"'{text.strip()}', expected the components that are truncated, such as '[1] [0]'")
        block.inner, block.outer = (
            tuple(number for word in found[k].split(",") if (number := int(word))) for k in (1, 2)
        )
        rest = text[found.end() :]
        centred = _POSITION.match(rest) is not None
        read = self.placed if centred else self.numbers
        values, bars = read(rest), self.error_line(errors, read)
        keys = [*(("1", "2") if centred else ()), "4", "5", "9", "10"]
        if len(values) == len(keys) - 2:
            keys = keys[:-2]
        self.check(keys, values, bars, block.name)
        block.add(keys, map(self.value, values, bars))

    def hidden(self, word: str, text: str, errors: _Line) -> None:
        block = self.blocks[-1]
        if word in ("bend", "fourier"):
            keys, values = self.modes(word, text)
            same, bars = self.modes(word, errors.text)
            if keys != same:
                raise self.error(f"the orders of '{word}' differ between values and error bars")
        else:
            keys = ["c0"] if word == "c0" else list(ROTATION_KEYS)
            values = self.numbers(text)
            bars = self.error_line(errors, lambda below: self.numbers(below.partition(":")[2]))
            block.rotation = "" if word == "c0" else word
        self.check(keys, values, bars, word)
        block.groups.setdefault(word, []).extend(keys)  # three Fourier modes a line, four of bending
        block.add(keys, map(self.value, values, bars))

    def modes(self, word: str, text: str) -> tuple[list[str], list[_Number]]:
        """Keys and numbers of a line of modes, ``(1: ...) (3: ...)``."""
        keys: list[str] = []
        values: list[_Number] = []
        position = 0
        while found := _MODE.match(text, position):
            keys += [f"b{found[1]}"] if word == "bend" else [f"f{found[1]}a", f"f{found[1]}p"]
            values += self.numbers(found[2])
            position = found.end()
        if text[position:].strip() or not keys:
            raise self.error(f"'{text.strip()}', expected '(1: ...)' for each mode")
        return keys, values

    # Numbers

    def error_line(self, errors: _Line, read: Callable[[str], list[_Number]]) -> list[_Number]:
        """Numbers of the line of error bars; complaints name that line."""
        self.line, line = errors.number, self.line
        found = read(errors.text)
        self.line = line
        return found

    def placed(self, text: str) -> list[_Number]:
        """``( x, y)`` and the numbers behind it."""
        found = _POSITION.match(text)
        if not found:
            raise self.error(f"'{text.strip()}', expected '( x, y)' and numbers")
        ends = [self.numbers(found[k]) for k in (1, 2)]
        if [len(end) for end in ends] != [1, 1]:
            raise self.error(f"'{found[0].strip()}', expected two numbers")
        return ends[0] + ends[1] + self.numbers(text, found.end())

    def numbers(self, text: str, start: int = 0) -> list[_Number]:
        """All numbers of a text from a column on; those that run together are parted by their decimals."""
        found: list[_Number] = []
        for word in _WORD.finditer(text, start):
            if whole := _ONE.fullmatch(text, *word.span()):
                parts = [whole]
            else:
                parts = list(_GLUED[self.decimals].finditer(text, *word.span()))
                if "".join(part[0] for part in parts) != word[0]:
                    raise self.error(f"'{word[0]}' is no number, expected one such as 12.34, [1.00] or *0.05*")
            for part in parts:
                mark = MARKS.get(part[1] + part[3])
                if mark is None:
                    raise self.error(f"'{part[0]}' is marked on one side only")
                found.append(_Number(float(part[2]), mark, part.end(2)))
        return found

    def check(self, keys: Sequence[str], values: Sequence[_Number], bars: Sequence[_Number], name: str) -> None:
        if len(values) != len(keys):
            raise self.error(f"{len(values)} numbers for '{name}', expected {len(keys)}")
        if len(bars) != len(values):
            raise self.error(f"{len(bars)} error bars below '{name}', expected {len(values)}")

    def value(self, number: _Number, bar: _Number) -> Value:
        if self.old:
            return Value(number.value, bar.value or None, "free" if bar.value else "unknown")
        free = number.mark in ("free", "suspicious")
        return Value(number.value, bar.value if free else None, number.mark)

    # What they make

    def components(self) -> tuple[Component, ...]:
        found = [self.component(number, block) for number, block in enumerate(self.blocks, 1)]
        for truncation in [component for component in found if component.name.startswith(TRUNCATIONS)]:
            for side in ("inner", "outer"):
                for user in getattr(truncation, side):
                    if user > len(found):
                        raise self.error(f"'{truncation.name}' truncates component {user}, which is not there")
                    light = found[user - 1]
                    links = {side: (*getattr(light, side), truncation.number)}
                    found[user - 1] = replace(light, **links)
        return tuple(found)

    def component(self, number: int, block: _Block) -> Component:
        keys = block.values.keys()
        hidden = words.Hidden(
            bending=tuple(int(key[1:]) for key in keys if key[0] == "b"),
            c0="c0" in keys,
            fourier=tuple(int(key[1:-1]) for key in keys if key[0] == "f" and key[-1] == "a"),
            rotation=block.rotation,
        )
        names = {"x": "XC", "y": "YC"} | words.of_name(block.name, hidden)
        values = {
            names[key]: tuple(values) if len(block.bands) > 1 else values[0] for key, values in block.values.items()
        }
        return Component(number, block.name, values, block.rotation, block.inner, block.outer)

    def remarks(self) -> Iterator[Remark]:
        """GALFIT 3 prints error bars of the first hidden parameters again for the groups behind them."""
        for number, block in enumerate(self.blocks, 1):
            later = [
                word
                for word, keys in list(block.groups.items())[1:]
                if any(value.error is not None for key in keys for value in block.values[key])
            ]
            if later:
                which = " and ".join(f"'{word}'" for word in later)
                what = f"component {number}: GALFIT prints wrong error bars for {which} here, take the image block's"
                yield Remark(self.path, Place(block.line), what)

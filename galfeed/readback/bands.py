"""Read menus of GALFITM: images in several bands, and numbers that change from band to band.

Beyond GALFIT's menus they have ``A1)``, labels of the bands, and ``A2)``, their wavelengths; names and zeropoints are
lists with commas.  ``1)`` and ``2)`` are x and y.  A number is a list, then its toggles, then how the list is meant::

     3) 17.1,16.4,16.0    3          band    # a value in each band; with three free coefficients
     3) 16.5,-0.6,0.1     1,1,1      cheb    # coefficients of Chebyshev polynomials of the wavelength

Both lists may be shorter: one value holds for all bands, and coefficients left out are 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from galfeed.errors import Place, Remark, UnreadableError
from galfeed.job import TRUNCATIONS
from galfeed.output.header import region_centre
from galfeed.readback import words
from galfeed.readback.record import Component, Program, Value, Values

_LINE = re.compile(r"\s*([A-Za-z]\w*|\d+)\)\s*([^#]*)")
_NUMBERS = r"\s*(?:\d+|[CFBR]\d+)\)\s*"
_LISTS = re.compile(
    rf"^(?:{_NUMBERS}|\s*J\)\s*)[-+.\de]+,[-+.\d]|^{_NUMBERS}[-+.\de, \t]+\b(?:cheb|bands?)\b", re.M | re.I
)
_OTHERS = re.compile(r"^\s*A[12]\)|^\s*0\)\s*corser", re.MULTILINE | re.IGNORECASE)
_SECOND_FORM = "BAND FITTING PARAMETERS"
FORMS = {"cheb": "cheb", "band": "band", "bands": "band"}


class Menu(NamedTuple):
    """What a menu says."""

    program: Program
    components: tuple[Component, ...]
    image: str
    output: str
    section: tuple[int, int, int, int] | None
    bands: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()


class _Words(NamedTuple):
    """The words of a line behind its key, without the comment, and the line's number."""

    line: int
    words: list[str]

    @property
    def form(self) -> str:
        """How numbers are meant: "cheb", "band", or "" where the line does not say."""
        return next((FORMS[word] for word in self.words if word in FORMS), "")

    @property
    def numbers(self) -> list[str]:
        """The first word, and what looks like numbers behind it; the rest may be a comment without #."""
        plain = [word for word in self.words if word not in FORMS]
        return plain[:1] + list(takewhile(lambda word: word[0] in "-+.0123456789", plain[1:]))


def are_in(text: str) -> bool:
    """Whether a menu is one of GALFITM's, for one band or for several."""
    if _LISTS.search(text) or _OTHERS.search(text):
        return True
    lights = [block for name, block in _blocks(text)[1] if not name.startswith("sky")]
    return any("2" in block and "1" in block and len(block["1"].numbers) < 3 for block in lights)


def parse(text: str, path: str, written: bool) -> Menu:
    """Read a menu of GALFITM.

    Args:
        text: of the menu.
        path: its name, for messages.
        written: it is a restart file; the oldest have coefficients there without saying so.

    Raises:
        UnreadableError: a line that is not understood, or that lacks numbers.
    """
    control, blocks = _blocks(text)
    return _Reader(path, control, "cheb" if written else "band").menu(blocks)


def _blocks(text: str) -> tuple[dict[str, _Words], list[tuple[str, dict[str, _Words]]]]:
    """Control lines, and the lines of each component with its name, by key."""
    control: dict[str, _Words] = {}
    blocks: list[tuple[str, dict[str, _Words]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if _SECOND_FORM in line:  # the same components again, with their values in each band
            blocks = []
        found = _LINE.match(line)
        if not found:
            continue
        key, words_behind = found[1].upper(), _Words(number, found[2].split())
        if key in ("0", "T0"):
            blocks.append((words_behind.words[0] if words_behind.words else "", {"0": words_behind}))
        elif key[0] in "ADGHIJKOPSUVW" or key in ("B", "C", "E", "F"):
            control[key] = words_behind
        elif blocks:
            blocks[-1][1][key] = words_behind
    return control, blocks


class _Reader:
    """Reads one menu.

    Args:
        form: how numbers are meant where the line does not say.
    """

    def __init__(self, path: str, control: dict[str, _Words], form: str) -> None:
        self.path, self.control, self.form = path, control, form
        self.image = control["A"].words[0] if "A" in control and control["A"].words else ""
        self.bands = tuple("".join(control["A1"].words).split(",")) if "A1" in control else ()
        self.section = self.read_section()
        self.count = max(len(self.bands), 1)

    def error(self, line: int, message: str) -> UnreadableError:
        return UnreadableError(self.path, Place(line), message)

    def menu(self, blocks: list[tuple[str, dict[str, _Words]]]) -> Menu:
        if not self.image:
            raise self.error(0, "no line A), expected the images")
        if "," in self.image and not self.bands:
            raise self.error(self.control["A"].line, "several images, expected labels of their bands in a line A1)")
        if len({label.upper() for label in self.bands}) < len(self.bands):
            raise self.error(self.control["A1"].line, "two bands have the same label")
        if not blocks:
            raise self.error(0, "no component, expected at least one, such as 0) sersic")
        output = self.control.get("B", _Words(0, [])).words
        return Menu(
            program="GALFITM",
            components=tuple(self.component(number, *block) for number, block in enumerate(blocks, 1)),
            image=self.image,
            output=output[0] if output else "",
            section=self.section,
            bands=self.bands,
        )

    def read_section(self) -> tuple[int, int, int, int] | None:
        if "H" not in self.control:
            return None
        line, found = self.control["H"]
        try:
            x1, x2, y1, y2 = map(int, found[:4])
        except ValueError:
            raise self.error(line, f"'{' '.join(found)}' after 'H)', expected four whole numbers") from None
        return x1, x2, y1, y2

    def component(self, number: int, name: str, block: dict[str, _Words]) -> Component:
        line = block["0"].line
        if name.startswith(TRUNCATIONS) or "TI" in block or "TO" in block:
            raise self.error(line, "truncations in menus of GALFITM are not read")
        if not words.known(name):
            raise self.error(line, f"'{name}' is no function, expected one of {', '.join(words.FUNCTIONS)}")
        numbers: Values = {}
        rotation = ""
        if name.startswith("sky") and self.section is not None:
            centre = region_centre(self.section)
            numbers = {key: self.of_all(Value(number, mark="fixed")) for key, number in zip("xy", centre, strict=True)}
        for key, given in block.items():
            if key == "R0":
                rotation = "power" if given.words and given.words[0].startswith("power") else "log"
            elif key == "1" and not name.startswith("sky") and (len(given.numbers) > 2 or "2" not in block):
                numbers |= self.two(("1", "2"), given)
            elif key[0] == "F":
                numbers |= self.two((f"f{key[1:]}a", f"f{key[1:]}p"), given)
            elif key.isdecimal() and key != "0" or key[0] in "BRC":
                numbers[key.lower()] = self.number(given)
        hidden = words.Hidden(
            bending=tuple(int(key[1:]) for key in numbers if key[0] == "b"),
            c0="c0" in numbers,
            fourier=tuple(int(key[1:-1]) for key in numbers if key[0] == "f" and key[-1] == "a"),
            rotation=rotation,
        )
        names = {"x": "XC", "y": "YC"} | words.of_name(name, hidden)
        values = {names[key]: value for key, value in numbers.items() if key in names}
        return Component(number, name, values, rotation)

    def two(self, keys: tuple[str, str], given: _Words) -> Values:
        """A line of two numbers and their toggles: x and y, or amplitude and phase of a Fourier mode."""
        form = [given.form] if given.form else []
        return {key: self.number(_Words(given.line, [*given.numbers[k::2], *form])) for k, key in enumerate(keys)}

    def number(self, given: _Words) -> Value | tuple[Value, ...]:
        """A line of one number: its value or values, its toggle or toggles."""
        line, plain = given.line, given.numbers
        values = self.spread(line, self.floats(line, plain[:1]), given.form or self.form)
        free = any(toggle > 0 for toggle in self.floats(line, plain[1:2] or ["0"]))
        numbers = [Value(value, mark="free" if free else "fixed") for value in values]
        return tuple(numbers) if self.count > 1 else numbers[0]

    def of_all(self, value: Value) -> Value | tuple[Value, ...]:
        """A number that is the same in all bands."""
        return (value,) * self.count if self.count > 1 else value

    def floats(self, line: int, word: list[str]) -> list[float]:
        """The numbers of a list with commas."""
        try:
            return [float(number) for number in word[0].rstrip(",").split(",")]
        except (ValueError, IndexError):
            raise self.error(line, f"'{' '.join(word)}', expected a number or a list of numbers with commas") from None

    def spread(self, line: int, values: Sequence[float], form: str) -> list[float]:
        """The value in each band."""
        if len(values) == 1:
            return [values[0]] * self.count
        if len(values) > self.count or (form == "band" and len(values) < self.count):
            raise self.error(line, f"{len(values)} values, expected one or {self.count}, as there are bands")
        if form == "band":
            return list(values)
        waves = np.array(self.waves(line))
        middle, half = (waves.max() + waves.min()) / 2, (waves.max() - waves.min()) / 2
        return [float(value) for value in np.polynomial.chebyshev.chebval((waves - middle) / half, values)]

    def waves(self, line: int) -> list[float]:
        """Wavelengths of the bands, in the file's unit."""
        given = self.control.get("A2", _Words(line, []))
        found = self.floats(given.line, ["".join(given.words)])
        if len(found) != self.count or len(set(found)) < 2:
            raise self.error(
                given.line, f"A2) gives {len(found)} wavelengths, expected one for each of {self.count} bands"
            )
        return found

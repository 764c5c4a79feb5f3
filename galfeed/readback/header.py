"""Read the header of an image that GALFIT made: an image block's model, a lone model, a subcomps file.

It is what ``galfeed.output.header`` writes; GALFIT 2 and GALFITM are understood too.  A value is
``46.5265 +/- 0.0220``, ``[30.0000]``, ``{34.0144}`` or ``*24.4751* +/- *3.0821*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from galfeed.errors import Place, Remark, UnreadableError
from galfeed.output.fitscard import keyword, text_value
from galfeed.readback import words
from galfeed.readback.cards import Card, Header
from galfeed.readback.fitlog import MARKS
from galfeed.readback.record import Component, Program, Result, Value, Values

FIRST = "COMP_1"
LAST = "CHI2NU"
"""GALFIT writes it behind all parameters."""

_BEGIN = re.compile(r"COMMENT.*GALFIT Final Parameters")
_END = re.compile(r"COMMENT[ =]*={20,}\s*")
_NUMBERED = re.compile(r"(\d+)_(\w+)")
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)"
_VALUE = re.compile(
    rf"([\[{{*]?)\s*({_NUMBER})\s*([\]}}*]?)(?:\s*\+/-\s*([\[{{*]?)\s*({_NUMBER})\s*([\]}}*]?))?", re.IGNORECASE
)
_SECTION = re.compile(r"\[(-?\d+):(-?\d+),(-?\d+):(-?\d+)\]")
LINKS = ("INNER", "OUTER", "TINNR", "TOUTR")


class _Text(NamedTuple):
    """What a card says, and where it stands."""

    value: str
    place: Place


def parse(headers: Iterable[Header], path: str) -> Result:
    """The fit that the first header with GALFIT's parameters tells of; later ones are not looked at.

    Args:
        headers: of a file.
        path: its name, for the result and for messages.

    Raises:
        UnreadableError: none has GALFIT's parameters, or those that has cannot be read.
    """
    cut = False
    for header in headers:
        if any(keyword(text) == FIRST for text, _ in header.cards):
            return _Reader(path, header).result()
        cut = cut or not header.whole
    if cut:
        raise UnreadableError(path, Place(), "the file is cut short before the header with GALFIT's parameters")
    raise UnreadableError(path, Place(), f"no header has GALFIT's parameters, expected {FIRST} and so on")


class _Reader:
    """Reads one header."""

    def __init__(self, path: str, header: Header) -> None:
        self.path, self.header = path, header
        self.all = _first_of_each(header.cards)
        begin, end = _span(header.cards)
        self.own = _first_of_each(header.cards[begin:end])
        if LAST not in self.all:
            raise self.error(self.all[FIRST], f"the header is cut short, expected {LAST} behind the components")
        self.bands = tuple(self.text("BANDS").split(",")) if "BANDS" in self.all else ()
        self.program = self.written_by()

    def error(self, text: _Text, message: str) -> UnreadableError:
        return UnreadableError(self.path, text.place, message)

    def text(self, word: str) -> str:
        return self.all[word].value if word in self.all else ""

    def written_by(self) -> Program:
        if self.bands or self.text("VERSION").lower().startswith("galfitm"):
            return "GALFITM"
        return "GALFIT 2" if any(word.endswith("_XCENT") for word in self.own) else "GALFIT 3"

    def result(self) -> Result:
        section = _SECTION.fullmatch(self.text("FITSECT"))
        names = [self.text(f"DATAIN_{band.upper()}") for band in self.bands]
        return Result(
            path=self.path,
            place=self.header.cards[0].place,
            kind="header",
            program=self.program,
            components=self.components(),
            image=self.text("DATAIN") or ",".join(names),
            section=(int(section[1]), int(section[2]), int(section[3]), int(section[4])) if section else None,
            init=self.text("INITFILE"),
            restart=self.text("LOGFILE"),
            chi2=self.number("CHISQ"),
            ndof=self.whole("NDOF"),
            chi2nu=self.number(LAST),
            nfree=self.whole("NFREE"),
            nfix=self.whole("NFIX"),
            flags=tuple(self.text("FLAGS").split()) if "FLAGS" in self.all else None,
            bands=self.bands,
            remarks=tuple(self.remarks()),
        )

    def number(self, word: str) -> float | None:
        if word not in self.all:
            return None
        try:
            return float(self.all[word].value)
        except ValueError:
            raise self.error(self.all[word], f"{word} is '{self.all[word].value}', expected a number") from None

    def whole(self, word: str) -> int | None:
        value = self.number(word)
        if value is not None and not value.is_integer():
            raise self.error(self.all[word], f"{word} is '{self.all[word].value}', expected a whole number")
        return None if value is None else int(value)

    # Components

    def components(self) -> tuple[Component, ...]:
        numbers = sorted(int(word[5:]) for word in self.own if re.fullmatch(r"COMP_\d+", word))
        if numbers != list(range(1, len(numbers) + 1)):
            raise self.error(self.all[FIRST], f"components {numbers}, expected all from 1")
        cards: dict[int, dict[str, _Text]] = {number: {} for number in numbers}
        for word, text in self.own.items():
            found = _NUMBERED.fullmatch(word)
            if found and int(found[1]) in cards:
                cards[int(found[1])][found[2]] = text
        return tuple(self.component(number, own) for number, own in cards.items())

    def component(self, number: int, cards: dict[str, _Text]) -> Component:
        rotation = cards.pop("ROTF", _Text("", Place())).value
        inner, outer, *own = (self.links(number, word, cards.pop(word, None)) for word in LINKS)
        return Component(
            number=number,
            name=self.own[f"COMP_{number}"].value,
            values=self.values(number, cards),
            rotation=rotation,
            inner=inner or own[0],
            outer=outer or own[1],
        )

    def links(self, number: int, word: str, text: _Text | None) -> tuple[int, ...]:
        """Numbers of components; ``0`` is none."""
        if text is None:
            return ()
        if not all(link.isdecimal() for link in text.value.split()):
            raise self.error(text, f"{number}_{word} is '{text.value}', expected numbers of components")
        return tuple(link for link in map(int, text.value.split()) if link)

    def values(self, number: int, cards: dict[str, _Text]) -> Values:
        labels = [band.upper() for band in self.bands]
        if not any(word.endswith(f"_{label}") for word in cards for label in labels):
            return {self.word(word): self.value(number, word, text) for word, text in cards.items()}
        found: Values = {}
        # Beside the values, 1_MAG_R and so on, stand Chebyshev coefficients of the same, 1_MAG_0 and so on.
        for word in dict.fromkeys(word.rpartition("_")[0] for word in cards):
            lacking = next((label for label in labels if f"{word}_{label}" not in cards), None)
            if lacking:
                place = self.own[f"COMP_{number}"]
                raise self.error(place, f"no card {number}_{word}_{lacking}, expected a value in each band")
            values = tuple(self.value(number, f"{word}_{label}", cards[f"{word}_{label}"]) for label in labels)
            found[word] = values if len(labels) > 1 else values[0]
        return found

    def word(self, word: str) -> str:
        return words.GALFIT_2.get(word, word) if self.program == "GALFIT 2" else word

    def value(self, number: int, word: str, text: _Text) -> Value:
        found = _VALUE.fullmatch(text.value)
        if not found or found[1] + found[3] not in MARKS:
            expected = "expected '1.2345 +/- 0.0123', '[1.2345]' or the like"
            raise self.error(text, f"{number}_{word} is '{text.value}', {expected}")
        mark, value = MARKS[found[1] + found[3]], float(found[2])
        error = None if found[5] is None else float(found[5])
        if self.program == "GALFIT 2" and not error:
            return Value(value, None, "fixed" if error is None else "unknown")
        return Value(value, error, "unknown" if error is None and mark == "free" else mark)

    def remarks(self) -> Iterable[Remark]:
        place = self.header.cards[0].place
        if not self.header.whole:
            yield Remark(self.path, place, "the file is cut short: pixels behind the header are missing")
        if sum(bool(_BEGIN.match(text)) for text, _ in self.header.cards) > 1:
            what = "GALFIT 2 wrote the parameters several times over each other here; its fit.log has the right ones"
            yield Remark(self.path, place, what)
        for word, text in self.own.items():
            rotation = self.own.get(f"{word[5:]}_ROTF")
            if word.startswith("COMP_") and rotation and words.known(text.value):
                for lost in words.overwritten(text.value, rotation.value):
                    what = f"{word[5:]}_{lost} is that of the rotation, GALFIT's header lacks that of the {text.value}"
                    yield Remark(self.path, rotation.place, what)


def _span(cards: tuple[Card, ...]) -> tuple[int, int | None]:
    """Where the final parameters begin and end; all cards where there are no such comments."""
    begin = next((i for i, (text, _) in enumerate(cards) if _BEGIN.match(text)), None)
    if begin is None:
        return 0, None
    end = next((i for i, (text, _) in enumerate(cards) if i > begin and _END.fullmatch(text)), None)
    return begin, end


def _first_of_each(cards: Iterable[Card]) -> dict[str, _Text]:
    """What the cards say by keyword; of several with one keyword the first."""
    found: dict[str, _Text] = {}
    for text, place in cards:
        if text.startswith("HIERARCH "):  # a keyword of more than eight letters, such as 100_ALPHA
            value = text_value(f"{'':8}= {text.partition('=')[2].lstrip()}")
        else:
            value = text_value(text)
        found.setdefault(keyword(text), _Text(value, place))
    return found

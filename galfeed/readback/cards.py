"""The headers of a FITS file, or of a text that lists one card a line, without the pixels.

Cards are taken as they stand; what breaks the FITS standard in them does no harm.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from galfeed.errors import Place, UnreadableError
from galfeed.images.fitsfile import BLOCK, CARD, FITS, GZIP, number
from galfeed.output.fitscard import keyword

MOST_AXES = 999  # of the FITS standard
_EXTENSION = b"XTENSI"
_TITLE = re.compile(r"={3,} HDU \d+")
_SIZES = ("BITPIX", "NAXIS", "PCOUNT", "GCOUNT")
_COMPONENT = re.compile(r"^COMP_1  =", re.MULTILINE)
_FIRST = re.compile(r"SIMPLE  =|XTENSION=")


class Card(NamedTuple):
    """One card, and where it stands in a text; (0, 0) in a FITS file."""

    text: str
    place: Place = Place()


@dataclass(frozen=True)
class Header:
    """One header.

    Args:
        cards: without END.
        whole: the data behind it are all there, as far as the file's length says.
    """

    cards: tuple[Card, ...]
    whole: bool = True


def in_fits(path: Path, name: str) -> Iterator[Header]:
    """The headers of a FITS file, gzipped or not, one by one; pixels are passed over.

    Args:
        path: the file.
        name: what messages call it.

    Raises:
        UnreadableError: the file ends within a header, is damaged or cannot be opened.
    """
    try:
        with open(path, "rb") as plain:
            packed = plain.read(len(GZIP)) == GZIP
            plain.seek(0)
            size = None if packed else os.fstat(plain.fileno()).st_size
            file = cast(BinaryIO, gzip.open(plain)) if packed else plain
            position = 0
            while (block := file.read(BLOCK))[: len(FITS)] in (FITS, _EXTENSION):
                text = [block]
                while not _ends(text[-1]):
                    text.append(file.read(BLOCK))
                    if len(text[-1]) < BLOCK:
                        raise UnreadableError(name, Place(), "the file is cut short: it ends within a header")
                cards = _cards(b"".join(text).decode("latin-1"))
                position += BLOCK * len(text)
                length = _data_length(cards, name)
                yield Header(cards, size is None or position + length <= size)
                position += -(-length // BLOCK) * BLOCK
                file.seek(position)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableError(name, Place(), f"the compressed file is damaged or cut short: {error}") from None
    except OSError as error:
        raise UnreadableError(name, Place(), f"cannot be read: {error.strerror or error}") from None


def is_listing(text: str) -> bool:
    """Whether a text lists cards."""
    first = text.lstrip().split("\n", 1)[0]
    return bool(_TITLE.match(first) or _FIRST.match(first) or _COMPONENT.search(text))


def in_text(text: str) -> list[Header]:
    """The headers of a listing; each begins with a line such as ``=== HDU 2`` or with its first card."""
    found: list[list[Card]] = [[]]
    for line_number, line in enumerate(text.split("\n"), 1):
        card = line.rstrip()
        if _TITLE.match(card) or _FIRST.match(card):
            found.append([])
        if not _TITLE.match(card) and card != "END":
            found[-1].append(Card(card, Place(line_number)))
    return [Header(tuple(cards)) for cards in found]


def _ends(block: bytes) -> bool:
    return any(block[i : i + CARD].rstrip() == b"END" for i in range(0, len(block), CARD))


def _cards(text: str) -> tuple[Card, ...]:
    cards = (text[i : i + CARD] for i in range(0, len(text), CARD))
    found: list[Card] = []
    for card in cards:
        if card.rstrip() == "END":
            break
        found.append(Card(card))
    return tuple(found)


def _data_length(cards: tuple[Card, ...], name: str) -> int:
    """Bytes of the data behind a header, without padding."""
    values: dict[str, int] = {}
    for text, _ in cards:
        word = keyword(text)
        if word.startswith(_SIZES) and text[8:10] == "= ":
            value = number(text[10:])
            if value is None or not value.is_integer():
                raise UnreadableError(name, Place(), f"a header is damaged: {word} is no whole number")
            values.setdefault(word, int(value))
    axes = [values.get(f"NAXIS{i}", 0) for i in range(1, min(values.get("NAXIS", 0), MOST_AXES) + 1)]
    if axes and axes[0] == 0:  # random groups
        axes = axes[1:]
    elements = values.get("PCOUNT", 0) + math.prod(axes) if axes else 0
    length = abs(values.get("BITPIX", 0)) // 8 * values.get("GCOUNT", 1) * elements
    if length < 0:
        raise UnreadableError(name, Place(), "a header is damaged: its axes are negative")
    return length

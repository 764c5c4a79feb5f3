"""FITS cards as CFITSIO 3 writes them: 80 columns, values from column 11, comments cut at the end."""

from __future__ import annotations

import math

COLUMNS = 80
LONGEST_TEXT = 68  # characters between the quotes; longer texts are cut
SHORTEST_TEXT = 8


def text_card(keyword: str, value: str, comment: str = "") -> str:
    """A card whose value is a quoted text."""
    quoted = _bytes(value).replace("'", "''")
    if len(quoted) > LONGEST_TEXT:
        quoted = _shortened(_bytes(value))
    return _card(keyword, f"'{quoted:{SHORTEST_TEXT}}'", comment)


def _shortened(text: str) -> str:
    """As much of a text as fits between the quotes; a quote in it, which is doubled, is not cut in two."""
    quoted = ""
    for character in text:
        doubled = character.replace("'", "''")
        if len(quoted) + len(doubled) > LONGEST_TEXT:
            break
        quoted += doubled
    return quoted


def number_card(keyword: str, value: int | float, comment: str = "", digits: int = 15) -> str:
    """A card whose value is a number, right-aligned in columns 11 to 30.

    A value that is not finite is written as 0, which is what GALFIT leaves there.

    Args:
        digits: significant digits of a float: 15 for double precision, 7 for single.
    """
    text = str(value) if isinstance(value, int) else float_text(value, digits)
    return _card(keyword, f"{text:>20}", comment)


def float_text(value: float, digits: int) -> str:
    """A float that cannot be taken for an integer: ``26.563``, ``25.``, ``1.0E+20``."""
    if not math.isfinite(value):
        return "0."
    text = f"{value:.{digits}G}"
    if "." in text:
        return text
    return f"{value:.1E}" if "E" in text else text + "."


def comment_card(text: str) -> str:
    return f"COMMENT {text}"[:COLUMNS].ljust(COLUMNS)


def keyword(card: str) -> str:
    """The keyword of a card, that of a HIERARCH card without this word."""
    if card.startswith("HIERARCH ") and "=" in card:
        return card[9:].split("=")[0].strip()
    return card[:8].strip()


def text_value(card: str) -> str:
    """The value of a card as text: what the quotes hold, without blanks at its end, or the first bare word."""
    value = card[10:].lstrip() if card[8:10] == "= " else ""
    if not value.startswith("'"):
        return (value.split("/")[0].split() or [""])[0]
    text, rest = "", value[1:]
    while rest:
        piece, quote, rest = rest.partition("'")
        text += piece
        if not rest.startswith("'"):
            break
        text, rest = text + quote, rest[1:]
    return text.rstrip()


def _card(keyword: str, value: str, comment: str) -> str:
    start = f"{keyword:8}= " if len(keyword) <= 8 else f"HIERARCH {keyword} = "
    card = (start + value).ljust(30)
    if comment and len(card) + 3 < COLUMNS:
        card += f" / {comment}"
    return card[:COLUMNS].ljust(COLUMNS)


def _bytes(text: str) -> str:
    """A text with one character for each of its bytes, as a file name may hold any."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")

"""Read back what GALFIT and galfeed wrote: logs, restart files, image blocks.

``galfeed.read`` is :func:`read`; ``docs/reading.md`` shows its use.
"""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

from galfeed.errors import Place, Remark, UnreadableError
from galfeed.images.fitsfile import CARD, FITS, GZIP
from galfeed.readback import cards, fitlog, header, menu
from galfeed.readback.record import Component, ReadWarning, Result, Value

__all__ = ["Component", "ReadWarning", "Reading", "Result", "UnreadableError", "Value", "load", "read"]

_LOG = re.compile(r"^(-{70,}\s*$|Input images? *:)", re.MULTILINE)
LONGEST_LINE = 4000  # characters; GALFIT writes no longer ones
KINDS = "a fit.log, a restart file or menu, or an image with GALFIT's header"


@dataclass(frozen=True)
class Reading:
    """What a file holds.

    Args:
        results: its fits, in order.
        remarks: what is in it besides, such as an entry of a log that is cut short.
    """

    results: tuple[Result, ...]
    remarks: tuple[Remark, ...] = ()


def read(path: str | os.PathLike[str]) -> list[Result]:
    """The fits that a file of GALFIT 2 or 3, GALFITM or galfeed tells of, in its order.

    The file is a ``fit.log`` (a result an entry), a restart file or any other menu, an image block, a model image or a
    subcomps file, also gzipped, or a text that lists their header cards.  Its kind is told by what is in it.

    What is left out of a log, above all an entry that a killed run has left unfinished, is said in a ``ReadWarning``;
    :func:`load` returns such remarks as records.

    Raises:
        GalfeedError: the file is none of these, or is damaged; one line that names file and, in a text, line.
    """
    reading = load(path)
    for remark in reading.remarks:
        warnings.warn(str(remark), ReadWarning, stacklevel=2)
    return list(reading.results)


def load(path: str | os.PathLike[str]) -> Reading:
    """As :func:`read`, with its warnings as records.

    Raises:
        GalfeedError: as there.
    """
    name = os.fspath(path)
    start = _bytes(name, 2 * CARD)
    if start.startswith(FITS) and b"\n" not in start[: CARD + 1]:
        return Reading((header.parse(cards.in_fits(Path(name), name), name),))
    text = _bytes(name).decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n")
    if "\0" in text:
        raise UnreadableError(name, Place(), f"neither a FITS file nor a text, expected {KINDS}")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            what = f"a line of {len(line)} characters, expected at most {LONGEST_LINE}"
            raise UnreadableError(name, Place(number), what)
    if cards.is_listing(text):
        return Reading((header.parse(cards.in_text(text), name),))
    if _LOG.search(text):
        results, remarks = fitlog.parse(text, name)
        return Reading(tuple(results), tuple(remarks))
    if menu.is_menu(text):
        return Reading((menu.parse(text, name),))
    raise UnreadableError(name, Place(), f"nothing in it is GALFIT's, expected {KINDS}")


def _bytes(name: str, size: int = -1) -> bytes:
    """The first bytes of a file, or all, unpacked."""
    try:
        with open(name, "rb") as plain:
            packed = plain.read(len(GZIP)) == GZIP
            plain.seek(0)
            if not packed:
                return plain.read(size)
            with gzip.open(plain) as unpacked:
                return unpacked.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableError(name, Place(), f"the compressed file is damaged or cut short: {error}") from None
    except OSError as error:
        raise UnreadableError(name, Place(), f"{error.strerror or error}, expected {KINDS}") from None

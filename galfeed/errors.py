"""What galfeed raises for wrong input, and what it says of input that is merely odd.

Every message is one line in the form ``place: what is wrong, what was expected``.
A fit that goes badly is not an error: it is a :class:`galfeed.result.Status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

LONGEST = 1000
"""Characters of a message."""


class Place(NamedTuple):
    """Where in a text file: line and column, from 1; 0 where the file as a whole, or the whole line, is meant."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True)
class Remark:
    """Something to be said about a file; ``str(remark)`` is one line fit for stderr.

    Args:
        path: the file, as the user named it.
        place: where in it.
        message: what is odd, and what comes of it or was expected.
    """

    path: str
    place: Place
    message: str

    def __str__(self) -> str:
        return legible(
            f"{self.path}:{self.place.line}: {self.message}" if self.place.line else f"{self.path}: {self.message}"
        )


def legible(text: str) -> str:
    """One line of at most ``LONGEST`` characters: words of a damaged file may hold anything.

    What a terminal would not show, or obey, is escaped; undecodable bytes (lone surrogates) are left to the stream.
    """
    shown = "".join(c if c.isprintable() or "\ud800" <= c <= "\udfff" else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]} ... {shown[5 - LONGEST // 2 :]}"


class GalfeedError(Exception):
    """Base of all errors that a user can cause; ``str(error)`` is one line fit for stderr."""

    def __str__(self) -> str:
        return legible(super().__str__())


class FeedmeError(GalfeedError):
    """A menu or constraint file that cannot be read; names file and line.

    Args:
        path: the file, as the user named it.
        place: where in it, or its line only.
        message: what is wrong and what was expected.
        stdout: what GALFIT itself prints before it stops for this reason, if it does.
    """

    def __init__(self, path: str, place: Place | int, message: str, stdout: str = "") -> None:
        self.remark = Remark(path, place if isinstance(place, Place) else Place(place), message)
        super().__init__(str(self.remark))
        self.path, self.line, self.message, self.stdout = path, self.remark.place.line, message, stdout


class UnsupportedError(FeedmeError):
    """Valid GALFIT that galfeed cannot do yet."""


class ImageError(GalfeedError):
    """An image, mask or PSF that cannot be used.

    Args:
        path: the file, as the menu names it.
        message: what is wrong and what was expected.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path, self.message = path, message


class UnreadableError(GalfeedError):
    """A result of an earlier run that cannot be read back; names file and, in a text file, line.

    Args:
        path: the file, as the user named it.
        place: where in it.
        message: what is wrong and what was expected.
    """

    def __init__(self, path: str, place: Place, message: str) -> None:
        self.remark = Remark(path, place, message)
        super().__init__(str(self.remark))


class OutputError(GalfeedError):
    """A result that cannot be written (missing folder, no permission, full disk)."""

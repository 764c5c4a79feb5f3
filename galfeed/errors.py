"""What galfeed raises for wrong input.

Every message is one line in the form ``place: what is wrong, what was expected``.
A fit that goes badly is not an error: it is a :class:`galfeed.result.Status`.
"""

from __future__ import annotations


class GalfeedError(Exception):
    """Base of all errors that a user can cause; ``str(error)`` is one line fit for stderr."""


class FeedmeError(GalfeedError):
    """A menu or constraint file that cannot be read; names file and line.

    Args:
        path: the file, as the user named it.
        line: line number from 1, or 0 when the file as a whole is meant.
        message: what is wrong and what was expected.
        stdout: what GALFIT itself prints before it stops for this reason, if it does.
    """

    def __init__(self, path: str, line: int, message: str, stdout: str = "") -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")
        self.path, self.line, self.message, self.stdout = path, line, message, stdout


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


class OutputError(GalfeedError):
    """A result that cannot be written (missing folder, no permission, full disk)."""

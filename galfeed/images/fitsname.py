"""CFITSIO's file names: ``gal.fits[1]``, ``gal.fits[SCI,2]``, ``gal.fits[0][10:60,10:60]``, ``gal.fits+1``.

GALFIT hands the names of a menu to CFITSIO as they are.  Understood here: an extension by number, by name, or
by name and version, and a section of increasing pixel ranges.  What else CFITSIO offers (row filters,
binning, flipped or stepped sections, files on the network) is refused with a message.

Source: CFITSIO User's Reference Guide, "Extended File Name Syntax"; probed with GALFIT 3.0.5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from galfeed.errors import ImageError

Extension = int | tuple[str, int]
Range = tuple[int, int] | None

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_NAMED = re.compile(r"([^,;=<>()\s:*]+)(?:,(\d{1,9}))?(?:,[IABiab]\w*)?")
_RANGE = re.compile(r"(\d{1,9}):(\d{1,9})|\*")
_FORMS = "an extension ([1], [SCI], [SCI,2]) or a section ([10:60,10:60])"


@dataclass(frozen=True)
class FitsName:
    """A file name taken apart.

    Args:
        path: the file.
        extension: number from 0, or (name in lower case, version; 0 for any); None when not given.
        section: for each axis, x first, (first, last) pixel from 1 or None for the whole axis; empty when not
            given.
    """

    path: str
    extension: Extension | None = None
    section: tuple[Range, ...] = ()


def parse(name: str) -> FitsName:
    """Take a file name of a menu apart.

    Raises:
        ImageError: CFITSIO syntax that is not supported.
    """
    if name.startswith("file://"):
        return parse(name.removeprefix("file://"))
    if "://" in name or name in ("-", "stdin"):
        raise ImageError(name, "only files on disk can be read, expected a file name")
    root, bracket, rest = name.partition("[")
    if not bracket:
        plus = re.fullmatch(r"(.+)\+(\d{1,4})", name)
        return FitsName(plus[1], int(plus[2])) if plus else FitsName(name)
    suffix = bracket + rest
    parts = _BRACKETS.findall(suffix)
    if "".join(f"[{part}]" for part in parts) != suffix:
        raise ImageError(name, f"'{suffix}' is not understood, expected {_FORMS}")
    extension = None
    section: tuple[Range, ...] = ()
    for part in parts:
        if section:
            raise _unsupported(name, part)
        if ":" in part or "*" in part:
            section = _section(name, part)
        elif extension is None:
            extension = _extension(name, part)
        else:
            raise _unsupported(name, part)
    return FitsName(root, extension, section)


def _unsupported(name: str, part: str) -> ImageError:
    return ImageError(name, f"[{part}] is not supported, expected {_FORMS}")


def _extension(name: str, part: str) -> Extension:
    if re.fullmatch(r"\s*\d{1,9}\s*", part):
        return int(part)
    named = _NAMED.fullmatch(part)
    if not named or named[1].lower() in ("bin", "binr", "col", "compress", "hist", "pix"):
        raise _unsupported(name, part)
    if named[1].lower() in ("primary", "p"):
        return 0
    return named[1].lower(), int(named[2] or 0)


def _section(name: str, part: str) -> tuple[Range, ...]:
    ranges: list[Range] = []
    for text in part.split(","):
        found = _RANGE.fullmatch(text.strip())
        if not found:
            raise _unsupported(name, part)
        ranges.append((int(found[1]), int(found[2])) if found[1] else None)
    if any(r is not None and not 1 <= r[0] <= r[1] for r in ranges):
        raise ImageError(name, f"section [{part}] does not run upwards from pixel 1, expected [x1:x2,y1:y2]")
    return tuple(ranges)

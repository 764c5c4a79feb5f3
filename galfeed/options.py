"""The command line: GALFIT's options and galfeed's, before or after the file."""

from __future__ import annotations

import os
from dataclasses import dataclass

from galfeed.errors import GalfeedError

DEFAULT_ITERATIONS = 100
CHECK = "check"


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Args:
        menus: the input files, as the user named them.
        mode: 1, 2 or 3 by -o1, -o2, -o3; None: as ``P)`` of the menu says.
        max_iterations: -imax.
        noskyest, skyped, skyrms: how the sigma image is made where none is given.
        outsig: write sigma.fits.
        exact: the right numbers where GALFIT's are not.
        check: look at the menus, and run nothing.
        record: write the result as JSON, too.
        help, version: asked for.
        ignored: words that GALFIT ignores too.
    """

    menus: tuple[str, ...] = ()
    mode: int | None = None
    max_iterations: int = DEFAULT_ITERATIONS
    noskyest: bool = False
    skyped: float | None = None
    skyrms: float | None = None
    outsig: bool = False
    exact: bool = False
    check: bool = False
    record: bool = False
    help: bool = False
    version: bool = False
    ignored: tuple[str, ...] = ()


class OptionError(GalfeedError):
    """A word of the command line that cannot be understood."""


def parse(words: list[str]) -> Options:
    """Read the command line.

    The word ``check`` counts as the sub-command where it comes first and others follow.

    Raises:
        OptionError: an option without its value, an unknown long option, or interactive mode.
    """
    menus: list[str] = []
    ignored: list[str] = []
    found: dict[str, object] = {}
    if words[0:1] == [CHECK] and len(words) > 1:
        found["check"] = True
        words = words[1:]
    rest = iter(words)
    for word in rest:
        if word in ("-o1", "-o2", "-o3"):
            found["mode"] = int(word[2])
        elif word in ("-noskyest", "-outsig"):
            found[word[1:]] = True
        elif word in ("-help", "--help"):
            found["help"] = True
        elif word == "--exact":
            found["exact"] = True
        elif word == "--json":
            found["record"] = True
        elif word == "--version":
            found["version"] = True
        elif word == "-imax":
            found["max_iterations"] = _iterations(next(rest, None))
        elif word in ("-skyped", "-skyrms"):
            found[word[1:]] = _number(word, next(rest, None))
        elif word == "-i":
            raise OptionError("-i: there is no interactive mode; edit the menu and run it")
        elif word.startswith("--"):
            raise OptionError(f"{word}: unknown option; galfeed -help lists them")
        elif word.startswith("-") and not os.path.exists(word):
            ignored.append(word)
        else:
            menus.append(word)
    return Options(menus=tuple(menus), ignored=tuple(ignored), **found)  # type: ignore[arg-type]


def _number(option: str, text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise OptionError(f"{option}: expected a number after it, found {text or 'nothing'}") from None


def _iterations(text: str | None) -> int:
    """As GALFIT: 0 or a word is one iteration, a negative number the default."""
    if text is None or text.endswith(".feedme") or os.path.exists(text):
        raise OptionError(f"-imax: expected a number after it, found {text or 'nothing'}")
    try:
        number = int(text)
    except ValueError:
        number = 0
    return DEFAULT_ITERATIONS if number < 0 else max(number, 1)

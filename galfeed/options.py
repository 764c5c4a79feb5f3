"""The command line: GALFIT's options and galfeed's, before or after the file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from galfeed.errors import GalfeedError
from galfeed.output.names import JSON, OUTPUTS, USUAL

DEFAULT_ITERATIONS = 100
CHECK = "check"
MENUS = "*.feedme"
"""Which files of a directory are input files, unless ``--glob`` says otherwise."""

Folder = Literal["here", "menu"]
Dtype = Literal["float64", "float32", "mixed"]
DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]+)?")
LIST = "@"
"""Before the name of a list of menus."""


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Args:
        menus: the input files, as the user named them; in a batch also directories and ``@`` lists.
        mode: 1, 2 or 3 by -o1, -o2, -o3; None: as ``P)`` of the menu says.
        max_iterations: -imax.
        noskyest, skyped, skyrms: how the sigma image is made where none is given.
        outsig: write sigma.fits.
        exact: the right numbers where GALFIT's are not.
        check: look at the menus, and run nothing.
        record: write the result as JSON, too.
        outputs: which outputs are wanted, words of ``names.OUTPUTS``; None: the usual ones.
        glob: which files of a directory are menus.
        cwd: where each menu is run; None: as GALFIT does for a single one, in its own folder for several.
        catalog, journal: files for the results of a batch and for its progress; None: no catalogue, the usual name.
        resume: go on with the run of the journal.
        workers, chunk: how many processes, and how many jobs a fit; None: as fits.
        device, dtype: what the fit runs on, and its precision; None: the usual one.
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
    outputs: frozenset[str] | None = None
    glob: str = MENUS
    cwd: Folder | None = None
    catalog: str | None = None
    journal: str | None = None
    resume: bool = False
    workers: int | None = None
    chunk: int | None = None
    device: str = "auto"
    dtype: Dtype | None = None
    help: bool = False
    version: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def wanted(self) -> frozenset[str]:
        """Words of ``names.OUTPUTS``: what a run writes."""
        outputs = USUAL if self.outputs is None else self.outputs
        return outputs | {JSON} if self.record else outputs

    @property
    def several(self) -> bool:
        """Whether there may be several menus: a single file is run as GALFIT runs it."""
        return len(self.menus) > 1 or any(name.startswith(LIST) or os.path.isdir(name) for name in self.menus)

    @property
    def batch(self) -> bool:
        """Whether this is a batch: several menus, or something is asked that only a batch has."""
        own = (self.outputs, self.catalog, self.journal)
        return self.several or self.resume or any(word is not None for word in own)


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
        option, equals, value = word.partition("=")
        if option in TAKES_VALUE:
            name, read = TAKES_VALUE[option]
            found[name] = read(option, value if equals else next(rest, ""))
            continue
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
        elif word == "--resume":
            found["resume"] = True
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


def _word(option: str, text: str) -> str:
    if not text:
        raise OptionError(f"{option}: expected a name after it, found nothing")
    return text


def _count(option: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise OptionError(f"{option}: expected a number from 1 after it, found {text or 'nothing'}")
    return int(text)


def _chunk(option: str, text: str) -> int | None:
    return None if text == "auto" else _count(option, text)


def _one_of(words: tuple[str, ...]) -> Callable[[str, str], str]:
    def read(option: str, text: str) -> str:
        if text not in words:
            raise OptionError(f"{option}: expected one of {', '.join(words)} after it, found {text or 'nothing'}")
        return text

    return read


def _device(option: str, text: str) -> str:
    if not DEVICE.fullmatch(text):
        raise OptionError(f"{option}: expected auto, cpu, cuda or cuda:N after it, found {text or 'nothing'}")
    return text


def _outputs(option: str, text: str) -> frozenset[str]:
    words = frozenset(text.split(","))
    if words == {"none"}:
        return frozenset()
    if not words <= set(OUTPUTS):
        raise OptionError(f"{option}: expected none, or some of {','.join(OUTPUTS)}, found {text or 'nothing'}")
    return words


TAKES_VALUE: dict[str, tuple[str, Callable[[str, str], object]]] = {
    "--glob": ("glob", _word),
    "--cwd": ("cwd", _one_of(get_args(Folder))),
    "--catalog": ("catalog", _word),
    "--journal": ("journal", _word),
    "--workers": ("workers", _count),
    "--chunk": ("chunk", _chunk),
    "--device": ("device", _device),
    "--dtype": ("dtype", _one_of(get_args(Dtype))),
    "--outputs": ("outputs", _outputs),
}
"""Options of two words, or one with ``=``: the field of :class:`Options`, and how the second word is read."""


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

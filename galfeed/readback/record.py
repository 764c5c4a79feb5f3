"""Records of what GALFIT, GALFITM or galfeed wrote about a fit.

Numbers go by GALFIT's header words wherever they were read: ``XC YC MAG RE RS N AR PA SKY DSDX DSDY C0 B2 F1 F1PA RIN
ROUT RANG ALPHA INCL SPA RBRK DSFT ...``; words of GALFIT 2 (``XCENT``, ``DSKYDX``, ``C``) are translated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from galfeed.errors import Place, Remark
from galfeed.job import TRUNCATIONS

Mark = Literal["free", "fixed", "tied", "suspicious", "unknown"]
"""How a number is marked: plain, ``[fixed]``, ``{tied}``, ``*suspicious*`` (free, with a doubtful value).

Files of GALFIT 2 have no marks: a number with an error bar is free there, one without is "unknown".
"""

Program = Literal["GALFIT 2", "GALFIT 3", "GALFITM"]
"""In whose manner a file is written; galfeed writes as GALFIT 3 does."""

Kind = Literal["log", "menu", "header"]
"""A ``fit.log``; a restart file or any other menu; the header of an image block, a model or a subcomps file."""

Cell = float | str | int


class ReadWarning(UserWarning):
    """Something in a file that is not among the results, such as an entry of a log that is cut short."""


@dataclass(frozen=True)
class Value:
    """One number of a component.

    Args:
        value: as printed, in GALFIT's units (pixel, mag, degree, ADU); may be nan or infinite.
        error: its error bar, None where the file gives none: fixed and tied numbers, restart files.
        mark: how the file marks it.
    """

    value: float
    error: float | None = None
    mark: Mark = "free"


Values = dict[str, Value | tuple[Value, ...]]
"""Numbers by header word; of a fit to several bands tuples, a number a band."""


@dataclass(frozen=True)
class Component:
    """One component: a light, the sky or a truncation.

    Args:
        number: from 1, in the order of the menu.
        name: GALFIT's name, as it prints it: ``sersic``, ``expdisk3 /\\``, ``radial2-b``.
        values: numbers by header word, in the order of the file.
        rotation: "power" or "log" for a coordinate rotation, else "".
        inner, outer: of a light, the numbers of the truncations that cut its inside and outside; of a truncation, the
            numbers of the components that it cuts there.
    """

    number: int
    name: str
    values: Values
    rotation: str = ""
    inner: tuple[int, ...] = ()
    outer: tuple[int, ...] = ()

    def __getitem__(self, word: str) -> Value | tuple[Value, ...]:
        """The number under a header word, such as ``component["MAG"]``.

        Raises:
            KeyError: the file gives no such number.
        """
        try:
            return self.values[word]
        except KeyError:
            known = " ".join(self.values)
            raise KeyError(f"component {self.number} ({self.name}) has no {word}, it has {known}") from None


@dataclass(frozen=True)
class Result:
    """One fit: an entry of a log, a restart file (or any menu), or the header of an image.

    Args:
        path: the file it was read from.
        place: where in the file it begins; (0, 0) in a FITS file.
        kind: what kind of file that is.
        program: in whose manner it is written.
        components: in order.
        image: the data; of several bands all names, joined by commas.
        section: (xmin, xmax, ymin, ymax) of the fitting region, pixels from 1.
        init: the menu of the fit.
        restart: the restart file that the fit wrote.
        output: the image block; a header does not name it.
        chi2, ndof, chi2nu: None where the file does not say, as in a menu that is no restart file.
        nfree, nfix: numbers of free and of fixed parameters; only headers have them.
        flags: GALFIT's FLAGS codes; only headers of GALFIT 3 have them.
        bands: labels of the bands, GALFITM only.
        remarks: what to beware of.
    """

    path: str
    place: Place
    kind: Kind
    program: Program
    components: tuple[Component, ...]
    image: str = ""
    section: tuple[int, int, int, int] | None = None
    init: str = ""
    restart: str = ""
    output: str = ""
    chi2: float | None = None
    ndof: int | None = None
    chi2nu: float | None = None
    nfree: int | None = None
    nfix: int | None = None
    flags: tuple[str, ...] | None = None
    bands: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = field(default=())

    def row(self) -> dict[str, Cell]:
        """All of it in one flat line of a table, by GALFIT's header words.

        ``FILE``, ``DATAIN``, ``CHI2NU`` and the like stand for the fit, ``COMP_1`` is the first component's name,
        ``1_XC`` a number of it, ``1_XC_ERR`` its error bar and ``1_XC_MARK`` its mark; of several bands ``1_XC_R`` and
        so on.  What the file does not give is left out.
        """
        section = self.section and "[{}:{},{}:{}]".format(*self.section)
        cells: dict[str, Cell | None] = {
            "FILE": self.path,
            "DATAIN": self.image or None,
            "FITSECT": section,
            "INITFILE": self.init or None,
            "LOGFILE": self.restart or None,
            "OUTPUT": self.output or None,
            "CHISQ": self.chi2,
            "NDOF": self.ndof,
            "CHI2NU": self.chi2nu,
            "NFREE": self.nfree,
            "NFIX": self.nfix,
            "FLAGS": None if self.flags is None else " ".join(self.flags),
        }
        for component in self.components:
            cells |= self._cells(component)
        return {word: cell for word, cell in cells.items() if cell is not None}

    def _cells(self, component: Component) -> Iterator[tuple[str, Cell | None]]:
        n = component.number
        yield f"COMP_{n}", component.name
        yield f"{n}_ROTF", component.rotation or None
        links = ("INNER", "OUTER") if component.name.startswith(TRUNCATIONS) else ("TINNR", "TOUTR")
        for word, numbers in zip(links, (component.inner, component.outer), strict=True):
            yield f"{n}_{word}", " ".join(map(str, numbers)) or None
        for word, values in component.values.items():
            bands = [f"_{band.upper()}" for band in self.bands] if isinstance(values, tuple) else [""]
            for band, value in zip(bands, values if isinstance(values, tuple) else (values,), strict=True):
                yield f"{n}_{word}{band}", value.value
                yield f"{n}_{word}{band}_ERR", value.error
                yield f"{n}_{word}{band}_MARK", value.mark

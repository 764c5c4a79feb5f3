"""Records of one GALFIT job: what a menu and its constraint file say, and nothing else.

No I/O and no torch here.  A :class:`Job` is complete: ``feedme.dump(job)`` parses back to the same job.
A fitted job is the same record with new values, error bars and toggles.

Parameters are addressed by their menu key in lower case: ``"1"`` (x), ``"2"`` (y), ``"3"`` ... ``"10"``,
``"c0"``, ``"b2"`` (bending mode 2), ``"f1a"`` and ``"f1p"`` (amplitude and phase of Fourier mode 1),
``"r1"`` ... ``"r10"``.  The sky's level and gradients are ``"1"``, ``"2"``, ``"3"``; a truncation's ``T4)`` is ``"4"``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

from galfeed.errors import Place, Remark

Unit = Literal["pix", "mag", "deg", "ADU", "ADU/pix", ""]

FUNCTIONS = (
    "sersic",
    "devauc",
    "expdisk",
    "gaussian",
    "moffat",
    "nuker",
    "ferrer",
    "king",
    "edgedisk",
    "psf",
    "sky",
)
"""GALFIT's functions.  It matches them by the start of the word: ``ferrers`` and ``sersic_2`` pass."""

TRUNCATIONS = ("radial", "length", "height")
"""First words of the types that ``T0)`` accepts; ``2`` and ``-b`` may follow."""

SLOTS = {str(k): k - 1 for k in range(1, 11)}
"""Index of the numbers of a menu's own lines in a component's slots, by key."""

HIDDEN = ("b", "c", "f", "r")
"""The groups of hidden parameters: bending, diskyness, Fourier modes, rotation."""


T = TypeVar("T")


def altered(record: T, **changes: Any) -> T:
    """``dataclasses.replace`` for the records of this module, in a fifth of its time."""
    new = object.__new__(type(record))
    vars(new).update(vars(record), **changes)
    return new


class ParamRef(NamedTuple):
    """Address of one number of a job: component (from 1) and menu key."""

    component: int
    key: str


@dataclass(frozen=True)
class Parameter:
    """One number of a component.

    Args:
        value: in the unit of the menu (pixel, mag, degree, ADU).
        toggle: as written: 0 fixed, 1 (or more) free, 2 in a restart file tied, -1 absent from all outputs.
        error: one standard error by GALFIT's rule, 0 before a fit.
        tied: held by an offset or ratio constraint (printed in braces).
    """

    value: float
    toggle: int = 0
    error: float = field(default=0.0, compare=False)
    tied: bool = field(default=False, compare=False)

    @property
    def free(self) -> bool:
        return self.toggle > 0 and not self.tied


@dataclass(frozen=True)
class ParamSpec:
    """What the language and the writers know of one parameter of one kind of component.

    Args:
        key: menu key (see the module's docstring).
        name: GALFIT's short name as the code uses it ("re").
        header: word of the FITS header after ``n_`` ("RE"); empty: not in the header.
        comment: comment of that card.
        menu: comment of the menu line, after ``#``, verbatim.
        unit: unit of the value; a "pix" parameter scales with the fine sampling of the PSF.
        limits: values the fit may take (a start outside stays allowed).
        positive: fitted through its logarithm.
        step: largest change in one iteration, in the unit, or in the logarithm of a positive parameter.
    """

    key: str
    name: str
    header: str
    comment: str
    menu: str
    unit: Unit = ""
    limits: tuple[float, float] = (-math.inf, math.inf)
    positive: bool = False
    step: float = math.inf


@dataclass(frozen=True)
class BendingMode:
    """``Bn)``: bending mode of order ``n``, amplitude in pixels."""

    n: int
    amplitude: Parameter


@dataclass(frozen=True)
class FourierMode:
    """``Fn)``: azimuthal Fourier mode of order ``n``, amplitude and phase in degrees."""

    n: int
    amplitude: Parameter
    phase: Parameter


@dataclass(frozen=True)
class Rotation:
    """``R0)`` ... ``R10)``: coordinate rotation.  ``slots[k - 1]`` is ``Rk)``; R5 to R8 are unused."""

    function: str
    slots: tuple[Parameter, ...]


@dataclass(frozen=True)
class Component:
    """One block of a menu.

    Args:
        number: from 1, counting all blocks, sky and truncations included.
        name: as the menu has it after ``0)`` or ``T0)``, decoration included ("sersic", "sersic1 \\").
        slots: ``slots[k - 1]`` is the number at key k, 1 to 10 (x and y are 1 and 2); None only where a
            truncation does not give the line.
        c0, bending, fourier, rotation: hidden parameters; None or empty when not given.
        inner, outer: component numbers after ``Ti)`` and ``To)``.
        skip: the number after ``Z)``.
        places: where its lines stand in the menu, by menu key in lower case; "0" is ``0)`` or ``T0)``, "ti" is ``Ti)``.
        hidden: groups of hidden parameters as the menu first names them, such as ("f", "c"); GALFIT keeps
            that order in all outputs.  Groups left out follow in the order of ``HIDDEN``.
    """

    number: int
    name: str
    slots: tuple[Parameter | None, ...]
    c0: Parameter | None = None
    bending: tuple[BendingMode, ...] = ()
    fourier: tuple[FourierMode, ...] = ()
    rotation: Rotation | None = None
    inner: tuple[int, ...] = ()
    outer: tuple[int, ...] = ()
    skip: int = 0
    places: dict[str, Place] = field(default_factory=dict, compare=False)
    hidden: tuple[str, ...] = field(default=(), compare=False)

    def place(self, key: str = "0") -> Place:
        """Where a key stands in the menu; where the component begins if the menu does not give it."""
        return self.places.get(key) or self.places.get("0") or Place()

    @property
    def word(self) -> str:
        """The name without decoration: "sersic2" for "sersic2 /"."""
        return self.name.split()[0]

    @property
    def kind(self) -> str:
        """The function's name without digit and decoration: "sersic" for "sersic2 /"."""
        return _kind(self.name)

    @property
    def variant(self) -> int:
        """The first of 1, 2, 3 that occurs in the name (another meaning of ``3)``), 0 without."""
        return _variant(self.name)

    @property
    def printed_name(self) -> str:
        r"""The name in all outputs of GALFIT: truncation adds a variant and a mark for each link.

        Outer truncation alone makes "sersic1 \", inner or both "sersic3 /\"; a digit given is kept.
        """
        if self.is_truncation or not (self.inner or self.outer):
            return self.name
        digit = "" if self.variant else "3" if self.inner else "1"
        return f"{self.word}{digit} {'/' * len(self.inner)}{chr(92) * len(self.outer)}"

    def renamed(self) -> Component:
        """The same block under its printed name."""
        return altered(self, name=self.printed_name)

    @property
    def is_truncation(self) -> bool:
        return self.name.startswith(TRUNCATIONS)

    @property
    def hidden_groups(self) -> tuple[str, ...]:
        """All groups of hidden parameters, given or not, in the order in which they are printed."""
        return tuple(dict.fromkeys((*self.hidden, *HIDDEN))) if self.hidden else HIDDEN

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All numbers of the block as (key, parameter), hidden ones last, in GALFIT's header order."""
        for key, slot in zip(SLOTS, self.slots, strict=False):
            if slot is not None:
                yield key, slot
        for group in self.hidden_groups:
            if group == "b":
                yield from ((f"b{bend.n}", bend.amplitude) for bend in self.bending)
            elif group == "c" and self.c0 is not None:
                yield "c0", self.c0
            elif group == "f":
                for mode in self.fourier:
                    yield f"f{mode.n}a", mode.amplitude
                    yield f"f{mode.n}p", mode.phase
            elif group == "r" and self.rotation is not None:
                yield from ((f"r{index + 1}", slot) for index, slot in enumerate(self.rotation.slots))

    def parameter(self, key: str) -> Parameter:
        """The number at a menu key.

        Raises:
            KeyError: the block has no such number.
        """
        if key in SLOTS:
            slot = self.slots[SLOTS[key]] if SLOTS[key] < len(self.slots) else None
            if slot is None:
                raise KeyError(key)
            return slot
        for found, parameter in self.parameters():
            if found == key:
                return parameter
        raise KeyError(key)

    def updated(self, changes: dict[str, Parameter]) -> Component:
        """The same block with other numbers at some keys; a key that it has not got says nothing."""
        if not changes:
            return self

        def new(key: str, old: Parameter) -> Parameter:
            return changes.get(key, old)

        return altered(
            self,
            slots=tuple(None if p is None else new(key, p) for key, p in zip(SLOTS, self.slots, strict=False)),
            c0=None if self.c0 is None else new("c0", self.c0),
            bending=tuple(altered(b, amplitude=new(f"b{b.n}", b.amplitude)) for b in self.bending),
            fourier=tuple(
                altered(f, amplitude=new(f"f{f.n}a", f.amplitude), phase=new(f"f{f.n}p", f.phase)) for f in self.fourier
            ),
            rotation=None
            if self.rotation is None
            else altered(self.rotation, slots=tuple(new(f"r{k + 1}", p) for k, p in enumerate(self.rotation.slots))),
        )


@lru_cache(maxsize=1024)
def _kind(name: str) -> str:
    word = name.split()[0]
    if name.startswith(TRUNCATIONS):
        return word
    known = next((name for name in FUNCTIONS if word.startswith(name)), "")
    return known or word.rstrip("0123456789")


@lru_cache(maxsize=1024)
def _variant(name: str) -> int:
    return 0 if name.startswith(TRUNCATIONS) else next((k for k in (1, 2, 3) if str(k) in name.split()[0]), 0)


@dataclass(frozen=True)
class Control:
    """The control lines ``A)`` to ``P)``: text as written, numbers as GALFIT reads them.

    The defaults are what GALFIT takes where a line is missing.

    Args:
        data, output, sigma, psf, mask, constraints: file names of A, B, C, D, F, G.
        kernel: second word of ``D)``, the charge diffusion kernel.
        psf_fine: E, oversampling of the PSF.
        region: H, (xmin, xmax, ymin, ymax), pixels from 1; None when the line is missing.
        conv_box: I, width and height in pixels.
        zeropoint: J, mag.
        plate_scale: K, arcsec a pixel in x and y.
        display: O.  mode: P, 0 fit, 1 model, 2 image block, 3 components.
        places: where the lines stand in the menu, by letter.
        comments: words that stand where a name could and begin a comment, by field, such as ("kernel", "#"); the
            name is blank then, but GALFIT prints them.
    """

    data: str = ""
    output: str = ""
    sigma: str = "none"
    psf: str = ""
    kernel: str = ""
    psf_fine: int = 1
    mask: str = "none"
    constraints: str = "none"
    region: tuple[int, int, int, int] | None = None
    conv_box: tuple[int, int] = (0, 0)
    zeropoint: float = 0.0
    plate_scale: tuple[float, float] = (1.0, 1.0)
    display: str = "both"
    mode: int = 0
    places: dict[str, Place] = field(default_factory=dict, compare=False)
    comments: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def written(self) -> Control:
        """The same with the words that begin a comment in the names' places, as GALFIT prints them."""
        return replace(self, **dict(self.comments))  # type: ignore[arg-type]

    def place(self, key: str) -> Place:
        """Where a control key stands in the menu."""
        return self.places.get(key, Place())


@dataclass(frozen=True)
class Tie:
    """``1_2 x offset`` or ``ratio``: the later components follow the first, at the initial difference or ratio."""

    components: tuple[int, ...]
    key: str
    kind: Literal["offset", "ratio"]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Range:
    """``1 n 0.5 to 8`` (absolute) or ``1 x -2 2`` (relative to the initial value); low <= high."""

    component: int
    key: str
    low: float
    high: float
    relative: bool = False
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class PairRange:
    """``1-2 mag -0.5 3`` or ``1/2 re 1 3``: the difference or ratio of two components' numbers stays in a range."""

    first: int
    second: int
    key: str
    kind: Literal["difference", "ratio"]
    low: float
    high: float
    line: int = field(default=0, compare=False)


Constraint = Tie | Range | PairRange


@dataclass(frozen=True)
class Job:
    """One menu.

    Args:
        control: the control lines.
        components: in the order of the file.
        path: the file's name as the user gave it.
        warnings: what GALFIT reads otherwise than it looks.
    """

    control: Control
    components: tuple[Component, ...]
    path: str = field(default="", compare=False)
    warnings: tuple[Remark, ...] = field(default=(), compare=False)

    def parameter(self, ref: ParamRef) -> Parameter:
        return self.components[ref.component - 1].parameter(ref.key)

    def updated(self, changes: dict[ParamRef, Parameter]) -> Job:
        """The same job with other numbers."""
        by_component: dict[int, dict[str, Parameter]] = {}
        for ref, parameter in changes.items():
            by_component.setdefault(ref.component, {})[ref.key] = parameter
        return altered(
            self,
            components=tuple(c.updated(by_component.get(c.number, {})) for c in self.components),
        )

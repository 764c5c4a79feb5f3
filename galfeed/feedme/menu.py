"""From a job to the text of its menu, byte for byte as GALFIT prints it (reference captures: compat_fixtures)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from galfeed.job import Component, Control, Job, Parameter, Rotation, altered
from galfeed.model import shape, truncation
from galfeed.profiles import PROFILES, Blank

RULE = "=" * 80

_SINGLE = struct.Struct("f")

HEAD = """\
# INITIAL FITTING PARAMETERS
#
#   For component type, the allowed functions are: 
#       sersic, expdisk, edgedisk, devauc, king, nuker, psf, 
#       gaussian, moffat, ferrer, and sky. 
#  
#   Hidden parameters will only appear when they're specified:
#       Bn (n=integer, Bending Modes).
#       C0 (diskyness/boxyness), 
#       Fn (n=integer, Azimuthal Fourier Modes).
#       R0-R10 (coordinate rotation, for creating spiral structures).
#       To, Ti, T0-T10 (truncation function).
# 
# ------------------------------------------------------------------------------
#   par)    par value(s)    fit toggle(s)    # parameter description 
# ------------------------------------------------------------------------------

"""  # noqa: W291


def dump(
    job: Job,
    chi2nu: float | None = None,
    chi2: float | None = None,
    ndof: int | None = None,
    name: str | None = None,
) -> str:
    """The menu as GALFIT prints it; it reads back as the same job.

    Numbers are printed from single precision, as GALFIT holds them.

    Args:
        job: with start values for the echo on stdout, with final values for a restart file.
        chi2nu, chi2, ndof: of the fit; they make it the text of a restart file, without them it is the echo.
            ``chi2nu`` defaults to chi2 / ndof.
        name: the input file as the text names it, ``job.path`` by default.

    Returns:
        Whole lines.  The echo begins with ``#  Input menu file``, a restart file with a blank line.
    """
    title = f"#  Input menu file: {job.path if name is None else name}\n"
    if chi2 is None or ndof is None:
        return f"{title}\n\n{_menu(job)}"
    if chi2nu is None:
        chi2nu = chi2 / ndof if ndof else 0.0
    fit = f"#  Chi^2/nu = {single(chi2nu):.3f},  Chi^2 = {single(chi2):.3f},  Ndof = {ndof:d}\n"
    return f"\n{title}\n{fit}\n{_menu(restarted(job))}\n"


def restarted(job: Job) -> Job:
    """The job as a restart file holds it.

    A tied parameter has toggle 2 and a free one toggle 1; the radii of a radial2 are sorted; lines that a function
    does not use hold what GALFIT keeps there (toggle 0 or -1, and n = 4 for devauc).  A comment in the place of a
    charge diffusion kernel is left out.
    """

    def toggled(p: Parameter) -> Parameter:
        toggle = 2 if p.tied else min(p.toggle, 1)
        return p if toggle == p.toggle else altered(p, toggle=toggle)

    def settled(component: Component) -> Component:
        component = truncation.ordered(component)
        changes = {key: toggled(p) for key, p in component.parameters()}
        if not component.is_truncation and component.kind != "sky":
            profile = PROFILES[component.kind]
            used = {spec.key for spec in profile.specs()}
            for key in map(str, range(3, 11)):
                if key not in used:
                    blank, held = profile.blanks.get(key, Blank()), component.parameter(key)
                    changes[key] = Parameter(held.value if blank.value is None else blank.value, blank.toggle)
        return component.updated(changes)

    comments = tuple(both for both in job.control.comments if not _begins_behind_psf(*both))
    control = altered(job.control, comments=comments)
    return altered(job, control=control, components=tuple(settled(c) for c in job.components))


def _begins_behind_psf(field: str, word: str) -> bool:
    return field == "kernel" and word.startswith("#")


def single(value: float) -> float:
    """The value in single precision."""
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _menu(job: Job) -> str:
    blocks = (f"# Component number: {c.number}\n" + "\n".join(_component(c)) + "\n\n" for c in job.components)
    return f"{RULE}\n{_control(job.control)}\n{HEAD}{''.join(blocks)}{RULE}\n"


def _control(control: Control) -> str:
    x1, x2, y1, y2 = control.region or (0, 0, 0, 0)
    width, height = control.conv_box
    dx, dy = map(single, control.plate_scale)
    written = control.written
    return f"""\
# IMAGE and GALFIT CONTROL PARAMETERS
A) {_padded(written.data, 14)}      # Input data image (FITS file)
B) {_padded(written.output, 14)}      # Output data image block
C) {_padded(written.sigma, 14)}      # Sigma image name (made from data if blank or "none") 
D) {_padded(written.psf, 10)} {_padded(written.kernel, 8)} # Input PSF image and (optional) diffusion kernel
E) {control.psf_fine:<20d}# PSF fine sampling factor relative to data 
F) {_padded(written.mask, 14)}      # Bad pixel mask (FITS image or ASCII coord list)
G) {_padded(written.constraints, 14)}      # File with parameter constraints (ASCII file) 
H) {x1:<4d} {x2:<4d} {y1:<4d} {y2:<4d} # Image region to fit (xmin xmax ymin ymax)
I) {width:<6d} {height:<6d}       # Size of the convolution box (x y)
J) {single(control.zeropoint):<14.3f}      # Magnitude photometric zeropoint 
K) {dx:<6.3f} {dy:<6.3f}       # Plate scale (dx dy)   [arcsec per pixel]
O) {control.display:<14}      # Display type (regular, curses, both)
P) {control.mode:<20d}# Choose: 0=optimize, 1=model, 2=imgblock, 3=subcomps
"""  # noqa: W291


def _padded(name: str, width: int) -> str:
    """A name with blanks up to a width in bytes."""
    return name + " " * (width - len(name.encode("utf-8", "surrogateescape")))


def _component(component: Component) -> Iterator[str]:
    """The lines of a block."""
    name = component.printed_name
    padded = f"{name:<14}         " if component.inner or component.outer else f"{name:<13}          "
    if component.is_truncation:
        yield f"T0) {padded}#  Truncation type (radial, length, height)"
        yield from _truncation(component)
    else:
        yield f" 0) {padded}#  Component type"
        yield from _sky(component) if component.kind == "sky" else _light(component)
    for letter, links, where in (("i", component.inner, "Inner"), ("o", component.outer, "Outer")):
        if links:
            numbers = "".join(f" {number:>2d}" for number in links)
            blanks = " " * (21 - 3 * len(links))
            yield f"T{letter}){numbers}{blanks}   #  {where} truncation by component number(s)"
    yield from _hidden(component)
    if not component.is_truncation:
        yield f" Z) {component.skip:<7d}                #  Skip this model in output image?  (yes=1, no=0)"


def _light(component: Component) -> Iterator[str]:
    profile = PROFILES[component.kind]
    x, y, *others = (slot or Parameter(0.0) for slot in component.slots)
    yield _two(" 1", x, y, profile.params[0].menu)
    specs = {spec.key: spec for spec in profile.specs(component.variant)}
    for key, parameter in enumerate(others, 3):
        spec = specs.get(str(key))
        yield _one(f"{key:>2}", parameter, spec.menu if spec else profile.blanks.get(str(key), Blank()).menu)


def _sky(component: Component) -> Iterator[str]:
    for spec in PROFILES["sky"].params:
        parameter = component.parameter(spec.key)
        value = single(parameter.value)
        if abs(value) < 0.1:
            yield f" {spec.key}) {value:<10.3e}     {parameter.toggle:<5d}   #{spec.menu}"
        else:
            yield _one(f" {spec.key}", parameter, spec.menu)


def _truncation(component: Component) -> Iterator[str]:
    given = dict(component.parameters())
    for spec in truncation.specs(component.name):
        if spec.key == "1" and "1" in given:
            yield _two("T1", given["1"], given["2"], spec.menu)
        elif spec.key in given and spec.key != "2":
            yield _one(f"T{spec.key}", given[spec.key], spec.menu)


def _hidden(component: Component) -> Iterator[str]:
    for group in component.hidden_groups:
        if group == "b":
            for bend in component.bending:
                value = f"{single(bend.amplitude.value):.3e}"
                yield f"B{bend.n}) {value:<9}   {bend.amplitude.toggle:<5d}      #{shape.bending(bend.n).menu}"
        elif group == "c" and component.c0 is not None:
            yield _one("C0", component.c0, shape.C0.menu)
        elif group == "f":
            for mode in component.fourier:
                yield _two(f"F{mode.n}", mode.amplitude, mode.phase, shape.fourier(mode.n)[0].menu)
        elif group == "r" and component.rotation is not None:
            yield from _rotation(component.rotation)


def _rotation(rotation: Rotation) -> Iterator[str]:
    yield ""
    yield f"R0) {rotation.function:<22} #  PA rotation func. (power, log, none)"
    for spec in shape.rotation(rotation.function):
        yield _one(spec.key.upper(), rotation.slots[int(spec.key[1:]) - 1], spec.menu)


def _one(key: str, parameter: Parameter, menu: str) -> str:
    gap = " " * (6 - len(key))  # R10 and T10 keep their toggles in column
    return f"{key}) {single(parameter.value):<8.4f}{gap}{parameter.toggle:<5d}      #{menu}"


def _two(key: str, first: Parameter, second: Parameter, menu: str) -> str:
    values = f"{single(first.value):<8.4f} {single(second.value):<8.4f}"
    return f"{key}) {values} {first.toggle:d} {second.toggle:d}  #{menu}"

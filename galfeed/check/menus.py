"""What a menu and its constraints show by themselves: starts out of bounds, and parameters that no fit can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from galfeed.errors import Place, Remark
from galfeed.job import Component, Constraint, Job, PairRange, Parameter, ParamRef, ParamSpec, Range, Tie
from galfeed.tables import header_specs

SERSIC = (0.2, 10.0)
"""Sersic indices of galaxies; a fit that starts beyond mostly stays beyond."""

SMALLEST = 0.5
"""Size in pixels that GALFIT marks as suspicious: a component as small as that is a point source."""

ROUND = 5e-4
"""Difference of b/a from 1 at which PA has no effect; menus have four decimals at most."""

ALIKE = 0.01
"""Two numbers are alike within this part of them; positions within as many tenths of a pixel as parts in a hundred."""

ALIKE_PIXELS = 0.1

TINY = 20
"""Pixels of a region along which a gradient of the sky cannot be told from the wings of an object."""

SIZED = ("sersic", "devauc", "expdisk", "gaussian", "moffat")
"""Functions whose ``4)`` is the size of an object."""

NAMES = {
    "xc": "x", "yc": "y", "re": "R_e", "rs": "R_s", "rb": "R_b", "rc": "R_c", "rt": "R_t", "rout": "R_out",
    "hs": "h_s", "fwhm": "FWHM", "q": "b/a", "pa": "PA", "c0": "C0", "rbrk": "break radius",
    "dsft": "softening length", "rsft": "outer break radius", "mu": "surface brightness",
}  # fmt: skip
"""Names of parameters as astronomers write them, where the short ones differ."""


def free_parameters(job: Job, constraints: Sequence[Constraint]) -> tuple[ParamRef, ...]:
    """All numbers that the fit may change by themselves: free in the menu, and not tied to another one."""
    tied = {ParamRef(n, c.key) for c in constraints if isinstance(c, Tie) for n in c.components[1:]}
    toggled = (
        ParamRef(c.number, key) for c in job.components for key, parameter in _numbers(c).items() if parameter.free
    )
    return tuple(ref for ref in toggled if ref not in tied)


def look(job: Job, constraints: Sequence[Constraint]) -> Iterator[Remark]:
    """What to say of the start of a fit.

    Args:
        job: the menu.
        constraints: of its constraint file.
    """
    for component in job.components:
        for key, message in (*_beyond(component, job), *_blind(component, job)):
            yield Remark(job.path, component.place(key), f"component {component.number}, {component.kind}: {message}")
    yield from _constrained(job, constraints)
    yield from _twins(job)
    if not free_parameters(job, constraints):
        place = job.components[0].place() if job.components else Place()
        what = "no parameter is free, so a run makes images only: no fit.log and no restart file"
        yield Remark(job.path, place, f"{what}; set toggles to 1, or P) to 2")


def _numbers(component: Component) -> dict[str, Parameter]:
    """The numbers that the function has, by key."""
    given = dict(component.parameters())
    return {key: given[key] for key in header_specs(component) if key in given}


def _region(job: Job) -> tuple[int, int, int, int] | None:
    """The fitting region of the menu; None where it is missing or reversed."""
    region = job.control.region
    return region if region is not None and region[0] <= region[1] and region[2] <= region[3] else None


def _called(spec: ParamSpec) -> str:
    return NAMES.get(spec.name, spec.name)


# Starts out of bounds


def _beyond(component: Component, job: Job) -> Iterator[tuple[str, str]]:
    """(key, message) of each number out of its bounds."""
    for key, spec in header_specs(component).items():
        parameter = _numbers(component).get(key)
        message = "" if parameter is None else _out(component, key, spec, parameter, job)
        if message:
            yield key, message
    region = _region(job)
    if region is None or component.is_truncation or component.kind == "sky":
        return
    x1, x2, y1, y2 = region
    x, y = component.parameter("1"), component.parameter("2")
    if not (x1 - 0.5 <= x.value < x2 + 0.5 and y1 - 0.5 <= y.value < y2 + 0.5) and (x.free or y.free):
        what = f"its centre starts at ({x.value:g}, {y.value:g}), outside the fitting region H) {x1} {x2} {y1} {y2}"
        yield "1", f"{what}, where nothing holds it; fix its position, or leave it out"


def _out(component: Component, key: str, spec: ParamSpec, parameter: Parameter, job: Job) -> str:
    """What is wrong with a start; empty if nothing is."""
    name, value = _called(spec), parameter.value
    unit = f" [{spec.unit}]" if spec.unit else ""
    low, high = spec.limits
    sized = key == "4" and component.kind in SIZED
    if spec.name == "q" and value > 1:
        change = "R -> R b/a, b/a -> 1/(b/a), PA -> PA + 90"
        return f"b/a is {value:g}, above 1, and is turned over before the fit ({change}); expected 0 < b/a <= 1"
    if not low <= value <= high:
        side, limit = ("above", high) if value > high else ("below", low)
        return f"{name} starts at {value:g}{unit}, {side} its natural limit of {limit:g}; start it within"
    if component.kind == "sersic" and key == "5" and not SERSIC[0] <= value <= SERSIC[1]:
        return f"n starts at {value:g}, expected {SERSIC[0]:g} to {SERSIC[1]:g}, such as 1 of a disk or 4 of a bulge"
    if sized and value <= SMALLEST:
        return f"{name} starts at {value:g} [pix], too small to be told from a point; start at 1 or more, or use psf"
    region = _region(job)
    if sized and region is not None:
        x1, x2, y1, y2 = region
        width, height = x2 - x1 + 1, y2 - y1 + 1
        if value > max(width, height):
            what = f"{name} starts at {value:g} [pix], more than the fitting region, {width} x {height}"
            return f"{what}; expected pixels, not arcsec or another image's pixels"
    return ""


def _constrained(job: Job, constraints: Sequence[Constraint]) -> Iterator[Remark]:
    """Starts that a constraint does not allow."""
    for constraint in constraints:
        if isinstance(constraint, Tie):
            continue
        number = constraint.component if isinstance(constraint, Range) else constraint.first
        component = job.components[number - 1]
        spec, parameter = header_specs(component).get(constraint.key), _numbers(component).get(constraint.key)
        if spec is None or parameter is None:
            continue
        if isinstance(constraint, Range):
            start = None if not parameter.free else 0.0 if constraint.relative else parameter.value
            what = f"{_called(spec)} of component {number}"
            if constraint.relative:
                what = f"the change of {what}"
        else:
            start = _pair_start(job, constraint)
            sign = "-" if constraint.kind == "difference" else "/"
            what = f"{_called(spec)} of component {number} {sign} that of component {constraint.second}"
        if start is None or constraint.low <= start <= constraint.high:
            continue
        line = f"{job.control.constraints}:{constraint.line}"
        message = f"{what} starts at {start:.5g}, outside {constraint.low:g} to {constraint.high:g} of {line}"
        frozen = "" if isinstance(constraint, Range) else ", where GALFIT's fit can freeze"
        yield Remark(job.path, component.place(constraint.key), f"{message}{frozen}; start within")


def _pair_start(job: Job, pair: PairRange) -> float | None:
    """The difference or ratio at the start; None where it cannot be changed or has no value."""
    first, second = (_numbers(job.components[n - 1]).get(pair.key) for n in (pair.first, pair.second))
    if first is None or second is None or not (first.free or second.free):
        return None
    if pair.kind == "difference":
        return first.value - second.value
    return first.value / second.value if second.value else None


# What no fit can tell


def _blind(component: Component, job: Job) -> Iterator[tuple[str, str]]:
    """(key, message) of free numbers without effect, or with the effect of another."""
    numbers = _numbers(component)
    q, angle = numbers.get("9"), numbers.get("10")
    shaped = component.c0 or component.bending or component.fourier or component.rotation
    if q is not None and angle is not None and angle.free and abs(q.value - 1) <= ROUND and not shaped:
        if q.free:
            yield "9", "b/a starts at 1, where PA has no effect, and both are free; start b/a at 0.9"
        else:
            yield "10", "PA is free, but b/a is fixed at 1, so PA has no effect; fix PA or free b/a"
    region = _region(job)
    if component.kind == "sky" and region is not None:
        x1, x2, y1, y2 = region
        for key, axis, length in (("2", "x", x2 - x1 + 1), ("3", "y", y2 - y1 + 1)):
            if numbers[key].free and length < TINY:
                what = f"its gradient in {axis} is free, but the fitting region has {length} pixels along {axis}"
                yield key, f"{what}; fix it at 0, or fit {TINY} pixels or more"


def _twins(job: Job) -> Iterator[Remark]:
    """Components that are one and the same at the start."""
    for first, second in combinations(job.components, 2):
        if (first.kind, first.variant) != (second.kind, second.variant) or first.is_truncation:
            continue
        common = [key for key, p in _numbers(first).items() if p.free and second.number and _free(second, key)]
        if not common:
            continue
        if first.kind == "sky":
            what = f"components {first.number} and {second.number} are both skies and free in the same number"
            cure = "no fit can share a level between them; leave one out, or fix it"
            yield Remark(job.path, second.place(), f"{what}: {cure}")
        elif (first.inner, first.outer) == (second.inner, second.outer) and _alike(first, second):
            what = f"components {first.number} and {second.number}, {first.kind}, start alike but for the magnitude"
            cure = "a fit cannot tell which is which; start them with different sizes or shapes"
            yield Remark(job.path, second.place(), f"{what}: {cure}")


def _free(component: Component, key: str) -> bool:
    parameter = _numbers(component).get(key)
    return parameter is not None and parameter.free


def _alike(first: Component, second: Component) -> bool:
    """Whether all numbers but the magnitudes are alike, so that both have the same derivatives."""
    own, other = _numbers(first), _numbers(second)
    if own.keys() != other.keys():
        return False
    pairs = [(key, own[key].value, other[key].value) for key in own if key != "3"]
    return all(abs(a - b) <= (ALIKE_PIXELS if key in "12" else ALIKE * max(abs(a), abs(b))) for key, a, b in pairs)

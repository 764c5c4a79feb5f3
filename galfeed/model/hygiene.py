"""GALFIT's canonical form of a component's numbers: 0 < q <= 1, angles near 0, size at least 0.01 pixel."""

from __future__ import annotations

import math
import re

import numpy as np

from galfeed.job import Component, Job, Parameter, altered
from galfeed.profiles import PROFILES

SMALLEST_Q = 0.01
SMALLEST_SIZE = 0.01  # pixels
BESIDE_90 = 89.9999  # degrees
KING_POWER = 2.0


def canonical(job: Job) -> Job:
    """The same model in canonical numbers.

    An axis ratio above 1 is inverted, with the size multiplied by it and the angle turned by a quarter; one below
    0.01 is set to 0.01, of a truncation only one that is not positive.  Position angles come within 90 degrees of 0,
    of components with Fourier modes, which have a front and a back, within 180.  Fixed numbers too: GALFIT does so
    before the first iteration.
    """
    return altered(job, components=tuple(_canonical(c) for c in job.components))


def with_near_phases(job: Job) -> Job:
    """The phase of each Fourier mode m within 180 / m degrees of 0, as GALFIT has it in a fit."""

    def phases(component: Component) -> dict[str, Parameter]:
        modes = component.fourier
        return {f"f{m.n}p": altered(m.phase, value=wrapped(m.phase.value, 180 / m.n)) for m in modes}

    return altered(job, components=tuple(c.updated(phases(c)) for c in job.components))


def _canonical(component: Component) -> Component:
    """Of a light or a truncation, as far as it has an ellipse."""
    given = dict(component.parameters())
    if not component.is_truncation:
        used = {spec.key for spec in PROFILES[component.kind].params}
        given = {key: number for key, number in given.items() if key in used}
    size, q, angle = (given.get(key) for key in ("4", "9", "10"))
    if angle is None:
        return component
    half = 180.0 if component.fourier else 90.0
    changes: dict[str, Parameter] = {}
    if component.kind == "king" and component.parameter("6").value == 0:
        changes["6"] = Parameter(KING_POWER)  # 0 counts as not given, free or not
    if component.is_truncation and q is not None and q.toggle in (0, 1) and not angle.tied:
        angle = altered(angle, toggle=int(angle.toggle == 1))  # another toggle counts beside its like only
    changes["10"] = altered(angle, value=position_angle(angle.value, half))
    if q is not None and size is not None:
        if q.value > 1:
            changes["4"] = altered(size, value=float(_single(float(_single(size.value)) * float(_single(q.value)))))
            changes["10"] = altered(angle, value=position_angle(float(_single(angle.value) + 90), half))
            q = altered(q, value=1 / float(_single(q.value)))
        low = q.value <= (0 if component.is_truncation else SMALLEST_Q)
        changes["9"] = altered(q, value=SMALLEST_Q) if low else q
    return component.updated(changes)


def position_angle(angle: float, most: float = 90.0) -> float:
    """An angle modulo ``2 most`` as GALFIT has it: ``most`` itself is turned too, and 90 is never left standing.

    Turned in single precision, as the digits printed show: 12345.678 becomes -74.3223.
    """
    if abs(angle) >= most:
        with np.errstate(invalid="ignore"):
            turned = float(np.fmod(_single(angle), np.float32(2 * most))) + 0.0
        angle = turned - 2 * most if turned >= most else turned + 2 * most if turned <= -most else turned
    return math.copysign(BESIDE_90, angle) if abs(angle) == 90 else angle


def _single(value: float) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(value)


def period(component: Component, key: str) -> float:
    """Degrees after which an angle of a component means the same again; 0 for all other numbers."""
    if key == "10":
        return 360.0 if component.fourier else 180.0
    phase = re.fullmatch("f([0-9]+)p", key)
    return 360.0 / int(phase[1]) if phase else 0.0


def whole_turns(angle: float, turn: float) -> float:
    """The multiple of a period that is nearest to an angle; 0 if that is not finite."""
    return turn * round(angle / turn) if math.isfinite(angle) else 0.0


def wrapped(angle: float, most: float = 90.0) -> float:
    """An angle modulo ``2 most``, within ``most`` degrees of 0."""
    if abs(angle) <= most:
        return angle
    angle = float(_single(angle))
    turned = (angle + most) % (2 * most) - most
    return most if turned == -most and angle > 0 else turned


def clamp_sizes(job: Job) -> Job:
    """Negative sizes, set to GALFIT's smallest, as the first step of a fit does; 0 it cannot handle.

    Positive ones stay, however small: only steps of a fit are held above the smallest size.
    """
    return altered(job, components=tuple(_clamp_size(c) for c in job.components))


def _clamp_size(component: Component) -> Component:
    profile = PROFILES.get(component.kind)
    changes: dict[str, Parameter] = {}
    for spec in profile.params if profile else ():
        parameter = component.parameter(spec.key)
        if spec.unit == "pix" and spec.positive and parameter.value < 0:
            changes[spec.key] = altered(parameter, value=SMALLEST_SIZE)
    return component.updated(changes)

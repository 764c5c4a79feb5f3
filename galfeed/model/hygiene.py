"""GALFIT's canonical form of a component's numbers: 0 < q <= 1, angles near 0, size at least 0.01 pixel."""

from __future__ import annotations

from dataclasses import replace

from galfeed.job import Component, Job, Parameter
from galfeed.profiles import PROFILES

SMALLEST_Q = 0.01
SMALLEST_SIZE = 0.01  # pixels


def canonical(job: Job) -> Job:
    """The same model in canonical numbers.

    An axis ratio above 1 is inverted, with the size multiplied by it and the angle turned by a quarter; one below
    0.01 is set to 0.01.  Position angles come within 90 degrees of 0, of components with Fourier modes, which have a
    front and a back, within 180.  Fixed numbers too: GALFIT does so before the first iteration.
    """
    return replace(job, components=tuple(_canonical(c) for c in job.components))


def with_near_phases(job: Job) -> Job:
    """The phase of each Fourier mode m within 180 / m degrees of 0, as GALFIT has it in a fit."""

    def phases(component: Component) -> dict[str, Parameter]:
        modes = component.fourier
        return {f"f{m.n}p": replace(m.phase, value=wrapped(m.phase.value, 180 / m.n)) for m in modes}

    return replace(job, components=tuple(c.updated(phases(c)) for c in job.components))


def _canonical(component: Component) -> Component:
    """Of a light or a truncation, as far as it has an ellipse."""
    given = dict(component.parameters())
    if not component.is_truncation:
        profile = PROFILES[component.kind]
        given = {key: number for key, number in given.items() if profile.spec(key)}
    size, q, angle = (given.get(key) for key in ("4", "9", "10"))
    if angle is None:
        return component
    half = 180.0 if component.fourier else 90.0
    changes = {"10": replace(angle, value=wrapped(angle.value, half))}
    if q is not None and size is not None:
        if q.value > 1:
            changes["4"] = replace(size, value=size.value * q.value)
            changes["9"] = replace(q, value=1 / q.value)
            changes["10"] = replace(angle, value=wrapped(angle.value + 90, half))
        elif q.value <= SMALLEST_Q:
            changes["9"] = replace(q, value=SMALLEST_Q)
    return component.updated(changes)


def wrapped(angle: float, most: float = 90.0) -> float:
    """An angle modulo ``2 most``, within ``most`` degrees of 0."""
    if abs(angle) <= most:
        return angle
    turned = (angle + most) % (2 * most) - most
    return most if turned == -most and angle > 0 else turned


def clamp_sizes(job: Job) -> Job:
    """Sizes below GALFIT's smallest, set to it (GALFIT does so in the first iteration; 0 it cannot handle)."""
    return replace(job, components=tuple(_clamp_size(c) for c in job.components))


def _clamp_size(component: Component) -> Component:
    profile = PROFILES.get(component.kind)
    changes: dict[str, Parameter] = {}
    for spec in profile.params if profile else ():
        parameter = component.parameter(spec.key)
        if spec.unit == "pix" and spec.positive and parameter.value < spec.limits[0] and parameter.value != 0:
            changes[spec.key] = replace(parameter, value=spec.limits[0])
    return component.updated(changes)

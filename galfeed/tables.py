"""What each number of a component is: of its function, its hidden parameters, or a truncation."""

from __future__ import annotations

from functools import lru_cache

from galfeed.job import Component, ParamSpec
from galfeed.model import shape, truncation
from galfeed.profiles import PROFILES


def header_specs(component: Component) -> dict[str, ParamSpec]:
    """The numbers of a component that the FITS header shows, by menu key, in the order of the header."""
    if component.is_truncation:
        numbers = dict(component.parameters())
        given = set(numbers) - {"10"}
        if "9" in given:
            # 0 where it is not given, but not beside another toggle; without an axis ratio it has no effect
            angle = numbers.get("10")
            if numbers["9"].toggle in (0, 1) or (angle and angle.toggle >= 0):
                given.add("10")
        own = tuple(spec for spec in truncation.specs(component.name) if spec.key in given)
    else:
        own = _of_light(component.name, bool(component.inner), bool(component.outer))
    return {spec.key: spec for spec in (*own, *shape.specs(component))}


@lru_cache(maxsize=1024)
def _of_light(name: str, inner: bool, outer: bool) -> tuple[ParamSpec, ...]:
    """Of a component by its name and whether it is truncated."""
    like = Component(0, name, (), inner=(1,) * inner, outer=(1,) * outer)
    return PROFILES[like.kind].header_specs(like)

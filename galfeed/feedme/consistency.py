"""What the lines of a menu say together and not one by one: links, lines left out, another version's numbering."""

from __future__ import annotations

from collections.abc import Iterator

from galfeed.errors import FeedmeError, Remark
from galfeed.job import Component, Control
from galfeed.profiles import PROFILES

NO_TRUNCATION = """
-- ERROR: Component #{} is being truncated but it is not pointing 
          to a truncation function.  Must quit now....

"""  # noqa: W291


def check(control: Control, components: tuple[Component, ...], path: str) -> Iterator[Remark]:
    """What is odd about a menu that has been read.

    Raises:
        FeedmeError: what GALFIT crashes on or stops at.
    """
    _check_control(control, path)
    for component in components:
        _check_links(component, components, path)
        if component.is_truncation:
            yield from _unused(component, components, path)
        else:
            yield from _left_out(component, path)
            yield from _old_numbering(component, path)


def _check_control(control: Control, path: str) -> None:
    if control.region is None:
        raise FeedmeError(path, 0, "no H) line, expected the region to fit, H) xmin xmax ymin ymax")
    if control.psf_fine < 1:
        what = f"E) is {control.psf_fine}, expected PSF pixels per data pixel, 1 or more"
        raise FeedmeError(path, control.place("E"), what)
    if control.output.startswith("!"):
        what = f"'{control.output}' begins with '!', expected the name alone; an existing file is overwritten"
        raise FeedmeError(path, control.place("B"), what)


def _check_links(component: Component, components: tuple[Component, ...], path: str) -> None:
    """GALFIT stops at a link to nothing, and crashes where it needs one."""
    for key, links in (("Ti)", component.inner), ("To)", component.outer)):
        place = component.place(key[:2].lower())
        if links and component.is_truncation:
            what = f"'{key}' in a truncation, expected it in the component that is truncated"
            raise FeedmeError(path, place, what)
        for number in links:
            if not (1 <= number <= len(components) and components[number - 1].is_truncation):
                what = f"'{key}' names component {number}, expected the number of a truncation, T0)"
                raise FeedmeError(path, place, what, NO_TRUNCATION.format(component.number))
    needs_break = component.variant == 3 or (component.kind, component.variant) == ("edgedisk", 2)
    if needs_break and component.kind not in ("psf", "sky") and not (component.inner or component.outer):
        what = f"'{component.name}' has no break radius, expected Ti) or To) with the number of a truncation"
        raise FeedmeError(path, component.place(), what)


def _unused(truncation: Component, components: tuple[Component, ...], path: str) -> Iterator[Remark]:
    """GALFIT crashes in the fit if such a truncation is free."""
    if not any(truncation.number in c.inner + c.outer for c in components):
        what = f"no component has Ti) or To) {truncation.number}, so this truncation has no effect"
        yield Remark(path, truncation.place(), what)


def _left_out(component: Component, path: str) -> Iterator[Remark]:
    """A size or an index of 0 is hardly meant; that a component lies flat or has no gradient may be."""
    if component.kind == "sky":
        return
    for spec in PROFILES[component.kind].params:
        if 3 <= int(spec.key) <= 8 and spec.key not in component.places:
            yield Remark(path, component.place(), f"this {component.kind} has no line {spec.key}), so {spec.name} is 0")


def _old_numbering(component: Component, path: str) -> Iterator[Remark]:
    if component.kind in ("psf", "sky"):
        return
    eight, nine = component.parameter("8"), component.parameter("9")
    if 0 < eight.value <= 1 and not 0 < nine.value <= 1:
        what = "8) looks like an axis ratio, as in menus of GALFIT 2; GALFIT 3 has it at 9) and the angle at 10)"
        yield Remark(path, component.place("8"), what)

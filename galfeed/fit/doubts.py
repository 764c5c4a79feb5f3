"""Which of GALFIT's known errors show in a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from galfeed.images.exposure import Exposure
from galfeed.job import Component, Job
from galfeed.model import enclosed, psf, render, scene
from galfeed.model.frame import Drawing, Frame
from galfeed.model.scene import Scene, SceneComponent

VISIBLE = 0.01  # of the flux
NEAR, NEAR_EDGES = 5, 10  # pixels around the centre that are looked at
AGREED = 1e-3  # of the flux: as close must the two rules of a quick integral be
CHUNK = 64  # jobs at a time

SAFE = {"sersic": None, "devauc": 4.0, "expdisk": 1.0, "gaussian": 0.5}
"""Functions of which plain ellipses within the limits below are known to be drawn well, and their Sersic index."""

ROUND, SMALLEST_INDEX = 0.3, 0.3
WIDE = ((4.0, 0.7), (6.0, 2.0))
"""Sersic index, and pixels that the size along the minor axis must have up to it.  Ellipses of an axis ratio of
``ROUND`` or more are then off by 0.8 per cent at most, wherever they lie, of 15,000 drawn at random: the worst are the
smallest with the largest index."""


def doubts(job: Job, exposure: Exposure) -> str:
    """One line on the components whose flux in GALFIT's numbers is off by more than a per cent; empty if none is.

    Compared are the pixels around its centre, where sub-pixel sampling matters; the flux scale of components with both
    C0 and Fourier modes shows there too.
    """
    return doubts_of_all([job], [exposure])[0]


def doubts_of_all(jobs: Sequence[Job], exposures: Sequence[Exposure]) -> list[str]:
    """The line of :func:`doubts` for each of many jobs, in a fraction of the time.

    Args:
        jobs: in any mix.
        exposures: of the jobs.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    drawn: dict[int, Exposure] = {}
    for index, (job, exposure) in enumerate(zip(jobs, exposures, strict=True)):
        if all(map(_well_drawn, job.components)):
            continue
        stars = any(component.kind == "psf" for component in job.components)
        drawn[index] = exposure if stars else replace(exposure, psf=None, kernel=None)
        groups.setdefault(scene.structure(job, drawn[index]), []).append(index)
    lines = [""] * len(jobs)
    for members in groups.values():
        for first in range(0, len(members), CHUNK):
            some = members[first : first + CHUNK]
            heights, widths = zip(*(drawn[i].shape for i in some), strict=True)  # regions are not looked at
            shape = max(heights), max(widths)
            made = scene.build([jobs[i] for i in some], [drawn[i] for i in some], shape=shape)
            for row, found in enumerate(_found(made, [jobs[i] for i in some])):
                job = jobs[some[row]]
                if found:
                    what = f"drawn as GALFIT does, {', '.join(found)} than its numbers say"
                    lines[some[row]] = f"{job.path}: {what}; --exact gives the right image"
    return lines


def _well_drawn(component: Component) -> bool:
    """Whether a component has no light of its own, or is a plain ellipse that needs no closer look."""
    if component.is_truncation or component.kind == "sky":
        return True
    hidden = component.c0 or component.bending or component.fourier or component.rotation
    if component.kind not in SAFE or component.variant or component.inner or component.outer or hidden:
        return False
    size, n, q = (component.parameter(key).value for key in ("4", "5", "9"))
    index = SAFE[component.kind] or n
    wide = any(index <= most and size * q >= least for most, least in WIDE)
    return ROUND <= q <= 1 and index >= SMALLEST_INDEX and wide


def _found(made: Scene, jobs: Sequence[Job]) -> list[list[str]]:
    """What is to be said of the components of each job."""
    found: list[list[str]] = [[] for _ in jobs]
    for component in made.components:
        looked_at = [row for row, job in enumerate(jobs) if not _well_drawn(job.components[component.number - 1])]
        if not looked_at:
            continue
        rows = torch.tensor(looked_at)
        values = {name: made.start[rows, column] for name, column in component.columns.items()}
        for row, off in zip(looked_at, _deviations(component, values, made.frame.take(rows)).tolist(), strict=True):
            if abs(off) > VISIBLE:
                how = f"{abs(off):.1%} {'brighter' if off > 0 else 'fainter'}"
                found[row].append(f"component {component.number} ({component.profile.name}) {how}")
    return found


def _deviations(component: SceneComponent, values: dict[str, Tensor], frame: Frame) -> Tensor:
    """Relative deviation of the flux of a component with light of its own, (B,); 0 where it has none."""
    zero = torch.zeros_like(frame.x0)
    if component.profile.kind == "point":
        if frame.psf is None:
            return zero
        shifts = (psf.position(values[axis], frame.fine)[1] for axis in ("xc", "yc"))
        return psf.move(frame.psf, *shifts, partials=False).image.sum((1, 2)) - 1
    if component.light is None:
        return zero
    near = NEAR_EDGES if component.profile.edge else NEAR
    around = replace(
        frame,
        shape=(2 * near + 1, 2 * near + 1),
        x0=values["xc"].round() - near,
        y0=values["yc"].round() - near,
        psf=None,
        kernel=None,
    )
    drawn = _drawn(component, values, around)
    exact = _exact(component, values, replace(around, accuracy="exact"), near)
    return torch.where(exact != 0, drawn / exact - 1, zero)


def _drawn(component: SceneComponent, values: dict[str, Tensor], frame: Frame) -> Tensor:
    """Flux (B,) of the component on a frame."""
    assert component.light is not None
    light = replace(component.light, accuracy=frame.accuracy)
    return render.shaped(Drawing(light, values, ()), frame).drawn().image.sum((1, 2))


def _exact(component: SceneComponent, values: dict[str, Tensor], frame: Frame, near: int) -> Tensor:
    """Flux (B,) on a frame of ``near`` pixels around the centre, by a quick integral where there is one."""
    assert component.light is not None
    light = replace(component.light, accuracy=frame.accuracy)
    if not enclosed.applies(light):
        return _drawn(component, values, frame)
    middle = frame.x0 + near, frame.y0 + near
    flux, difference = enclosed.light_within(light, values, frame.scale, *middle, near + 0.5)
    rest = torch.nonzero(~(difference <= AGREED))[:, 0]
    if len(rest):
        some = {name: value[rest] for name, value in values.items()}
        flux[rest] = _drawn(component, some, frame.take(rest))
    return flux

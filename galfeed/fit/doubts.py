"""Which of GALFIT's known errors show in a result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from galfeed.images.exposure import Exposure
from galfeed.job import Job
from galfeed.model import psf, render, scene
from galfeed.model.render import Drawing
from galfeed.model.scene import Scene, SceneComponent

VISIBLE = 0.01  # of the flux
NEAR, NEAR_EDGES = 5, 10  # pixels around the centre that are looked at


def doubts(job: Job, exposure: Exposure) -> str:
    """One line on the components whose flux in GALFIT's numbers is off by more than a per cent; empty if none is.

    Compared are the pixels around its centre, where sub-pixel sampling matters; the flux scale of components with both
    C0 and Fourier modes shows there too.
    """
    found = [
        f"component {component.number} ({component.profile.name}) {abs(off):.1%} {'brighter' if off > 0 else 'fainter'}"
        for component, off in _deviations(scene.build([job], [exposure]))
        if abs(off) > VISIBLE
    ]
    if not found:
        return ""
    return f"{job.path}: drawn as GALFIT does, {', '.join(found)} than its numbers say; --exact gives the right image"


def _deviations(made: Scene) -> Iterator[tuple[SceneComponent, float]]:
    """Relative deviation of the flux of each component with light of its own."""
    for component in made.components:
        values = {name: made.start[:, column] for name, column in component.columns.items()}
        if component.profile.kind == "point" and made.frame.psf is not None:
            shifts = (psf.position(values[axis], made.frame.fine)[1] for axis in ("xc", "yc"))
            yield component, float(psf.move(made.frame.psf, *shifts).image.sum()) - 1
        elif component.light is not None:
            yield component, _deviation(component, values, made)


def _deviation(component: SceneComponent, values: dict[str, torch.Tensor], made: Scene) -> float:
    assert component.light is not None
    near = NEAR_EDGES if component.profile.edge else NEAR
    around = replace(
        made.frame,
        shape=(2 * near + 1, 2 * near + 1),
        x0=values["xc"].round() - near,
        y0=values["yc"].round() - near,
        psf=None,
        kernel=None,
    )
    galfit, exact = (
        render.shaped(
            Drawing(replace(component.light, accuracy=accuracy), values, ()), replace(around, accuracy=accuracy)
        )
        .sum()
        .item()
        for accuracy in ("galfit", "exact")
    )
    return galfit / exact - 1 if exact else 0.0

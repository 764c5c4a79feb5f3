"""Tasks, and those of one structure as one problem: their model, its images and its equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from galfeed.fit.equations import Equations
from galfeed.fit.final import final
from galfeed.fit.params import Parameters
from galfeed.images.exposure import Exposure
from galfeed.job import Constraint, Job, ParamRef, Tie
from galfeed.model import scene, supported
from galfeed.model.hygiene import canonical, clamp_sizes, with_near_phases
from galfeed.model.light import Accuracy
from galfeed.model.scene import Rendered, Scene
from galfeed.model.shape import Derivatives
from galfeed.output.marks import numerical_problem
from galfeed.result import Status

FIT, MODEL, BLOCK, SUBCOMPONENTS = 0, 1, 2, 3  # P)

Precision = Literal["float64", "mixed", "float32"]
"""Of the images; chi^2 and its derivatives are added up in double precision in any case.

``mixed``: model images in double precision, the partial images of plain ellipses in single precision.
"""
PRECISIONS: dict[Precision, tuple[torch.dtype, torch.dtype]] = {
    "float64": (torch.float64, torch.float64),
    "mixed": (torch.float64, torch.float32),
    "float32": (torch.float32, torch.float32),
}


STEPS = {64: 8, 256: 16}
"""Regions up to so many pixels are drawn as if they ended at a multiple of so many; larger ones gain nothing by it."""


@dataclass(frozen=True)
class Task:
    """A job with its images and constraints, ready to be fitted.

    Args:
        job: the menu.  exposure: its images.  constraints: of its constraint file.
        flags: GALFIT's codes known so far, in its order.
        mode: ``P)`` or the option that overrides it.
        accuracy: GALFIT's numbers, or exact ones with the usual error bars.
    """

    job: Job
    exposure: Exposure
    constraints: tuple[Constraint, ...] = ()
    flags: tuple[str, ...] = ()
    mode: int = FIT
    accuracy: Accuracy = "galfit"

    @property
    def drawn(self) -> tuple[int, int]:
        """(H, W) of the region that is drawn for it: a little larger than its own where that makes no difference.

        It depends on nothing else, so that fits of regions of about one size become one batch, and none of them
        depends on which.
        """
        own = self.exposure.shape
        if self.mode != FIT or self.accuracy != "galfit" or self.exposure.data is None:
            return own
        if not scene.may_have_margins(self.job, self.exposure):
            return own
        height, width = (_extended(length) for length in own)
        return height, width


def _extended(length: int) -> int:
    for most, step in STEPS.items():
        if length <= most:
            return -(-length // step) * step
    return length


class Problem:
    """B tasks of one structure, with their tensors on one device.

    Args:
        tasks: alike.
        device: of the tensors.
        dtype: precision of the images.
        together: how many images are evaluated at once, see :class:`Equations`.

    Attributes:
        jobs: in the numbers that a fit starts from.
        shape: (H, W) of what is drawn, with the fitting regions in the middle.
        accuracy: of all tasks.
        scene: the model of their images.
        has_data: whether there is something to compare it with.
        equations: chi^2 of the model, where there is.
        good: (B,) good pixels, likewise.
    """

    def __init__(self, tasks: Sequence[Task], device: torch.device, dtype: Precision, together: int | None) -> None:
        self.tasks = tasks
        self.jobs = [
            starting(t.job, t.constraints) if t.mode == FIT else _tied(clamp_sizes(canonical(t.job)), t.constraints)
            for t in tasks
        ]
        exposures = [t.exposure for t in tasks]
        if tasks[0].mode == FIT and exposures[0].psf is None:
            for job in self.jobs:
                supported.check_stars(job, fitted=True)
        self.accuracy = tasks[0].accuracy
        self.device = device
        images, partials = PRECISIONS[dtype]
        self.shape = tasks[0].drawn
        self.scene: Scene = scene.build(
            self.jobs, exposures, images, self.accuracy, shape=self.shape, partials=partials, device=self.device
        )
        self.has_data = exposures[0].data is not None
        if self.has_data:
            data = self._tensor([e.data for e in exposures if e.data is not None])
            root = self._tensor([e.good / e.sigma for e in exposures])
            self.equations = Equations(self.scene, data, root, together)
            self.good = torch.tensor([np.count_nonzero(e.good) for e in exposures], device=self.device)

    def _tensor(self, images: Sequence[np.ndarray]) -> Tensor:
        """(B, H, W) of images of the fitting regions, 0 around them."""
        if all(image.shape == self.shape for image in images):
            return torch.as_tensor(np.stack(images), device=self.device)
        whole = np.zeros((len(images), *self.shape))
        for plane, image, task in zip(whole, images, self.tasks, strict=True):
            plane[task.exposure.inside(self.shape)] = image
        return torch.as_tensor(whole, device=self.device)

    def inside(self, row: int, image: np.ndarray) -> np.ndarray:
        """What an image (H, W) holds of the fitting region of a row."""
        region = image[self.tasks[row].exposure.inside(self.shape)]
        return region if region.shape == self.shape else region.copy()

    @property
    def derivatives(self) -> Derivatives:
        """Of GALFIT's path and error bars."""
        return "true" if self.accuracy == "exact" else "galfit"

    def alone(self, row: int) -> Rendered:
        """The images of one job at the numbers of its menu."""
        at = torch.tensor([row], device=self.device)
        return self.scene.render(self.scene.start[at], rows=at)

    def shown(self, row: int, values: Sequence[float], own: Parameters) -> Job:
        """The job of a row with V numbers put in, as it is shown; what follows another is marked."""
        job = self.jobs[row]
        changes = {}
        for column, ref in enumerate(self.scene.refs):
            old = job.parameter(ref)
            tied = column in own.tied
            toggle = 2 if tied else old.toggle
            changes[ref] = replace(old, value=values[column], tied=tied, toggle=toggle)
        return final(job.updated(changes), job, self.tasks[row].constraints)

    def all_shown(self, values: Tensor, rows: Tensor, own: Parameters) -> tuple[list[Job], Tensor]:
        """Jobs of rows (b,) with numbers (b, V), and the numbers that they are shown with."""
        jobs = [self.shown(row, numbers, own) for row, numbers in zip(rows.tolist(), values.tolist(), strict=True)]
        numbers = [[job.parameter(ref).value for ref in self.scene.refs] for job in jobs]
        return jobs, torch.tensor(numbers, dtype=self.scene.start.dtype, device=self.device)

    def flags(self, row: int, job: Job, status: Status) -> tuple[str, ...]:
        """GALFIT's codes for a job that has ended."""
        task = self.tasks[row]
        limit = ("1",) if status is Status.MAX_ITERATIONS else ()
        return task.flags + limit + (("2",) if numerical_problem(job, task.exposure.region) else ())


def starting(job: Job, constraints: Sequence[Constraint] = ()) -> Job:
    """The job in the numbers that the fit starts from, GALFIT's canonical form; what follows another is marked tied."""
    return _tied(with_near_phases(clamp_sizes(canonical(job))), constraints)


def _tied(job: Job, constraints: Sequence[Constraint]) -> Job:
    """The job with what follows another marked."""
    changes = {}
    for tie in constraints:
        for number in tie.components[1:] if isinstance(tie, Tie) else ():
            own = dict(job.components[number - 1].parameters())
            if tie.key in own:
                changes[ParamRef(number, tie.key)] = replace(own[tie.key], tied=True)
    return job.updated(changes)

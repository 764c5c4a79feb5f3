"""``galfeed check``: what a run would say of a job, and what a careful colleague would, without fitting."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from galfeed import feedme, images
from galfeed.check import menus, noise, pictures, psfs
from galfeed.errors import FeedmeError, ImageError, OutputError, Place, Remark, legible
from galfeed.feedme import constraints
from galfeed.feedme.constraints import ConstraintFile
from galfeed.images.exposure import Exposure
from galfeed.images.fitsname import parse
from galfeed.images.inputs import is_none
from galfeed.job import Job
from galfeed.model import supported
from galfeed.options import Options
from galfeed.output import files, names

IMAGES = {"A": "data", "C": "sigma", "D": "psf", "F": "mask"}
"""Names in ``Control`` of the images, by their line."""


@dataclass(frozen=True)
class Finding:
    """One line of the answer, ``file:line:column: warning: message``; lines and columns from 1.

    Args:
        remark: what is found, and where.
        error: the job cannot run like this.
    """

    remark: Remark
    error: bool = False

    def __str__(self) -> str:
        line, column = (max(number, 1) for number in self.remark.place)
        kind = "error" if self.error else "warning"
        return legible(f"{self.remark.path}:{line}:{column}: {kind}: {self.remark.message}")


def check(file: Path, name: str, folder: Path, asked: Options) -> tuple[Finding, ...]:
    """Read a job and verify it as far as possible; nothing is written.

    Args:
        file: the menu.
        name: what findings call it.
        folder: what the names in the menu are relative to.
        asked: the options of the run that is meant.

    Returns:
        What a run would say, and what the checks of this package find, in the order of the menu's lines; then what
        is found in the constraint file.
    """
    try:
        job = feedme.load(file, name)
    except FeedmeError as error:
        return (Finding(error.remark, error=True),)
    found = dict.fromkeys(_Look(job, folder, asked).findings())
    return tuple(sorted(found, key=lambda finding: (finding.remark.path != name, finding.remark.place)))


class _Look:
    """A job while it is looked at."""

    def __init__(self, job: Job, folder: Path, asked: Options) -> None:
        self.job, self.folder, self.asked = job, folder, asked
        self.mode = job.control.mode if asked.mode is None else asked.mode
        self.lost: set[str] = set()  # lines of images that cannot be used
        self.errors: list[Remark] = []

    def findings(self) -> Iterator[Finding]:
        limits = self.constraints()
        exposure = self.exposure()
        if exposure is not None and exposure.data is None and "A" not in self.lost:
            self.mode = names.MODEL
        warnings = [*self.job.warnings, *(self.located(w) for w in limits.warnings)]
        if constraints.FIXED in limits.flags and not limits.warnings:
            what = f"'{self.job.control.constraints}' ties a parameter that is fixed, so that tie is not kept"
            warnings.append(Remark(self.job.path, self.job.control.place("G"), what))
        if exposure is not None:
            warnings += [*self.of_files(exposure), *self.stars(exposure)]
        self.outputs(exposure)
        warnings += self.overwritten()
        if self.mode == names.FIT:
            warnings += menus.look(self.job, limits.constraints)
            if exposure is not None and not self.lost & {"A", "C", "F"}:
                few = pictures.too_few_pixels(self.job, exposure, menus.free_parameters(self.job, limits.constraints))
                self.errors += [few] if few else []
                warnings += noise.look(self.job, exposure)
                warnings += pictures.look(self.job, exposure, self.folder)
        if exposure is not None:
            warnings += psfs.look(self.job, exposure)
        yield from (Finding(error, error=True) for error in self.errors)
        yield from map(Finding, warnings)

    def located(self, remark: Remark) -> Remark:
        """The remark with the constraint file's name as it is from here."""
        if remark.path == self.job.path:
            return remark
        return replace(remark, path=os.path.join(self.folder, remark.path) if self.folder.parts else remark.path)

    def constraints(self) -> ConstraintFile:
        try:
            return constraints.load(self.job, self.folder)
        except FeedmeError as error:
            self.errors.append(self.located(error.remark))
            return ConstraintFile()

    def exposure(self) -> Exposure | None:
        """The images; those that cannot be used are left out one after the other, to see the others."""
        while True:
            try:
                return images.load(self.readable(), self.folder, *self.sky_options())
            except FeedmeError as error:
                key = next((k for k in IMAGES if self.job.control.place(k) == error.remark.place), "A")
                # without its own sigma image a job may fail for what it would not have needed
                if not (key == "A" and "C" in self.lost):
                    self.errors.append(error.remark)
                if key in self.lost:
                    return None
                self.lost.add(key)

    def sky_options(self) -> tuple[bool, float | None, float | None]:
        return self.asked.noskyest or "C" in self.lost, self.asked.skyped, self.asked.skyrms

    def readable(self) -> Job:
        blank = {IMAGES[key]: "" for key in self.lost}
        return replace(self.job, control=replace(self.job.control, **blank))  # type: ignore[arg-type]

    def of_files(self, exposure: Exposure) -> Iterator[Remark]:
        """What the run would say of the images, on stderr and, where it matters, on stdout."""
        yield from exposure.warnings
        control = self.job.control
        if "I-2" in exposure.flags:
            x1, x2, y1, y2 = exposure.region
            what = f"the fitting region reaches beyond the image and is cut to {x1} {x2} {y1} {y2}"
            yield Remark(self.job.path, control.place("H"), what)

    def stars(self, exposure: Exposure) -> tuple[Remark, ...]:
        if exposure.psf is not None or "D" in self.lost:
            return ()
        try:
            return supported.check_stars(self.job, fitted=self.mode == names.FIT)
        except FeedmeError as error:
            self.errors.append(error.remark)
            return ()

    def outputs(self, exposure: Exposure | None) -> None:
        """Whether the files of the run can be written, and would not overwrite what it reads."""
        control = self.job.control
        outsig = self.asked.outsig and exposure is not None and exposure.data is not None
        for name in names.written(control.output, self.mode, outsig=outsig, wanted=self.asked.wanted):
            place = control.place("B") if name == control.output else Place()
            try:
                files.check_writable(self.folder, name)
            except OutputError as error:
                self.errors.append(Remark(self.job.path, place, str(error)))

    def overwritten(self) -> Iterator[Remark]:
        """Files that the run reads and then replaces by its output."""
        control = self.job.control
        inputs = {
            "A) the data image": control.data,
            "C) the sigma image": control.sigma,
            "D) the PSF": control.psf,
            "F) the mask": control.mask,
            "G) the constraint file": control.constraints,
        }
        target = names.written(control.output, self.mode)[0]
        for what, name in inputs.items():
            if not is_none(name) and target.strip() and self.same(target, name):
                message = f"the output '{target}' is also {what}, which the run overwrites; expected another name"
                yield Remark(self.job.path, control.place("B"), message)

    def same(self, target: str, name: str) -> bool:
        try:
            path = parse(name).path
        except ImageError:
            return False
        return os.path.realpath(self.folder / target) == os.path.realpath(self.folder / os.path.expanduser(path))

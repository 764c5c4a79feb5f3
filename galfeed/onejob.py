"""One job from its files to its files: what a single run and a batch have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfeed import feedme, images
from galfeed.errors import FeedmeError, GalfeedError
from galfeed.feedme import constraints, menu
from galfeed.feedme.constraints import ConstraintFile
from galfeed.images import Exposure
from galfeed.job import Job
from galfeed.model import supported
from galfeed.options import Options
from galfeed.output import files, fitlog, header, imgblock, names, record, restart
from galfeed.output.names import FIT, IMAGE, JSON, LOG, MODEL, RESTART, SIGMA_NAME, SUBCOMPONENTS, SUBCOMPS_NAME
from galfeed.result import FitResult, Status

if TYPE_CHECKING:
    from galfeed.fit.problem import Task

DONE, FAILED, WRONG_INPUT = 0, 1, 2
"""Exit codes."""

Phase = Callable[[str], AbstractContextManager[None]]
"""Measures the time of what is done inside, under a name."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A job with all that its files say, ready to be fitted.

    Args:
        job: the menu.
        limits: its constraint file.
        exposure: its images.
        mode: ``P)``, or the option that overrides it; without data, a model.
        folder: what the names in the menu are relative to.
        outputs: names of the files that the run writes, its image first.
        warnings: one line each.
    """

    job: Job
    limits: ConstraintFile
    exposure: Exposure
    mode: int
    folder: Path
    outputs: tuple[str, ...]
    warnings: tuple[str, ...]


class Numbers:
    """Where a run gets the number of its restart file from, and what has to happen around it.

    A batch has its own, which keep a journal.
    """

    def next(self, folder: Path) -> str:
        """The name for the headers of a run that writes no restart file."""
        return restart.next_name(folder)

    def claim(self, folder: Path, text: str, entry: Callable[[str], str]) -> str:
        """Write a restart file and return its name.

        Args:
            entry: the entry of ``fit.log`` that will follow under a name; empty if there will be none.
        """
        return restart.claim(folder, text)

    def log(self, folder: Path, entry: str) -> None:
        """Append to ``fit.log``; the last of the outputs."""
        files.append(folder / fitlog.NAME, entry)


def load(file: Path, name: str, folder: Path, asked: Options, phase: Phase) -> Loaded:
    """Read a job and see whether it can be written.

    Args:
        file: the menu.
        name: what outputs call it.
        folder: what the names in the menu are relative to.
        phase: told "parsing" and "reading".

    Raises:
        GalfeedError: wrong input, or outputs that cannot be written.
    """
    with phase("parsing"):
        job = feedme.load(file, name)
        limits = constraints.load(job, folder)
        mode = job.control.mode if asked.mode is None else asked.mode
    with phase("reading"):
        exposure = images.load(job, folder, asked.noskyest, asked.skyped, asked.skyrms)
        if exposure.data is None:
            mode = MODEL
        stars = () if exposure.psf is not None else supported.check_stars(job, fitted=mode == FIT)
        outsig = asked.outsig and exposure.data is not None
        outputs = names.written(job.control.output, mode, outsig=outsig, wanted=asked.wanted)
        for output in outputs:
            files.check_writable(folder, output)
    moved = limits.moved if mode == FIT else ()
    warnings = (*job.warnings, *limits.warnings, *moved, *exposure.warnings, *stars)
    return Loaded(job, limits, exposure, mode, folder, outputs, tuple(map(str, warnings)))


def task(loaded: Loaded, asked: Options) -> Task:
    """What the fit needs to know.  Imports torch."""
    from galfeed import fit

    flags = loaded.limits.flags + loaded.exposure.flags
    constraints = loaded.limits.constraints
    return fit.Task(loaded.job, loaded.exposure, constraints, flags, loaded.mode, "exact" if asked.exact else "galfit")


def doubts(result: FitResult, loaded: Loaded, asked: Options) -> list[str]:
    """What to say of a result that should not be taken for a good one, a line each."""
    return doubts_of_all([result], [loaded], asked)[0]


def doubts_of_all(results: Sequence[FitResult], loaded: Sequence[Loaded], asked: Options) -> list[list[str]]:
    """:func:`doubts` of many results."""
    from galfeed import fit

    drawn = [k for k, result in enumerate(results) if not (result.status.failed or asked.exact)]
    found = fit.doubts_of_all([results[k].job for k in drawn], [loaded[k].exposure for k in drawn])
    lines = dict(zip(drawn, found, strict=True))
    return [_doubts(result, own, lines.get(k, "")) for k, (result, own) in enumerate(zip(results, loaded, strict=True))]


def _doubts(result: FitResult, loaded: Loaded, drawn: str) -> list[str]:
    """Args: drawn: what is to be said of the image."""
    name = loaded.job.path
    if result.status.failed:
        return [f"{name}: no solution: {result.status.value}"]
    found = []
    if result.attempts > 1:
        found.append(f"{name}: the fit was started {result.attempts} times; the best result is kept")
    if result.status is Status.STALLED:
        found.append(f"{name}: {result.status.value}; do not trust this fit")
    return found + [drawn] * bool(drawn)


def write(
    result: FitResult, loaded: Loaded, said: Collection[str], asked: Options, numbers: Numbers | None = None
) -> str | None:
    """Write the files of one job: all of them, or nothing of a fit whose image or record cannot be written.

    Of a fit without solution there is only the record.

    Args:
        said: the warnings and doubts, for the record.
        numbers: where the restart file's name comes from.

    Returns:
        The name of the restart file, if one was written.

    Raises:
        OutputError: something cannot be written.
    """
    numbers = numbers or Numbers()
    folder, wanted = loaded.folder, asked.wanted
    if result.status.failed:
        _record(result, loaded, said, asked, None)
        return None
    if SIGMA_NAME in loaded.outputs:
        files.replace(folder / SIGMA_NAME, imgblock.sigma(loaded.exposure))
    if loaded.mode != FIT or result.status is Status.NOTHING_FREE:
        if IMAGE in wanted:
            _image(result, loaded, numbers.next(folder))
        _record(result, loaded, said, asked, None)
        return None

    def entry(name: str) -> str:
        return fitlog.entry(result, loaded.exposure.region, name) if LOG in wanted else ""

    claimed = None
    if RESTART in wanted:
        claimed = numbers.claim(folder, _menu(result, loaded.exposure), entry)
    name = claimed or numbers.next(folder)
    try:
        if IMAGE in wanted:
            _image(result, loaded, name)
        _record(result, loaded, said, asked, claimed)
        if LOG in wanted:
            numbers.log(folder, entry(name))
    except GalfeedError:
        if claimed:
            (folder / claimed).unlink(missing_ok=True)
        raise
    return claimed


def _menu(result: FitResult, exposure: Exposure) -> str:
    """The text of the restart file."""
    kernel = header.kernel_name(result.job.control, exposure)
    control = replace(result.job.control, region=exposure.region, kernel=kernel)  # GALFIT writes it clipped
    return menu.dump(replace(result.job, control=control), result.chi2nu, result.chi2, result.ndof)


def _image(result: FitResult, loaded: Loaded, logfile: str) -> None:
    exposure, output = loaded.exposure, loaded.folder / loaded.job.control.output
    if loaded.mode == SUBCOMPONENTS:
        files.replace(loaded.folder / SUBCOMPS_NAME, imgblock.subcomps(result, exposure, logfile))
    elif loaded.mode == MODEL:
        files.replace(output, imgblock.model_only(result, exposure, logfile))
    else:
        files.replace(output, imgblock.block(result, exposure, logfile))


def _record(result: FitResult, loaded: Loaded, said: Collection[str], asked: Options, restart_name: str | None) -> None:
    if JSON not in asked.wanted:
        return
    image = names.image(loaded.job.control.output, loaded.mode)
    shown = image if IMAGE in asked.wanted else None
    accuracy = "exact" if asked.exact else "galfit"
    text = record.dump(result, loaded.exposure, shown, restart_name, tuple(said), accuracy)
    files.replace(loaded.folder / record.file_name(image), text.encode("utf-8", "surrogateescape"))


def out_of_memory(error: BaseException) -> bool:
    """Whether this is what Python, or torch, says where memory is short."""
    short = isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "out of memory" in str(error))
    return short or isinstance(error, MemoryError)


def no_memory(name: str) -> GalfeedError:
    return GalfeedError(f"{name}: not enough memory for images of this size")


def exit_code(error: GalfeedError) -> int:
    """What a run that ends with an error exits with: 2, or 1 where GALFIT itself stops."""
    return FAILED if isinstance(error, FeedmeError) and error.stdout else WRONG_INPUT


def engine(asked: Options) -> dict[str, Any]:
    """The arguments of the fit that say what it runs on."""
    device = {} if asked.device in ("auto", "cpu") else {"device": asked.device}
    return device if asked.dtype is None else device | {"dtype": asked.dtype}

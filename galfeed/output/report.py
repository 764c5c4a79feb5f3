"""What is said on stdout, in GALFIT's order and layout: menu, messages, progress, ending; and the help text.

The parts are texts of whole lines; ``galfeed.cli`` prints them.
"""

from __future__ import annotations

from collections.abc import Sequence

from galfeed import __version__
from galfeed.job import Job
from galfeed.output.fitlog import NAME, progress_lines
from galfeed.output.header import doubtful
from galfeed.output.marks import Region
from galfeed.result import Iteration

RULE = "=" * 80
BELL = "\a"
"""Rung by GALFIT at the very end."""

BAR = 20
"""Characters of a progress bar."""

SUMMARY = f"\nFit summary is now being saved into `{NAME}'.\n\n"

LIMIT = """
 The fitting ended because the maximum number of iterations 
 has been reached, not necessarily because of convergence!


"""  # noqa: W291

WARNING = f"""\
{RULE}
WARNING: Possible numerical problem detected with one or more output 
         parameters enclosed in *...*.  The solution is likely to be not 
         reliable.  Rerun fit by holding problematic parameters fixed 
         temporarily or setting them to other initial values.
{RULE}


"""  # noqa: W291

HELP = """
{version}

SYNOPSIS
    galfeed [OPTIONS]... <input file>
    galfeed [OPTIONS]... <input file, directory or @list>...
    galfeed check [OPTIONS]... <input file, directory or @list>...


DESCRIPTION
    galfeed fits two-dimensional models to images of galaxies.  It reads the
    input files of GALFIT 3 (Peng et al. 2002, AJ, 124, 266; Peng et al. 2010,
    AJ, 139, 2097), takes the same options, and writes the same files.


    Of several input files, directories (all *.feedme below them) and lists
    (@name: a file with one name a line) each input file is run in its own
    folder.  A summary on stderr names those without a result.


    `galfeed check' looks at input files and the images that they name, fits
    nothing, and says what is wrong or odd, a line each.


    [OPTIONS] can be any or all of the following, before or after the file:

    -imax n,    Largest number of iterations; 100 without this option.
    -noskyest,  Do not estimate the sky when a sigma image has to be made.
    -skyped n,  Sky level to be used for the sigma image, in ADU.
    -skyrms n,  Sky RMS to be used for the sigma image, in ADU.

    -o1,        Make the model image and exit.
    -o2,        Make the image block and exit.
    -o3,        Make one image a component (subcomps.fits) and exit.

    --exact,    Exact pixel integrals, kappa(n) and PSF shifts, the flux of boxy
                components with Fourier modes, and the usual error bars, where
                GALFIT's numbers are known to be off.

    --json,     Write the result as JSON as well, beside the output image and
                under its name: imgblock.json for imgblock.fits.

    --catalog f,  Write a table of all results: .fits, .ecsv, .csv, .parquet.
    --resume,     Go on with a run that was cut short.
    --journal f,  Keep the progress in this file.
    --outputs w,  What to write: any of imgblock,restart,log,json; or none.
    --glob p,     Which files of a directory are input files; *.feedme.
    --cwd w,      Run input files in their own folders (menu) or in the
                  current one (here).
    --workers n,  Number of processes; one a core without this option.
    --chunk n,    Number of input files that are fitted together; auto.
    --device w,   What to fit on: auto, cpu, cuda, cuda:1.
    --dtype w,    Precision: float64, float32, mixed.

    -outsig,    Write the sigma image that was used into `sigma.fits'.
    -help,      Print this text.
    --version,  Print the version.

    Other words that begin with a single dash are ignored, as GALFIT does.
    There is no interactive mode (-i).

OUTPUT FLAGS
    The header parameter FLAGS of the model, image.fits[2], says what was
    missing and what to beware of.  More than one of these may be present:

        1       The maximum number of iterations was reached.
        2       Suspected numerical problem in the solution.
      A-1       No input data image.  Only a model was made.
      A-2       No PSF image.  Nothing was convolved.
      A-3       No CCD diffusion kernel.
      A-4       No bad pixel mask.
      A-5       No sigma image; one was made.
      A-6       No constraint file.
      C-1       The constraint file could not be understood.
      C-2       A constraint is put on a parameter that is held fixed.
      H-1       No exposure time in the header: 1 second.
      H-2       The exposure time in the header is 0: 1 second.
      H-3       No GAIN in the header.
      H-4       No NCOMBINE in the header.
      I-1       The PSF is larger than the convolution box.
      I-2       The fitting region reaches beyond the image.
      I-3       Pixels of the data that are not finite; set to 0.
      I-4       Pixels of the sigma image that are not positive; set to 1e10.
      I-5       The mask has not the size of the data.

EXIT STATUS
    0 if the solution, however reliable, was written; 1 if there is none;
    2 if the input is wrong.  Of several input files: 1 if one has none.
    Of `check': 0 if all can run, 1 if one cannot.
"""


def version() -> str:
    return f"galfeed {__version__}"


def help_text() -> str:
    return HELP.format(version=version())


def opening(job: Job, echo: str, messages: Sequence[str]) -> str:
    """Everything before the fit.

    Args:
        job: the menu as read.
        echo: its text as ``menu.dump`` makes it, from ``#  Input menu file`` on.
        messages: lines about constraints and images.
    """
    blank = "\n" * (len(job.components) + 2)  # GALFIT prints one while it reads a component
    return f"\n{version()}\n{blank}{echo}\n\n\n" + "".join(f"{line}\n" for line in messages) + "\n"


def initial(job: Job, region: Region) -> str:
    """The start values, between rules."""
    return f"{RULE}\nInitial parameters:\n{components(job, region)}{RULE}\n"


def iteration(step: Iteration, countdown: int, region: Region) -> str:
    """One step of the fit.

    Args:
        step: the values after the step.
        countdown: how many more steps there are at most.
    """
    head = f"Iteration : {step.number:<2d}    Chi2nu: {step.chi2nu:<14.3e}dChi2/Chi2: {step.change:<12.2e}"
    return f"\n{head}alamda: {step.damping:<10.0e}\n{components(step.job, region)}COUNTDOWN = {countdown} \n"


def components(job: Job, region: Region) -> str:
    return "".join(f"{line}\n" for component in job.components for line in progress_lines(component, job, region))


def nothing_free() -> str:
    """Where a fit is asked for and no parameter is free; GALFIT then ends as after a fit."""
    return f"\n-- No free parameters to fit.  Creating images only.\n\n\n{SUMMARY}"


def ending(job: Job, region: Region, *, limit_reached: bool) -> str:
    """After the last step; scripts look for the line about the summary.

    Args:
        job: with final values.
        limit_reached: the fit has not converged within the iterations allowed.
    """
    limit = LIMIT if limit_reached else ""
    warning = WARNING if doubtful(job, region) else ""
    return f"\n{limit}{SUMMARY}{warning}"


def images_only() -> str:
    """Where no fit is asked for."""
    return "\n-- Creating output image....\n\n"


def failure(reason: str) -> str:
    """No solution; scripts look for ``Doh!`` and for the line of dots.

    Args:
        reason: what went wrong, one line.
    """
    return f"""\
galfeed run-time error...
{reason}
...now exiting to system...

   Doh!  There is no solution because at least one of the model parameters
   is bad.  Most often: a size or a Sersic index that is too small or too big,
   a component too far outside the fitting region (or the region itself), a
   magnitude too faint, an axis ratio too small.  Nothing has been written.

"""


def progress(done: int, total: int, failed: int, seconds: float) -> str:
    """How far a batch is, on one line.

    Args:
        seconds: since its start.
    """
    share = done / max(total, 1)
    bar = "#" * int(BAR * share)
    rate = done / max(seconds, 1e-3)
    left = f", {_duration((total - done) / rate)} left" if 0 < done < total else ""
    bad = f", {failed} failed" if failed else ""
    return f"[{bar:{BAR}}] {done} of {total} jobs, {rate:.1f}/s{left}{bad}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def survey(
    total: int,
    doubtful: int,
    failures: Sequence[str],
    warned: int,
    overwritten: Sequence[tuple[str, str]],
    journal: str,
    seconds: float,
) -> str:
    """The summary of a batch.

    Args:
        total: number of jobs.
        doubtful: how many of them have a result that is not to be trusted.
        failures: why others have none, a line each that begins with the menu.
        warned: how many have warnings.
        overwritten: pairs of them that have written the same image.
        journal: where these are.
        seconds: the batch took.
    """
    good = total - doubtful - len(failures)
    jobs = "1 job has" if warned == 1 else f"{warned} jobs have"
    notes = [f"{jobs} warnings: column 'warnings' of the catalogue, texts in {journal}"] if warned else []
    if overwritten:
        images = "1 image was" if len(overwritten) == 1 else f"{len(overwritten)} images were"
        example = "such as in {} and {}, where line B) names the same: expected one for each".format(*overwritten[0])
        notes.append(f"{images} written over by another job, {example}")
    all_jobs = "1 job" if total == 1 else f"{total} jobs"
    head = f"{all_jobs} in {seconds:.1f} s: {good} good, {doubtful} doubtful, {len(failures)} failed"
    return "".join(f"{line}\n" for line in (*failures, *notes, head))

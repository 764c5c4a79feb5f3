"""Which files a run writes, beside the numbered restart file."""

from __future__ import annotations

from galfeed.output import fitlog, record

FIT, MODEL, BLOCK, SUBCOMPONENTS = 0, 1, 2, 3
"""What ``P)`` may ask for; any other number is an image block without chi^2."""

SUBCOMPS_NAME, SIGMA_NAME = "subcomps.fits", "sigma.fits"


def written(output: str, mode: int, *, outsig: bool = False, recorded: bool = False) -> tuple[str, ...]:
    """Names of the files that a run writes or appends to, its image first.

    Args:
        output: as the menu names it at ``B)``.
        mode: of ``P)`` or the option that overrides it.
        outsig: the sigma image is asked for.
        recorded: the result is asked for as JSON, too.
    """
    image = SUBCOMPS_NAME if mode == SUBCOMPONENTS else output
    log = (fitlog.NAME,) if mode == FIT else ()
    sigma = (SIGMA_NAME,) if outsig else ()
    return (image, *log, *sigma, *((record.file_name(image),) if recorded else ()))

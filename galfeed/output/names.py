"""Which files a run writes, beside the numbered restart file."""

from __future__ import annotations

from collections.abc import Collection

from galfeed.output import fitlog, record

FIT, MODEL, BLOCK, SUBCOMPONENTS = 0, 1, 2, 3
"""What ``P)`` may ask for; any other number is an image block without chi^2."""

SUBCOMPS_NAME, SIGMA_NAME = "subcomps.fits", "sigma.fits"

IMAGE, RESTART, LOG, JSON = "imgblock", "restart", "log", "json"
"""Words for the outputs: whatever image the mode makes, ``galfit.NN``, the entry of ``fit.log``, the record."""

OUTPUTS = (IMAGE, RESTART, LOG, JSON)
USUAL = frozenset((IMAGE, RESTART, LOG))


def image(output: str, mode: int) -> str:
    """The name of the image that a run makes.

    Args:
        output: as the menu names it at ``B)``.
        mode: of ``P)`` or the option that overrides it.
    """
    return SUBCOMPS_NAME if mode == SUBCOMPONENTS else output


def written(output: str, mode: int, *, outsig: bool = False, wanted: Collection[str] = USUAL) -> tuple[str, ...]:
    """Names of the files that a run writes or appends to, its image first.

    Args:
        output, mode: as of :func:`image`.
        outsig: the sigma image is asked for.
        wanted: words of ``OUTPUTS``.
    """
    made = image(output, mode)
    found = {
        IMAGE: (made,),
        LOG: (fitlog.NAME,) if mode == FIT else (),
        JSON: (record.file_name(made),),
    }
    own = {word: found[word] for word in found if word in wanted}
    sigma = (SIGMA_NAME,) if outsig else ()
    return (*own.get(IMAGE, ()), *own.get(LOG, ()), *sigma, *own.get(JSON, ()))

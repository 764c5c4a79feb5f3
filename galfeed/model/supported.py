"""Which valid menus can be modelled; free of torch, so that a refusal comes at once."""

from __future__ import annotations

from galfeed.errors import FeedmeError
from galfeed.job import Job
from galfeed.profiles import BREAK, PROFILES


def check(job: Job, has_psf: bool) -> None:
    """Refuse what is valid GALFIT but cannot be modelled yet, by name and line.

    Args:
        has_psf: a PSF image was read.

    Raises:
        UnsupportedError: names file, line and what it is.
        FeedmeError: a point source without a PSF.
    """
    for component in job.components:
        if component.is_truncation:
            continue
        profile = PROFILES[component.kind]
        if component.kind == "psf" and not has_psf:
            raise FeedmeError(job.path, component.line, "a psf component needs a PSF image, expected one at D)")
        cut = bool(component.inner or component.outer)
        needs_cut = profile.anchors.get(component.variant) == BREAK or component.word.startswith("edgedisk2")
        if needs_cut and not cut:
            text = f"'{component.word}' means the brightness at the break radius, expected a truncation Ti) or To)"
            raise FeedmeError(job.path, component.line, text)

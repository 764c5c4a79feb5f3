"""Which valid menus mean nothing; free of torch, so that a refusal comes at once."""

from __future__ import annotations

from galfeed.errors import FeedmeError
from galfeed.job import Job
from galfeed.profiles import BREAK, PROFILES


def check(job: Job) -> None:
    """Refuse what is valid GALFIT but means nothing, by line.

    Raises:
        FeedmeError: a surface brightness at the break radius of no truncation.
    """
    for component in job.components:
        if component.is_truncation or component.inner or component.outer:
            continue
        profile = PROFILES[component.kind]
        if profile.kind in ("point", "background"):
            continue
        if profile.anchor(component.variant) == BREAK or (profile.kind == "edge" and component.variant == 2):
            text = f"'{component.word}' means a brightness that depends on a truncation, expected Ti) or To)"
            raise FeedmeError(job.path, component.line, text)


def check_stars(job: Job, *, fitted: bool) -> tuple[str, ...]:
    """What to say of point sources where there is no PSF image: nothing is drawn of them.

    Raises:
        FeedmeError: they are to be fitted.
    """
    stars = [component for component in job.components if component.kind == "psf"]
    if stars and fitted:
        raise FeedmeError(job.path, stars[0].line, "a psf component needs a PSF image, expected one at D)")
    return tuple(f"{job.path}:{star.line}: no PSF image, so nothing is drawn of this psf component" for star in stars)
